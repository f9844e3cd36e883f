"""Where the time of the last command went: stages by iteration, the start-up of their children apart."""

from dataclasses import dataclass
from typing import Any

from flows.page.source import Source, name_of


@dataclass(frozen=True)
class Bar:
    """One stage; seconds."""

    name: str
    seconds: float
    start_up: float
    """Of its engines and trainers, part of `seconds`."""
    cached: bool


@dataclass(frozen=True)
class Clock:
    """One iteration."""

    name: str
    bars: list[Bar]

    @property
    def seconds(self) -> float:
        """Of the stages that ran."""
        return sum(bar.seconds for bar in self.bars if not bar.cached)

    @property
    def start_up(self) -> float:
        """Part of `seconds`."""
        return sum(bar.start_up for bar in self.bars if not bar.cached)

    @property
    def cached(self) -> int:
        """Stages whose result was there."""
        return sum(bar.cached for bar in self.bars)


def clocks(source: Source) -> list[Clock]:
    """Of every iteration; the starting model's holds the warm-up."""
    return [Clock(name_of(row, source), [_bar(stage) for stage in row.get("stages", [])]) for row in source.iterations]


def _bar(stage: dict[str, Any]) -> Bar:
    part, _, rest = stage["label"].partition(" · ")
    words = "warm-up " if part == "warm-up" else ""
    start_up = sum(child["start_up"] for child in stage["children"])
    # Engines that start side by side add up to more than the stage.
    return Bar(
        f"{words}{stage['stage']}{f' {rest}' if rest else ''}", stage["seconds"], min(start_up, stage["seconds"]),
        stage["cached"],
    )  # fmt: skip
