"""Which algorithm learns how much? Six of them on the demo task, from one warm-up checkpoint per seed.

    python -m tests.bench.learning --seeds 3

All of a seed's campaigns share the model, the warm-up, the problems and their order, and the number of sampled answers:
800 problems x 8 answers in each of 3 iterations. In the first iteration they train on the very same rollouts. RTO takes
its token reward from the DPO campaign's first iteration, which saw those rollouts and no others. Hyperparameters were
chosen on seed 7; finished work is reused. `--jobs` campaigns run at a time.
"""

import argparse
import statistics
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

from tests.bench.campaigns import Results, accuracies, draw, error, gains, run, table

SHARED = ["evaluate.benchmarks.0.samples=8"]
# A ratio may go far: with three iterations of 50 steps, 0.2 would allow each answer's first token little more than half
# of what there is to learn. The demo's accuracy hangs on whether that token begins worked steps.
ON_POLICY = ["train.learning_rate=1.0e-4", "train.batch_size=16"]
CRITIC = ["critic={learning_rate: 1.0e-3}"]
RECIPES = {
    "dpo": [],
    "dpo_nll": ["objective={name: dpo_nll, beta: 0.5}"],
    "raft": ["objective={name: raft}", "train.learning_rate=2.0e-4"],
    "grpo": ["objective={name: grpo, clip_eps: 0.8}", *ON_POLICY],
    "ppo": ["objective={name: ppo, clip_eps: 0.8, value_clip: 1.0}", *ON_POLICY, *CRITIC],
    "rto": [
        "objective={name: rto, clip_eps: 0.8, value_clip: 1.0}", *ON_POLICY, *CRITIC,
        "token_reward={{policy: learn-dpo-seed{seed}/1, reference: learn-dpo-seed{seed}/0}}",
    ],
}  # fmt: skip
METRICS = ("mean@8", "greedy", "maj@8", "pass@8")
SEED_RANKING = "PPO >= DPO > RAFT; a likelihood term beside DPO does not help"
"""What the system that this one replaces reports, for a 7B model."""


def campaign(home: Path, recipe: str, seed: int) -> Results:
    """Run or reuse one campaign."""
    overrides = [text.format(seed=seed) if "{seed}" in text else text for text in RECIPES[recipe]]
    return run(home / f"seed-{seed}", f"learn-{recipe}-seed{seed}", seed, [*SHARED, *overrides])


def ranking(found: dict[str, list[Results]], metric: str) -> None:
    """Recipes by gain; a neighbour within one standard error of the difference by seed is a tie."""
    order = sorted(found, key=lambda recipe: -statistics.mean(gains(found[recipe], metric)))
    words = [order[0]]
    for better, worse in pairwise(order):
        pairs = zip(gains(found[better], metric), gains(found[worse], metric), strict=True)
        apart = [a - b for a, b in pairs]
        words += ["~" if not statistics.mean(apart) > 2 * error(apart) else ">", worse]
    print(f"  {metric:8} {' '.join(words)}")


def beats_warm_up(runs: list[Results], metric: str) -> bool:
    """Whether the gain over seeds is more than two standard errors above zero, and positive in every seed."""
    by_seed = gains(runs, metric)
    return min(by_seed) > 0 and statistics.mean(by_seed) > 2 * error(by_seed)


def main() -> None:
    """Run everything and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--recipes", nargs="+", choices=RECIPES, default=list(RECIPES))
    parser.add_argument("--plot", type=Path, help="Also draw the curves into this file.")
    parser.add_argument("--home", type=Path, default=Path(".odr/learning"))
    parser.add_argument("--jobs", type=int, default=1, help="Campaigns at a time.")
    args = parser.parse_args()
    home, seeds = args.home.absolute(), range(args.seeds)
    with ThreadPoolExecutor(args.jobs) as pool:
        # DPO first: it makes the warm-up that all share, and what RTO is rewarded by.
        first = list(pool.map(lambda seed: campaign(home, "dpo", seed), seeds))
        rest = [recipe for recipe in args.recipes if recipe != "dpo"]
        later = {recipe: [pool.submit(campaign, home, recipe, seed) for seed in seeds] for recipe in rest}
        found = {"dpo": first} | {recipe: [each.result() for each in runs] for recipe, runs in later.items()}
    for metric in METRICS:
        table(found, metric)
    print("\nranking by gain (~: apart by less than two standard errors of the difference by seed)")
    for metric in METRICS:
        ranking(found, metric)
    print(f"  7B seed  {SEED_RANKING}")
    for recipe, runs in found.items():
        last = statistics.mean(accuracies(results, "greedy")[-1] for results in runs)
        verdict = "beats" if beats_warm_up(runs, "greedy") else "DOES NOT BEAT"
        print(f"  {recipe:8} {verdict} the warm-up model beyond noise (greedy, last iteration {last:.1f} %)")
    if args.plot:
        draw(found, METRICS, args.plot)


if __name__ == "__main__":
    main()
