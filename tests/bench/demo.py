"""Does it learn? Held-out accuracy of the demo by iteration, over seeds, for DPO, RAFT and a negative control.

    python -m tests.bench.demo --seeds 3

Every seed has a model, problems and a warm-up of its own; DPO and RAFT of one seed start from the same weights.
The control is DPO with the verdicts handed out at random: it must not learn. Finished work is reused.
"""

import argparse
from pathlib import Path

from tests.bench.campaigns import draw, run, table

RECIPES = {
    "dpo": [],
    "raft": ["objective={name: raft}", "train.learning_rate=2.0e-4"],
    "control": ["grade.shuffle=true"],
}
METRICS = ("mean@4", "greedy")


def main() -> None:
    """Run everything and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--recipes", nargs="+", choices=RECIPES, default=list(RECIPES))
    parser.add_argument("--plot", type=Path, help="Also draw the curves into this file.")
    parser.add_argument("--home", type=Path, default=Path(".odr/bench"))
    parser.add_argument("overrides", nargs="*")
    args = parser.parse_args()
    found = {
        recipe: [
            run(args.home.absolute() / f"seed-{s}", f"demo-{recipe}-seed{s}", s, [*RECIPES[recipe], *args.overrides])
            for s in range(args.seeds)
        ]
        for recipe in args.recipes
    }
    for metric in METRICS:
        table(found, metric)
    if args.plot:
        draw(found, METRICS, args.plot)


if __name__ == "__main__":
    main()
