"""How likely a paired difference is to be chance, and what remains of that when several are looked at."""

from collections.abc import Sequence

import numpy as np

DRAWS = 10_000
AT_ONCE = 4_000_000
"""Signs drawn at a time; bounds the memory."""


def sign_flip(differences: Sequence[float], seed: int = 0) -> float:
    """Two-sided p of a mean of paired differences: were signs chance, how often would it be as far from 0?

    A permutation test (Fisher 1935) by `DRAWS` random sign vectors, the observed one among them, so that p is never 0
    and valid for any number of draws (Phipson & Smyth 2010).

    Raises:
        ValueError: no differences.
    """
    values = np.asarray([value for value in differences if value], dtype=np.float64)  # the sign of 0 changes nothing
    if not len(differences):
        raise ValueError("no differences to test")
    if not len(values):
        return 1.0
    random, observed, as_far = np.random.default_rng(seed), abs(values.sum()), 0
    block = max(1, AT_ONCE // len(values))
    for start in range(0, DRAWS, block):
        signs = random.integers(0, 2, size=(min(block, DRAWS - start), len(values)), dtype=np.int8)
        sums = 2.0 * (signs @ values) - values.sum()
        as_far += int((np.abs(sums) >= observed * (1 - 1e-9)).sum())
    return (as_far + 1) / (DRAWS + 1)


def holm(ps: Sequence[float]) -> list[float]:
    """The p of each test adjusted for all of them (Holm 1979): the chance of any false one stays below it."""
    order = sorted(range(len(ps)), key=lambda index: ps[index])
    adjusted, highest = [0.0] * len(ps), 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, (len(ps) - rank) * ps[index]))
        adjusted[index] = highest
    return adjusted
