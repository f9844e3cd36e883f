r"""The gold audit of a benchmark: is every reference answer one that this grader can work with?

Each gold, in a box, is graded against itself, and a number that no benchmark asks for is graded against it. An
exception is a gold that is not right for itself, one that takes the wrong number, or one that cannot be read, so
that a right answer in another spelling gets no verdict.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from eval_math.benchmarks import Benchmark
from eval_math.grade import grade
from eval_math.policy import Policy

_WRONG = r"\boxed{\frac{98765432123}{1009}}"


@dataclass(frozen=True, slots=True)
class GoldException:
    """A reference answer with which something is the matter."""

    problem_id: str
    gold: str
    reason: str


def audit(benchmark: Benchmark) -> list[GoldException]:
    """The exceptions among the golds of a benchmark under its policy, in its order; a millisecond per gold."""
    return [
        GoldException(problem.problem_id, gold, reason)
        for problem in benchmark.problems
        for gold in problem.answers
        if (reason := _objection(gold, benchmark.policy))
    ]


@lru_cache(maxsize=1 << 16)  # a campaign audits the same golds before every iteration
def _objection(gold: str, policy: Policy) -> str | None:
    itself = grade(rf"\boxed{{{gold}}}", gold, policy)
    if not itself.correct:
        return f"not right for itself: {itself.reason}"
    other = grade(_WRONG, gold, policy)
    if other.correct is None:
        return f"only its own spelling gets a verdict: {other.reason}"
    return f"takes a wrong answer for right: {other.reason}" if other.correct else None
