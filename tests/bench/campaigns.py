"""Demo campaigns as measurements: run or reuse one, read its scores, print means over seeds, draw them."""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

from matplotlib import pyplot as plt

Results = dict[str, Any]


def run(home: Path, name: str, seed: int, overrides: Sequence[str]) -> Results:
    """Run one demo campaign in this data root and return its results file; finished work is reused."""
    command = [sys.executable, "-m", "flows.cli", "demo", "--seed", str(seed), f"name={name}", *overrides]
    started = time.monotonic()
    log = home / f"{name}.log"
    home.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        done = subprocess.run(command, env={**os.environ, "ODR_HOME": str(home)}, stdout=output, stderr=output)
    if done.returncode:
        raise SystemExit(f"{name} failed:\n{log.read_text()[-3000:]}")
    print(f"{name}: {time.monotonic() - started:.0f} s", flush=True)
    return json.loads((home / "campaigns" / name / "results.json").read_text())


def accuracies(results: Results, metric: str) -> list[float]:
    """Percent by iteration, the warm-up model first."""
    return [100 * next(s["value"] for s in row["values"] if s["metric"] == metric) for row in results["iterations"]]


def gains(runs: Sequence[Results], metric: str) -> list[float]:
    """Percentage points from the warm-up model to the last iteration, by seed."""
    by_seed = [accuracies(results, metric) for results in runs]
    return [values[-1] - values[0] for values in by_seed]


def spread(values: Sequence[float]) -> str:
    """Mean and standard error over seeds."""
    return f"{statistics.mean(values):5.1f} ± {error(values):3.1f}"


def error(values: Sequence[float]) -> float:
    """Standard error of the mean; NaN for one value."""
    return statistics.stdev(values) / len(values) ** 0.5 if len(values) > 1 else float("nan")


def table(found: Mapping[str, Sequence[Results]], metric: str) -> None:
    """One line per recipe: accuracy by iteration and the gain."""
    seeds = max(len(runs) for runs in found.values())
    print(f"\nheld-out accuracy, {metric}, % (500 problems; mean ± standard error over {seeds} seeds)")
    for recipe, runs in found.items():
        by_iteration = zip(*(accuracies(results, metric) for results in runs), strict=True)
        line = " -> ".join(spread(values) for values in by_iteration)
        by_seed = gains(runs, metric)
        each = ", ".join(f"{gain:+.1f}" for gain in by_seed)
        print(f"  {recipe:8} {line}   gain {spread(by_seed)}  (by seed: {each})")


def draw(found: Mapping[str, Sequence[Results]], metrics: Sequence[str], path: Path) -> None:
    """Mean over seeds with standard errors, a panel per metric, a line per recipe."""
    figure, axes = plt.subplots(1, len(metrics), figsize=(1 + 4 * len(metrics), 3.6), sharey=True)
    for axis, metric in zip(axes, metrics, strict=True):
        for recipe, runs in found.items():
            columns = list(zip(*(accuracies(results, metric) for results in runs), strict=True))
            means = [statistics.mean(column) for column in columns]
            errors = [error(column) if len(column) > 1 else 0.0 for column in columns]
            axis.errorbar(range(len(means)), means, yerr=errors, marker="o", capsize=3, label=recipe)
        axis.set(title=f"held-out problems, {metric}", xlabel="iteration", ylim=(0, 100), xticks=range(len(means)))
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("accuracy, %")
    axes[0].legend()
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
