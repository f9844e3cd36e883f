"""Does it learn? Held-out accuracy of the demo by iteration, over seeds, for DPO, RAFT and a negative control.

    python -m tests.bench.demo --seeds 3

Every seed has a model, problems and a warm-up of its own; DPO and RAFT of one seed start from the same weights.
The control is DPO with the verdicts handed out at random: it must not learn. Finished work is reused.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

from matplotlib import pyplot as plt

RECIPES = {
    "dpo": [],
    "raft": ["objective={name: raft}", "train.learning_rate=2.0e-4"],
    "control": ["grade.shuffle=true"],
}
METRICS = ("mean@4", "greedy")


def run(home: Path, seed: int, recipe: str, extra: list[str]) -> dict[str, Any]:
    """Run (or reuse) one campaign and return its results file."""
    name = f"demo-{recipe}-seed{seed}"
    command = [
        sys.executable, "-m", "flows.cli", "demo", "--seed", str(seed), f"name={name}", *RECIPES[recipe], *extra,
    ]  # fmt: skip
    started = time.monotonic()
    log = home / f"{name}.log"
    home.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        done = subprocess.run(command, env={**os.environ, "ODR_HOME": str(home)}, stdout=output, stderr=output)
    if done.returncode:
        raise SystemExit(f"{name} failed:\n{log.read_text()[-3000:]}")
    print(f"{name}: {time.monotonic() - started:.0f} s", flush=True)
    return json.loads((home / "campaigns" / name / "results.json").read_text())


def accuracies(results: dict[str, Any], metric: str) -> list[float]:
    """Percent by iteration, the warm-up model first."""
    return [100 * next(s["value"] for s in row["values"] if s["metric"] == metric) for row in results["iterations"]]


def spread(values: list[float]) -> str:
    """Mean and standard error over seeds."""
    error = statistics.stdev(values) / len(values) ** 0.5 if len(values) > 1 else float("nan")
    return f"{statistics.mean(values):5.1f} ± {error:3.1f}"


def draw(found: dict[str, list[dict[str, Any]]], path: Path) -> None:
    """Mean over seeds with standard errors, a panel per metric, a line per recipe."""
    figure, axes = plt.subplots(1, len(METRICS), figsize=(9, 3.6), sharey=True)
    for axis, metric in zip(axes, METRICS, strict=True):
        for recipe, runs in found.items():
            columns = list(zip(*(accuracies(results, metric) for results in runs), strict=True))
            means = [statistics.mean(column) for column in columns]
            errors = [statistics.stdev(column) / len(column) ** 0.5 if len(column) > 1 else 0.0 for column in columns]
            axis.errorbar(range(len(means)), means, yerr=errors, marker="o", capsize=3, label=recipe)
        axis.set(title=f"held-out problems, {metric}", xlabel="iteration", ylim=(0, 100), xticks=range(len(means)))
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("accuracy, %")
    axes[0].legend()
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


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
        recipe: [run(args.home.absolute() / f"seed-{s}", s, recipe, args.overrides) for s in range(args.seeds)]
        for recipe in args.recipes
    }
    for metric in METRICS:
        print(f"\nheld-out accuracy, {metric}, % (500 problems; mean ± standard error over {args.seeds} seeds)")
        for recipe, runs in found.items():
            by_seed = [accuracies(results, metric) for results in runs]
            line = " -> ".join(spread(list(values)) for values in zip(*by_seed, strict=True))
            gains = [values[-1] - values[0] for values in by_seed]
            each = ", ".join(f"{gain:+.1f}" for gain in gains)
            print(f"  {recipe:8} {line}   gain {spread(gains)}  (by seed: {each})")
    if args.plot:
        draw(found, args.plot)


if __name__ == "__main__":
    main()
