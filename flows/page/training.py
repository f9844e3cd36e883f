"""What training said of itself, step by step: the curves beside each checkpoint, thinned to what a drawing can show."""

import math
from dataclasses import dataclass
from pathlib import Path

from artifacts import Checkpoint
from flows.page.source import Source
from tasks.train import curve_of

POINTS = 400
"""Of one line over all iterations; a point stands for the mean of the steps around it."""
SIDES = ("/chosen", "/rejected")
"""Of a pair: drawn into one panel."""
SECTIONS = (
    ("Learning", ("loss", "nll", "reward", "coef", "value", "advantage", "ratio", "clip")),
    ("Drift: log-probabilities, divergences, entropy", ("kl", "logp", "entropy")),
    ("Sampler against trainer: difference of their log-probabilities, nats", ("sampler_gap",)),
    ("Optimizer", ("",)),
)
"""Title and how the names begin; the first that fits."""


@dataclass(frozen=True)
class Panel:
    """One metric, or the two sides of one; the lines of the iterations one after the other."""

    name: str
    lines: dict[str, list[list[tuple[float, float]]]]
    """By side (empty for one that has none): a line of (step, value) per iteration."""
    last: float
    """The mean over the last tenth of the steps, of the first side."""

    @property
    def once(self) -> bool:
        """Whether it is taken once per iteration, and not at every step."""
        return all(len(line) <= 1 for lines in self.lines.values() for line in lines)


def panels(source: Source, rows: slice, model: str = "policy") -> dict[str, list[Panel]]:
    """The panels of each section, from the checkpoints of these rows of the results; `model` may be the critic."""
    curves = [_curve(source, row[model]) for row in source.iterations[rows] if row.get(model)]
    names = list(dict.fromkeys(name for curve in curves for point in curve for name in point if name != "step"))
    grouped: dict[str, list[str]] = {}
    for name in names:
        grouped.setdefault(next((name.removesuffix(side) for side in SIDES if name.endswith(side)), name), []).append(
            name
        )
    found: dict[str, list[Panel]] = {title: [] for title, _ in SECTIONS}
    for base, members in sorted(grouped.items(), key=lambda item: _rank(item[0])):
        lines = {
            name.removeprefix(base).strip("/") if len(members) > 1 else "": _lines(curves, name) for name in members
        }
        values = [y for line in next(iter(lines.values())) for _, y in line]
        if values:
            tail = values[-max(1, len(values) // 10) :]
            title = next(title for title, starts in SECTIONS if base.startswith(starts))
            found[title].append(Panel(base if len(members) > 1 else members[0], lines, sum(tail) / len(tail)))
    return {title: made for title, made in found.items() if made}


def _rank(name: str) -> tuple[int, str]:
    first = ("loss", "rewards/margins", "rewards/accuracies")
    return (first.index(name) if name in first else len(first), name)


def _curve(source: Source, model: dict[str, str]) -> list[dict[str, float]]:
    """The curve of a checkpoint; none, and a sentence, if its folder is gone."""
    path = Path(model["path"])
    if not path.is_dir():
        source.gone.append(f"{path} is gone, and the curves of its training with it.")
        return []
    try:
        return curve_of(Checkpoint(str(path), model["digest"], 0))
    except ValueError as error:
        source.gone.append(f"the curves in {path} are not readable ({error}).")
        return []


def _lines(curves: list[list[dict[str, float]]], name: str) -> list[list[tuple[float, float]]]:
    lines: list[list[tuple[float, float]]] = []
    offset = 0.0
    most = max(8, POINTS // max(1, len(curves)))
    for curve in curves:
        line = [(offset + point["step"], float(point[name])) for point in curve if _is_number(point.get(name))]
        lines.append(_thinned(line, most))
        offset += max((point["step"] for point in curve), default=0)
    return lines


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _thinned(line: list[tuple[float, float]], most: int) -> list[tuple[float, float]]:
    """At most `most` points, each the mean of its neighbours."""
    size = math.ceil(len(line) / most) if line else 1
    blocks = [line[start : start + size] for start in range(0, len(line), size)]
    return [(sum(x for x, _ in b) / len(b), sum(y for _, y in b) / len(b)) for b in blocks]
