"""Did it get better? Scores by benchmark and iteration, and paired differences between two of the models."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from eval_math import metrics
from flows import report
from flows.page.source import Source

NORMAL_95 = 1.96
"""Standard errors to either side of a mean that hold 95 % of a normal distribution."""


@dataclass(frozen=True)
class Point:
    """One score of one iteration; fractions."""

    iteration: int
    value: float
    error: float | None
    """95 % lie within this to either side; None: not defined."""


@dataclass(frozen=True)
class Series:
    """One metric of one benchmark over the iterations."""

    benchmark: str
    metric: str
    points: list[Point]
    problems: int

    def at(self, iteration: int) -> Point | None:
        """The point of one iteration; None where it was not measured."""
        return next((point for point in self.points if point.iteration == iteration), None)


@dataclass(frozen=True)
class Change:
    """What became of one decoding of one benchmark, on the problems that both models were asked; points of percent."""

    generation: str
    benchmark: str
    metric: str
    before: float
    after: float
    low: float
    high: float
    problems: int

    @property
    def gain(self) -> float:
        """Points."""
        return self.after - self.before

    @property
    def verdict(self) -> str:
        """Whether the 95 % interval of the paired difference leaves 0 out."""
        return "better" if self.low > 0 else "worse" if self.high < 0 else "within noise"

    @property
    def interval(self) -> str:
        """As people read it."""
        return f"{self.gain:+.1f} points [{self.low:+.1f}, {self.high:+.1f}]"


def all_series(source: Source) -> list[Series]:
    """Every metric of every benchmark, in the order in which they were written."""
    found: dict[tuple[str, str], list[Point]] = {}
    problems: dict[tuple[str, str], int] = {}
    for index, row in enumerate(source.iterations):
        for score in row.get("values", []):
            key, error = (score["benchmark"], score["metric"]), score["standard_error"]
            margin = None if error is None else NORMAL_95 * error
            found.setdefault(key, []).append(Point(row.get("iteration", index), score["value"], margin))
            problems[key] = score["num_problems"]
    return [Series(*key, points, problems[key]) for key, points in found.items()]


def is_accuracy(series: Series) -> bool:
    """Whether it is a share of right answers, and not a length or a count."""
    return series.metric == "greedy" or "@" in series.metric


def is_plain(series: Series) -> bool:
    """Whether it is the accuracy of single answers, which is what a campaign is judged by."""
    return series.metric == "greedy" or series.metric.startswith("mean@")


def changes(source: Source, before: int = 0) -> list[Change]:
    """The last iteration against another one, for each decoding that both kept."""
    if len(source.iterations) < 2:
        return []
    found = source.attempt(lambda: list(_changes(source, source.iterations[before], source.last)))
    return found or []


def _changes(source: Source, first: dict[str, Any], last: dict[str, Any]) -> Iterator[Change]:
    for generation, kept in last.get("generations", {}).items():
        if generation not in first.get("generations", {}):
            continue
        old = report.verdicts(source.workspace, first["generations"][generation])
        new = report.verdicts(source.workspace, kept)
        known = [p for p in new if _known(new[p]) and _known(old.get(p, []))]
        if not known:
            continue
        after, before = [new[p] for p in known], [old[p] for p in known]
        difference = metrics.paired_difference(after, before)
        assert difference.interval is not None
        low, high = (100 * bound for bound in difference.interval)
        benchmark, _, way = generation.rpartition("/")
        metric = "greedy" if way == "greedy" else f"mean@{max(map(len, after))}"
        start, end = (100 * metrics.mean_at_n(rows).value for rows in (before, after))
        yield Change(generation, benchmark, metric, start, end, low, high, len(known))


def _known(verdicts: list[bool | None]) -> bool:
    return any(verdict is not None for verdict in verdicts)


def judged_by(found: list[Change]) -> list[Change]:
    """One change per benchmark: of the sampled answers, which are more, and of the greedy ones where there are none."""
    chosen: dict[str, Change] = {}
    for change in sorted(found, key=lambda change: change.metric == "greedy"):
        chosen.setdefault(change.benchmark, change)
    order = list(dict.fromkeys(change.benchmark for change in found))
    return [chosen[name] for name in order]


def headline(source: Source, found: list[Change]) -> tuple[str, str]:
    """(one word for the colour, one sentence): did it get better?"""
    count = len(source.iterations) - 1
    if not count:
        return "unknown", "Nothing to compare yet: only the starting model was measured."
    many = f"{count} iteration{'s' if count > 1 else ''}"
    if not found:
        return (
            "unknown",
            f"Whether {many} made it better is unknown: no benchmark has answers of the first and last model.",
        )
    judged = judged_by(found)
    if len(judged) == 1:
        one = judged[0]
        opening = {"better": "It got better", "worse": "It got worse", "within noise": "No change beyond noise"}
        sentence = (
            f"{opening[one.verdict]} over {many}: {one.benchmark} {one.metric} went from {one.before:.1f} % to "
            f"{one.after:.1f} %, {one.interval} on {one.problems:,} problems"
        )
        return one.verdict, f"{sentence}{', within noise' if one.verdict == 'within noise' else ''}."
    counted = {word: sum(change.verdict == word for change in judged) for word in ("better", "worse", "within noise")}
    named = ", ".join(f"{c.benchmark} {c.interval}, n = {c.problems:,}" for c in judged[:6])
    verdict = "better" if counted["better"] > counted["worse"] else "worse" if counted["worse"] else "within noise"
    return verdict, (
        f"Over {many} it got better on {counted['better']} of {len(judged)} benchmarks, worse on {counted['worse']}, "
        f"and {counted['within noise']} stayed within noise: {named}{', …' if len(judged) > 6 else ''}."
    )
