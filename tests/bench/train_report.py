"""Contestants in turn, and their figures beside each other."""

import statistics
from collections.abc import Callable
from typing import Any

import numpy as np

from tests.bench.train_data import Tokens

Measured = dict[str, Any]


def in_turn(contestants: dict[str, Callable[[], Measured]], repeats: int) -> dict[str, list[Measured]]:
    """Each contestant so many times; every other round in the opposite order."""
    found: dict[str, list[Measured]] = {name: [] for name in contestants}
    for repeat in range(repeats):
        names = list(contestants)
        for name in names if repeat % 2 == 0 else reversed(names):
            found[name].append(contestants[name]())
    return found


def table(found: dict[str, list[Measured]], tokens: Tokens, epochs: int) -> None:
    """A line per contestant: medians, and every time."""
    print(f"{'':24} {'trained':>8} {'all':>8} {'rise':>8} {'most':>8} {'process':>8} {'cpu':>8}")
    print(f"{'':24} {'tokens/s':>8} {'tokens/s':>8} {'MiB':>8} {'MiB':>8} {'s':>8} {'s':>8}   s")
    for name, runs in found.items():
        seconds = median(runs, "seconds")
        rates = [epochs * count / seconds for count in (tokens.completion, tokens.total)]
        listed = ", ".join(f"{run['seconds']:.1f}" for run in runs)
        others = (median(runs, key) for key in ("rise", "most", "wall", "cpu"))
        numbers = " ".join(f"{number:8.0f}" for number in (*rates, *others))
        print(f"{name:24} {numbers}   {seconds:.1f} of {listed}")


def median(runs: list[Measured], key: str) -> float:
    """Of one figure over runs."""
    return statistics.median(run[key] for run in runs)


def verdict(found: dict[str, list[Measured]], other: str, speed: float, memory: float | None = None) -> None:
    """Ours against another, and the targets."""
    ratio, cpu = (median(found[other], key) / median(found["ours"], key) for key in ("seconds", "cpu"))
    aim = f"target >= {speed}: {'met' if ratio >= speed else 'MISSED'}"
    print(f"tokens/s, ours / {other}: {ratio:.2f} (per processor second {cpu:.2f})   {aim}")
    for key, limit in (("rise", memory), ("most", None)):
        share = median(found["ours"], key) / median(found[other], key)
        aim = f"   target <= {limit}: {'met' if share <= limit else 'MISSED'}" if limit else ""
        print(f"peak memory ({key}), ours / {other}: {share:.2f}{aim}")


def at_other_sizes(ours: list[Measured], first: dict[int, Measured]) -> None:
    """Ours against TRL's one run with each micro-batch."""
    for micro, run in sorted(first.items()):
        speed, cpu = (run[key] / median(ours, key) for key in ("seconds", "cpu"))
        share = median(ours, "rise") / run["rise"]
        print(
            f"ours / TRL, micro {micro} (one run): tokens/s {speed:.2f} (per processor second {cpu:.2f}), "
            f"peak memory (rise) {share:.2f}"
        )


def line(clock: str, counts: list[int], times: list[float]) -> None:
    """The straight line through the times, and how far they are from it."""
    slope, start = np.polyfit(counts, times, 1)
    rest = np.array(times) - (slope * np.array(counts) + start)
    explained = 1 - (rest**2).sum() / ((np.array(times) - np.mean(times)) ** 2).sum()
    listed = ", ".join(f"{value:+.2f}" for value in rest)
    print(f"{clock} time = {start:.1f} s + {slope:.3f} s per pair; R² = {explained:.4f}; residuals {listed} s")
