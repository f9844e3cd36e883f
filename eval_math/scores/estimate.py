"""A mean over problems, how sure it is, and whether two runs over the same problems differ."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random


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


def paired_bootstrap(
    a: Sequence[float | None], b: Sequence[float | None], *, num_resamples: int = 2000, seed: int = 0
) -> Estimate:
    """The mean of a[p] - b[p] with its 95 % percentile interval (Efron 1979; Koehn 2004 for paired systems).

    `a` and `b` hold one value per problem, in the same order: of `mean_values`, `pass_values` or `majority_values`.
    Problems are resampled, each with both of its values; one that is None in either run is left out. Here
    `num_samples` counts values, and `num_unknown` problems left out.

    Raises:
        ValueError: no common problem, runs of different length, or fewer than 40 resamples.
    """
    if len(a) != len(b):
        raise ValueError(f"run a has {len(a)} problems and run b has {len(b)}; a paired comparison needs the same ones")
    if num_resamples < 40:
        raise ValueError(f"num_resamples is {num_resamples}; 2.5 % of the resamples must be at least one: 40 or more")
    differences = [one - other for one, other in zip(a, b, strict=True) if one is not None and other is not None]
    value, error = mean_and_error(differences)
    random, size = Random(seed), len(differences)
    means = sorted(sum(random.choices(differences, k=size)) / size for _ in range(num_resamples))
    low, high = means[int(0.025 * num_resamples)], means[min(num_resamples - 1, int(0.975 * num_resamples))]
    return Estimate(value, error, size, 2 * size, len(a) - size, (low, high))


def mean_and_error(values: Sequence[float]) -> tuple[float, float]:
    """The mean and its standard error s / sqrt(n), NaN for one value; raises ValueError without any."""
    if not values:
        raise ValueError("no problem with a known verdict; a score of nothing is no score")
    mean = math.fsum(values) / len(values)
    if len(values) == 1:
        return mean, math.nan
    variance = math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)
    return mean, math.sqrt(variance / len(values))
