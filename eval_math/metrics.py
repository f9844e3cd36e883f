"""Scores over problems with their standard errors; an unknown verdict is left out and counted.

`verdicts[p][s]` is the verdict on sample s of problem p: True, False or None.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

Verdicts = Sequence[Sequence[bool | None]]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over problems and how sure it is."""

    value: float
    standard_error: float
    """Over problems; NaN for a single problem."""
    num_problems: int
    """Problems that entered the mean."""
    num_samples: int
    """Verdicts that entered it, unknown ones excluded."""
    num_unknown: int
    """Verdicts that were None."""
    interval: tuple[float, float] | None = None
    """95 % bootstrap interval, where one was computed."""


def mean_at_n(verdicts: Verdicts) -> Estimate:
    """The mean over problems of the share of right samples; problems weigh the same.

    Raises:
        ValueError: no problems, or no problem with a known verdict.
    """
    return _over_problems(verdicts, [sum(known) / len(known) for known in _known(verdicts) if known])


def pass_at_k(verdicts: Verdicts, k: int) -> Estimate:
    """The unbiased chance that one of k samples is right: 1 - C(n-c, k) / C(n, k) (Chen et al. 2021, eq. 1).

    Raises:
        ValueError: empty input, k < 1, or a problem with fewer than k known verdicts.
    """
    if k < 1:
        raise ValueError(f"k is {k}; pass@k needs k >= 1")
    values: list[float] = []
    for index, known in enumerate(_known(verdicts)):
        if not known and len(verdicts[index]) > 0:
            continue
        if len(known) < k:
            raise ValueError(f"problem {index} has {len(known)} known verdicts; pass@{k} needs at least {k}")
        values.append(1.0 - math.comb(len(known) - sum(known), k) / math.comb(len(known), k))
    return _over_problems(verdicts, values)


def maj_at_k(answers: Sequence[Sequence[str | None]], verdicts: Verdicts) -> Estimate:
    """The share of problems whose most frequent answer is right.

    Answers are grouped by their normalised text. Between equally frequent groups the verdicts are averaged,
    and within a group the verdicts of its members. A missing answer (None or "") takes no part in the vote;
    a problem without any answer counts as wrong.

    Raises:
        ValueError: empty input, or answers and verdicts of different shape.
    """
    from eval_math.normalise import clean, squeeze

    if len(answers) != len(verdicts):
        raise ValueError(f"{len(answers)} problems with answers, but {len(verdicts)} with verdicts")
    values: list[float] = []
    for index, (texts, row) in enumerate(zip(answers, verdicts, strict=True)):
        if len(texts) != len(row):
            raise ValueError(f"problem {index}: {len(texts)} answers, but {len(row)} verdicts")
        groups: dict[str, list[bool]] = {}
        for text, verdict in zip(texts, row, strict=True):
            if text and verdict is not None:
                groups.setdefault(squeeze(clean(text)), []).append(verdict)
        most = max(map(len, groups.values()), default=0)
        tied = [sum(group) / len(group) for group in groups.values() if len(group) == most]
        if tied:
            values.append(sum(tied) / len(tied))
        elif any(verdict is not None for verdict in row):
            values.append(0.0)
    return _over_problems(verdicts, values)


def paired_difference(a: Verdicts, b: Verdicts, *, num_resamples: int = 2000, seed: int = 0) -> Estimate:
    """mean@n of `a` minus mean@n of `b` on the same problems, with a paired 95 % bootstrap interval.

    Problems are resampled, each with both of its scores. Problems unknown in either run are left out.

    Raises:
        ValueError: empty input, or runs over different numbers of problems.
    """
    if len(a) != len(b):
        raise ValueError(f"run a has {len(a)} problems and run b has {len(b)}; a paired comparison needs the same ones")
    pairs = [(one, other) for one, other in zip(_known(a), _known(b), strict=True) if one and other]
    differences = [sum(one) / len(one) - sum(other) / len(other) for one, other in pairs]
    unknown = _num_unknown(a) + _num_unknown(b)
    samples = sum(len(one) + len(other) for one, other in pairs)
    value, error = _mean_and_error(differences)
    random, size = Random(seed), len(differences)
    means = sorted(sum(random.choices(differences, k=size)) / size for _ in range(num_resamples))
    low, high = means[int(0.025 * num_resamples)], means[min(num_resamples - 1, int(0.975 * num_resamples))]
    return Estimate(value, error, size, samples, unknown, (low, high))


def _known(verdicts: Verdicts) -> list[list[bool]]:
    return [[verdict for verdict in row if verdict is not None] for row in verdicts]


def _num_unknown(verdicts: Verdicts) -> int:
    return sum(verdict is None for row in verdicts for verdict in row)


def _over_problems(verdicts: Verdicts, values: list[float]) -> Estimate:
    value, error = _mean_and_error(values)
    return Estimate(value, error, len(values), sum(map(len, _known(verdicts))), _num_unknown(verdicts))


def _mean_and_error(values: list[float]) -> tuple[float, float]:
    if not values:
        raise ValueError("no problem with a known verdict; a score of nothing is no score")
    mean = math.fsum(values) / len(values)
    if len(values) == 1:
        return mean, math.nan
    variance = math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)
    return mean, math.sqrt(variance / len(values))
