"""Which answers to one problem are the same: canonicalise, then cluster.

Two answers are one class when they have the same normalised text, the same exact rational value, or when each is
graded right against the other. The classes are what samples vote for (`voting`).
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from eval_math.grade import grade_answer
from eval_math.judging.budget import OutOfTime, set_deadline
from eval_math.judging.exact import exact
from eval_math.policy import Policy
from eval_math.reading.normalise import clean, squeeze
from eval_math.reading.parse import parse
from eval_math.reading.tree import TooLarge, Unreadable

MAX_COMPARED = 24
"""Only so many classes of a problem, the most frequent ones, are compared with each other."""
MAX_COMPARED_CHARS = 200
"""A longer answer is the same as another one only by its text."""
SLOW_SECONDS, MAX_SLOW = 0.1, 4
"""After so many comparisons of a problem that took so long, no more are made."""

_Group = tuple["Fraction | str", list[int]]
"""What a class is known by, its exact value or its text, and the indices of its members."""


def answer_classes(answers: Sequence[str], policy: Policy | None = None) -> list[int]:
    """For each answer the number of its class, counted from 0 in the order of first appearance.

    Work is bounded: only the most frequent `MAX_COMPARED` classes are compared pair by pair.
    """
    spelled: dict[str, list[int]] = {}
    for index, answer in enumerate(answers):
        spelled.setdefault(squeeze(clean(answer)), []).append(index)
    valued: dict[Fraction | str, list[int]] = {}
    for text, members in spelled.items():
        value = _rational(answers[members[0]])
        valued.setdefault(text if value is None else value, []).extend(members)
    groups = _merged(list(valued.items()), answers, policy or Policy.benchmark())
    classes = [0] * len(answers)
    for number, members in enumerate(sorted(groups, key=min)):
        for index in members:
            classes[index] = number
    return classes


def _rational(answer: str) -> Fraction | None:
    """The exact value of an answer that is one rational number."""
    if len(answer) > MAX_COMPARED_CHARS:
        return None
    set_deadline(0.1)
    try:
        return exact(parse(answer))
    except (Unreadable, TooLarge, OutOfTime):
        return None


def _merged(groups: list[_Group], answers: Sequence[str], policy: Policy) -> list[list[int]]:
    """The members of the groups, put together where the first members are right answers to each other."""
    ranked = sorted(groups, key=lambda group: (-len(group[1]), group[1][0]))
    found: list[_Group] = []
    slow = 0
    for rank, (key, members) in enumerate(ranked):
        home: list[int] | None = None
        for other_key, other in found if rank < MAX_COMPARED else ():
            one, two = answers[members[0]], answers[other[0]]
            # Two exact values that differ are different answers; only a tolerance could make them one.
            differ = isinstance(key, Fraction) and isinstance(other_key, Fraction) and not policy.relative_tolerance
            if differ or slow >= MAX_SLOW or max(len(one), len(two)) > MAX_COMPARED_CHARS:
                continue
            same, seconds = _same(one, two, policy)
            slow += seconds > SLOW_SECONDS
            if same:
                home = other
                break
        if home is None:
            found.append((key, list(members)))
        else:
            home.extend(members)
    return [members for _, members in found]


def _same(one: str, other: str, policy: Policy) -> tuple[bool, float]:
    """Whether each is a right answer to the other, and the seconds it took to see that."""
    there = grade_answer(one, other, policy)
    if not there.correct:
        return False, there.seconds
    back = grade_answer(other, one, policy)
    return bool(back.correct), there.seconds + back.seconds
