"""Scores over problems with their standard errors; an unknown verdict is left out and counted.

`verdicts[p][s]` is the verdict on sample s of problem p: True, False or None; `answers[p][s]` its answer or None.
Every score is a mean over problems of one value per problem in [0, 1], and its standard error is the one of that
mean: samples of one problem are no independent tests. The values themselves (`mean_values`, `pass_values`,
`majority_values`) are what `estimate.paired_bootstrap` compares between two runs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from eval_math.policy import Policy
from eval_math.scores.estimate import Estimate, mean_and_error, paired_bootstrap
from eval_math.scores.voting import count_votes, majority_value

Verdicts = Sequence[Sequence[bool | None]]
Answers = Sequence[Sequence[str | None]]
Values = list[float | None]
"""One value per problem; None for a problem without any known verdict."""


def mean_at_n(verdicts: Verdicts) -> Estimate:
    """The mean over problems of the share of right samples; problems weigh the same.

    Raises:
        ValueError: no problems, or no problem with a known verdict.
    """
    return _estimate(mean_values(verdicts), verdicts)


def pass_at_k(verdicts: Verdicts, k: int) -> Estimate:
    """The unbiased chance that one of k samples is right: 1 - C(n-c, k) / C(n, k) (Chen et al. 2021, eq. 1).

    Raises:
        ValueError: empty input, k < 1, or a problem with fewer than k known verdicts.
    """
    return _estimate(pass_values(verdicts, k), verdicts)


def maj_at_k(
    answers: Answers, verdicts: Verdicts, k: int | None = None, *, policy: Policy | None = None, seed: int = 0
) -> Estimate:
    """The chance that the most frequent answer of k samples is right; all samples when k is None.

    Samples vote for classes of equal answers (`voting.answer_classes`, under `policy`, by default that of
    benchmarks). Between equally frequent classes the verdicts are averaged, and within a class those of its members.
    A missing answer (None or "") takes no part in the vote; a problem without any answer counts as wrong. For k < n
    it is the expectation over all choices of k of the n samples (`voting.majority_value`).

    Raises:
        ValueError: empty input, answers and verdicts of different shape, k < 1, or a problem with fewer than k known
        verdicts.
    """
    return _estimate(majority_values(answers, verdicts, k, policy=policy, seed=seed), verdicts)


def mean_values(verdicts: Verdicts) -> Values:
    """The share of right samples of each problem."""
    return [sum(known) / len(known) if known else None for known in _known(verdicts)]


def pass_values(verdicts: Verdicts, k: int) -> Values:
    """The unbiased pass@k of each problem; raises ValueError like `pass_at_k`."""

    def value(known: list[bool]) -> float:
        return 1.0 - math.comb(len(known) - sum(known), k) / math.comb(len(known), k)

    return _per_problem(verdicts, k, "pass", lambda _, known: value(known))


def majority_values(
    answers: Answers, verdicts: Verdicts, k: int | None = None, *, policy: Policy | None = None, seed: int = 0
) -> Values:
    """The expected majority vote of each problem; raises ValueError like `maj_at_k`."""
    return _majorities(answers, verdicts, [k], policy, seed)[0]


def curve_ks(n: int) -> list[int]:
    """1, 2, 4, ... below n, and n itself: where a curve over k is computed."""
    return [*(1 << power for power in range(n.bit_length()) if 1 << power < n), n] if n >= 1 else []


def pass_curve(verdicts: Verdicts, ks: Sequence[int] | None = None) -> dict[int, Estimate]:
    """pass@k for every k, by default `curve_ks` of the fewest known verdicts of a problem; raises like `pass_at_k`."""
    return {k: pass_at_k(verdicts, k) for k in _ks(verdicts, ks)}


def maj_curve(
    answers: Answers,
    verdicts: Verdicts,
    ks: Sequence[int] | None = None,
    *,
    policy: Policy | None = None,
    seed: int = 0,
) -> dict[int, Estimate]:
    """maj@k for every k, by default as in `pass_curve`; answers are put into classes once. Raises like `maj_at_k`."""
    chosen = _ks(verdicts, ks)
    values = _majorities(answers, verdicts, chosen, policy, seed)
    return {k: _estimate(found, verdicts) for k, found in zip(chosen, values, strict=True)}


def paired_difference(a: Verdicts, b: Verdicts, *, num_resamples: int = 2000, seed: int = 0) -> Estimate:
    """mean@n of `a` minus mean@n of `b` on the same problems, with a paired 95 % bootstrap interval.

    Problems unknown in either run are left out.

    Raises:
        ValueError: empty input, or runs over different numbers of problems.
    """
    found = paired_bootstrap(mean_values(a), mean_values(b), num_resamples=num_resamples, seed=seed)
    pairs = [(one, other) for one, other in zip(_known(a), _known(b), strict=True) if one and other]
    samples = sum(len(one) + len(other) for one, other in pairs)
    unknown = _num_unknown(a) + _num_unknown(b)
    return Estimate(found.value, found.standard_error, found.num_problems, samples, unknown, found.interval)


def _majorities(
    answers: Answers, verdicts: Verdicts, ks: Sequence[int | None], policy: Policy | None, seed: int
) -> list[Values]:
    """For each k the expected majority vote of each problem."""
    if len(answers) != len(verdicts):
        raise ValueError(f"{len(answers)} problems with answers, but {len(verdicts)} with verdicts")
    for index, (texts, row) in enumerate(zip(answers, verdicts, strict=True)):
        if len(texts) != len(row):
            raise ValueError(f"problem {index}: {len(texts)} answers, but {len(row)} verdicts")
    rules = policy or Policy.benchmark()
    votes = [count_votes(texts, row, rules) for texts, row in zip(answers, verdicts, strict=True)]

    def values(k: int | None) -> Values:
        return _per_problem(
            verdicts,
            1 if k is None else k,
            "maj",
            lambda index, known: majority_value(votes[index], k or len(known), seed=f"{seed}:{index}"),
        )

    return [values(k) for k in ks]


def _per_problem(verdicts: Verdicts, k: int, name: str, value: Callable[[int, list[bool]], float]) -> Values:
    """`value` of each problem's known verdicts; a problem of unknown ones only has none."""
    if k < 1:
        raise ValueError(f"k is {k}; {name}@k needs k >= 1")
    found: Values = []
    for index, known in enumerate(_known(verdicts)):
        if not known and len(verdicts[index]) > 0:
            found.append(None)
            continue
        if len(known) < k:
            raise ValueError(f"problem {index} has {len(known)} known verdicts; {name}@{k} needs at least {k}")
        found.append(value(index, known))
    return found


def _ks(verdicts: Verdicts, ks: Sequence[int] | None) -> list[int]:
    if ks is not None:
        return list(ks)
    fewest = min((len(known) for known in _known(verdicts) if known), default=0)
    if not fewest:
        raise ValueError("no problem with a known verdict; a curve of nothing is no curve")
    return curve_ks(fewest)


def _known(verdicts: Verdicts) -> list[list[bool]]:
    return [[verdict for verdict in row if verdict is not None] for row in verdicts]


def _num_unknown(verdicts: Verdicts) -> int:
    return sum(verdict is None for row in verdicts for verdict in row)


def _estimate(values: Values, verdicts: Verdicts) -> Estimate:
    known = [value for value in values if value is not None]
    value, error = mean_and_error(known)
    return Estimate(value, error, len(known), sum(map(len, _known(verdicts))), _num_unknown(verdicts))
