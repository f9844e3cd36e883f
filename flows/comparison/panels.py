"""What a comparison draws, once for the picture and once for the page: a row per benchmark, a line per campaign."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from artifacts import Checkpoint
from flows.comparison.campaigns import Campaign
from flows.page import accuracy
from flows.page.accuracy import Series
from flows.page.charts import Mark
from tasks.train import curve_of

TRAINING = "Training"
DRIFT = ("kl/", "entropy", "sampler_gap_mean")
"""How the names of training metrics begin that say how far a policy has moved."""


@dataclass(frozen=True)
class Panel:
    """One drawing: a line of marks, margins of 95 %, per campaign."""

    title: str
    x_name: str
    lines: dict[str, list[Mark]]


def panels(campaigns: list[Campaign]) -> dict[str, list[Panel]]:
    """Rows of panels, by benchmark; the last row is of training. A panel without any mark is left out."""
    benchmarks = dict.fromkeys(series.benchmark for campaign in campaigns for series in campaign.series)
    rows = {name: list(_of_benchmark(campaigns, name)) for name in benchmarks}
    rows[TRAINING] = list(_of_training(campaigns))
    drawn = {name: [panel for panel in row if any(panel.lines.values())] for name, row in rows.items()}
    return {name: row for name, row in drawn.items() if row}


def _of_benchmark(campaigns: list[Campaign], benchmark: str) -> Iterable[Panel]:
    every = [series for campaign in campaigns for series in campaign.series if series.benchmark == benchmark]
    plain = dict.fromkeys(series.metric for series in every if accuracy.is_plain(series))
    ordered = sorted(plain, key=lambda metric: metric == "greedy")
    for metric in ordered:
        yield _over_iterations(campaigns, benchmark, metric, f"{metric}, %", 100)
    for metric in ordered[:1]:
        for name, amount in _TOKENS.items():
            lines = {c.name: _marks(c.find(benchmark, metric), 100, c.along(amount)) for c in campaigns}
            yield Panel(f"{metric}, %", name, lines)
    for kind in ("pass", "maj"):
        lines = {c.name: _by_k(c, benchmark, kind) for c in campaigns}
        if any(len(marks) > 1 for marks in lines.values()):
            yield Panel(f"{kind}@k of the last policy, %", "k", lines)
    for metric in dict.fromkeys(series.metric for series in every if series.metric.startswith("mean_tokens")):
        title = "tokens per greedy answer" if metric.endswith("/greedy") else "tokens per answer"
        yield _over_iterations(campaigns, benchmark, metric, title, 1)


_TOKENS: dict[str, Callable[..., float]] = {
    "answer tokens trained on": lambda amounts: amounts.trained_tokens,
    "answer tokens sampled": lambda amounts: amounts.sampled_tokens,
}


def _over_iterations(campaigns: list[Campaign], benchmark: str, metric: str, title: str, scale: float) -> Panel:
    lines = {campaign.name: _marks(campaign.find(benchmark, metric), scale) for campaign in campaigns}
    return Panel(title, "iteration", lines)


def _marks(series: Series | None, scale: float, places: Mapping[int, float] | None = None) -> list[Mark]:
    """Points of a series; `places` maps iterations to x, and leaves out those it does not have."""
    points = series.points if series else []
    return [
        Mark(place, scale * p.value, None if p.error is None else scale * p.error)
        for p in points
        if (place := p.iteration if places is None else places.get(p.iteration)) is not None
    ]


def _by_k(campaign: Campaign, benchmark: str, kind: str) -> list[Mark]:
    """Of the last policy; at k = 1 both kinds are the mean."""
    last = campaign.source.last.get("iteration", 0)
    found: dict[int, Mark] = {}
    for series in campaign.series:
        name, _, k = series.metric.partition("@")
        if series.benchmark != benchmark or not k.isdigit() or (point := series.at(last)) is None:
            continue
        place = int(k) if name == kind else 1 if name == "mean" else None
        if place is not None:
            found[place] = Mark(place, 100 * point.value, None if point.error is None else 100 * point.error)
    return [found[k] for k in sorted(found)]


def _of_training(campaigns: list[Campaign]) -> Iterable[Panel]:
    counted = {
        "right among the sampled answers, %": lambda grades, rows: 100 * grades["right"] / grades["rollouts"],
        "tokens per sampled answer": lambda grades, rows: grades["tokens"] / grades["rollouts"],
        "training rows per problem": lambda grades, rows: rows["made"] / rows["prompts"],
    }
    for title, value in counted.items():
        yield Panel(title, "iteration", {c.name: _counted(c, value) for c in campaigns})
    means = {campaign.name: _means(campaign) for campaign in campaigns}
    for name in dict.fromkeys(name for found in means.values() for name in found):
        yield Panel(f"{name}, mean over the steps", "iteration", {c: found.get(name, []) for c, found in means.items()})


def _counted(campaign: Campaign, value: Callable[..., float]) -> list[Mark]:
    found: list[Mark] = []
    for row in campaign.source.iterations[1:]:
        summaries = row.get("summaries", {})
        rows = {**summaries.get("rows", {}), "made": row.get("rows", {}).get("rows", 0)}
        try:
            found.append(Mark(row["iteration"], value(summaries.get("grades", {}), rows)))
        except (KeyError, ZeroDivisionError):  # an earlier version did not count it
            continue
    return found


def _means(campaign: Campaign) -> dict[str, list[Mark]]:
    """The mean of each training metric that tells of drift, by iteration."""
    found: dict[str, list[Mark]] = {}
    for row in campaign.source.iterations[1:]:
        policy = Checkpoint.from_json(row["policy"])
        curve = curve_of(policy) if Path(policy.path).is_dir() else []
        for name in dict.fromkeys(name for point in curve for name in point if name.startswith(DRIFT)):
            values = [point[name] for point in curve if name in point and math.isfinite(point[name])]
            if values:
                found.setdefault(name, []).append(Mark(row["iteration"], sum(values) / len(values)))
    return found
