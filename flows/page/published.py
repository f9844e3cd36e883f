"""The numbers that the system before this one has published, to stand beside a run on the same benchmarks.

Read from the README of RLHFlow/Online-DPO-R1 (2025): Qwen2.5-Math-7B, one greedy answer per problem. Binomial standard
errors, in points: AIME24 8.4, MATH500 1.9, AMC23 7.7: most of its rows are within noise of each other.
"""

from dataclasses import dataclass
from typing import Any

from flows.page.source import at

BENCHMARKS = ("aime24", "math500", "amc23", "minerva_math", "olympiadbench")
ROWS: dict[str, tuple[float, ...]] = {
    "Qwen2.5-Math-7B": (23.3, 65.4, 47.5, 9.9, 23.4),
    "SFT": (20.0, 73.2, 62.5, 30.5, 35.6),
    "RAFT-Zero": (20.0, 77.6, 55.0, 30.5, 38.7),
    "DPO-MATH7500-Zero": (26.7, 72.2, 57.5, 26.8, 37.2),
    "DPO-NLL-Zero": (30.0, 74.4, 62.5, 26.1, 37.9),
    "DPO-Zero": (26.7, 76.8, 62.5, 30.9, 37.9),
    "DPO-R1 (after SFT)": (30.0, 84.4, 62.5, 33.5, 48.4),
    "PPO-MATH7500": (33.3, 77.2, 67.5, 33.8, 40.7),
    "PPO-Zero": (43.3, 79.4, 62.5, 33.1, 40.7),
}


@dataclass(frozen=True)
class Published:
    """The part of the table that a campaign can be held against."""

    benchmarks: list[str]
    rows: list[tuple[str, list[float]]]
    """Name and one figure per benchmark, in percent."""


def shared(config: dict[str, Any]) -> Published | None:
    """The columns of the benchmarks that the campaign has measured whole and from the registry; None without any."""
    entries = at(config, "evaluate", "benchmarks") or []
    whole = {at(bench, "name") for bench in entries if not at(bench, "source") and not at(bench, "limit")}
    columns = [index for index, name in enumerate(BENCHMARKS) if name in whole]
    if not columns:
        return None
    rows = [(name, [values[index] for index in columns]) for name, values in ROWS.items()]
    return Published([BENCHMARKS[index] for index in columns], rows)
