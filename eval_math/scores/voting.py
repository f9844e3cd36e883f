"""What the majority vote of k samples is worth: self-consistency (Wang et al., arXiv:2203.11171)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from random import Random

from eval_math.policy import Policy
from eval_math.scores.answer_classes import answer_classes

EXACT_OPERATIONS = 2_000_000
"""Above this estimate of work (about 0.1 s) the expectation over subsets is sampled instead."""
NUM_SUBSETS = 2000
"""Subsets sampled then; the standard error of one problem's value is at most 0.5 / sqrt(2000) = 0.011."""


@dataclass(frozen=True, slots=True)
class Votes:
    """The votes on one problem."""

    classes: tuple[tuple[int, int], ...]
    """(samples, right samples) of every class of answers, in the order of their first appearance."""
    num_abstentions: int
    """Samples without an answer: they are drawn like others, and vote for nothing."""

    @property
    def num_samples(self) -> int:
        """All samples that may be drawn."""
        return sum(size for size, _ in self.classes) + self.num_abstentions


def count_votes(answers: Sequence[str | None], verdicts: Sequence[bool | None], policy: Policy) -> Votes:
    """The votes on one problem: a sample without a verdict is no sample, one without an answer abstains."""
    known = [(text, verdict) for text, verdict in zip(answers, verdicts, strict=True) if verdict is not None]
    voting = [(text, verdict) for text, verdict in known if text and text.strip()]
    counts: dict[int, list[int]] = {}
    for number, (_, verdict) in zip(answer_classes([text for text, _ in voting], policy), voting, strict=True):
        count = counts.setdefault(number, [0, 0])
        count[0] += 1
        count[1] += verdict
    return Votes(tuple((size, right) for size, right in counts.values()), len(known) - len(voting))


def majority_value(votes: Votes, k: int, *, seed: int | str = 0) -> float:
    """The expected share of right votes in the largest class of k samples drawn without putting back.

    Between equally large classes the vote is split; a draw without any answer is worth 0. Exact, or the mean over
    `NUM_SUBSETS` seeded draws where exactness is dear.

    Raises:
        ValueError: k < 1, or fewer than k samples.
    """
    if not 1 <= k <= votes.num_samples:
        raise ValueError(f"k is {k}, but there are {votes.num_samples} samples to draw from")
    if k == votes.num_samples:
        return _of_all(votes.classes)
    if _operations(votes, k) <= EXACT_OPERATIONS:
        return _expected(Votes(tuple(sorted(votes.classes)), votes.num_abstentions), k)
    return _sampled(votes, k, Random(f"{seed}:{k}"))


def _of_all(classes: Sequence[tuple[int, int]]) -> float:
    most = max((size for size, _ in classes), default=0)
    shares = [right / size for size, right in classes if size == most and size]
    return sum(shares) / len(shares) if shares else 0.0


def _operations(votes: Votes, k: int) -> int:
    sizes = [size for size, _ in votes.classes]
    return sum(
        (k + 1)
        * (min(k // top, sum(size >= top for size in sizes)) + 1)
        * (sum(min(size, top) + 1 for size in sizes) + votes.num_abstentions)
        for top in range(1, min(k, max(sizes, default=0)) + 1)
    )


@lru_cache(maxsize=4096)
def _expected(votes: Votes, k: int) -> float:
    """The expectation over all subsets, summed over the size of the largest class in the subset.

    For each size `top`, ways[used][tied] counts the subsets of the classes seen so far in which none exceeds `top`
    and `tied` reach it; worth[used][tied] is the sum of the shares of those tied classes, over these subsets, in
    units of 1 / `unit`, so that all sums are exact integers.
    """
    unit = math.lcm(*(size for size, _ in votes.classes)) if votes.classes else 1
    total = Fraction(0)
    for top in range(1, min(k, max((size for size, _ in votes.classes), default=0)) + 1):
        ways, worth = {(0, 0): 1}, {(0, 0): 0}
        for size, right in (*votes.classes, (votes.num_abstentions, -1)):
            ways, worth = _with_class(ways, worth, size, right * unit // size if right >= 0 and size else -1, top, k)
        for (used, tied), value in worth.items():
            if used == k and tied:
                total += Fraction(value, tied)
    return float(total / (unit * math.comb(votes.num_samples, k)))


_Table = dict[tuple[int, int], int]


def _with_class(ways: _Table, worth: _Table, size: int, share: int, top: int, k: int) -> tuple[_Table, _Table]:
    """The tables with one more class of `size` samples; a negative `share` marks abstentions, which never tie."""
    new_ways: _Table = {}
    new_worth: _Table = {}
    for (used, tied), count in ways.items():
        value = worth[used, tied]
        for drawn in range(min(size, k - used, size if share < 0 else top) + 1):
            ties = share >= 0 and drawn == top
            chosen, key = math.comb(size, drawn), (used + drawn, tied + ties)
            new_ways[key] = new_ways.get(key, 0) + chosen * count
            new_worth[key] = new_worth.get(key, 0) + chosen * (value + (share * count if ties else 0))
    return new_ways, new_worth


def _sampled(votes: Votes, k: int, random: Random) -> float:
    labels = [number for number, (size, _) in enumerate(votes.classes) for _ in range(size)]
    labels += [-1] * votes.num_abstentions
    shares = [right / size for size, right in votes.classes]
    total = 0.0
    for _ in range(NUM_SUBSETS):
        counts: dict[int, int] = {}
        for label in random.sample(labels, k):
            if label >= 0:
                counts[label] = counts.get(label, 0) + 1
        most = max(counts.values(), default=0)
        tied = [shares[label] for label, count in counts.items() if count == most]
        total += sum(tied) / len(tied) if tied else 0.0
    return total / NUM_SUBSETS
