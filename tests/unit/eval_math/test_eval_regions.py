"""Sets of reals and families of values against membership, tested point by point."""

from collections.abc import Callable
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eval_math import Policy, grade
from eval_math.judging import budget
from eval_math.judging.families import same_family
from eval_math.judging.regions import integers_of, region_of
from eval_math.judging.spans import same_spans
from eval_math.reading.parse import parse

Contains = Callable[[Fraction], bool]
PROBES = [Fraction(number, 2) for number in range(-25, 26)]
"""The ends below are integers, so halves tell all sets apart."""


@st.composite
def spans(draw: st.DrawFn) -> tuple[str, Contains]:
    """A span with integer or infinite ends, and its membership."""
    low = draw(st.none() | st.integers(-10, 8))
    high = draw(st.none() | st.integers(-9 if low is None else low + 1, 10))
    low_in = low is not None and draw(st.booleans())
    high_in = high is not None and draw(st.booleans())
    ends = r"-\infty" if low is None else str(low), r"\infty" if high is None else str(high)
    text = f"{'[' if low_in else '('}{ends[0]}, {ends[1]}{']' if high_in else ')'}"
    return text, _between(low, low_in, high, high_in)


def _between(low: int | None, low_in: bool, high: int | None, high_in: bool) -> Contains:
    def contains(x: Fraction) -> bool:
        above = low is None or x > low or (low_in and x == low)
        return above and (high is None or x < high or (high_in and x == high))

    return contains


@pytest.fixture(autouse=True)
def _no_deadline() -> None:
    """What is called here directly runs under the deadline of whatever was graded before."""
    budget.set_deadline(600.0)


def _members(text: str) -> list[bool]:
    region = region_of(parse(text))
    assert region is not None, text
    return [
        any(
            (s.low < float(x) or (s.low_in and s.low == float(x)))
            and (float(x) < s.high or (s.high_in and float(x) == s.high))
            for s in region.spans
        )
        for x in map(float, PROBES)
    ]


@given(st.lists(spans(), min_size=1, max_size=4))
@settings(max_examples=150, deadline=None, derandomize=True)
def test_a_union_holds_what_its_parts_hold(parts: list[tuple[str, Contains]]) -> None:
    text = r" \cup ".join(part for part, _ in parts)

    assert _members(text) == [any(contains(x) for _, contains in parts) for x in PROBES]


@given(spans(), spans())
@settings(max_examples=150, deadline=None, derandomize=True)
def test_intersection_and_difference(one: tuple[str, Contains], other: tuple[str, Contains]) -> None:
    assert _members(rf"{one[0]} \cap {other[0]}") == [one[1](x) and other[1](x) for x in PROBES]
    assert _members(rf"{one[0]} \setminus {other[0]}") == [one[1](x) and not other[1](x) for x in PROBES]


@given(st.lists(spans(), min_size=1, max_size=3), st.lists(spans(), min_size=1, max_size=3))
@settings(max_examples=200, deadline=None, derandomize=True)
def test_two_unions_are_equal_if_they_hold_the_same(
    left: list[tuple[str, Contains]], right: list[tuple[str, Contains]]
) -> None:
    one, other = (r" \cup ".join(part for part, _ in parts) for parts in (left, right))
    same = all(any(c(x) for _, c in left) == any(c(x) for _, c in right) for x in PROBES)

    regions = region_of(parse(one)), region_of(parse(other))

    assert regions[0] is not None
    assert regions[1] is not None
    assert same_spans(*regions) is same


@pytest.mark.parametrize(
    ("answer", "gold", "expected"),
    [
        (r"x \ne 3", r"(-\infty,3)\cup(3,\infty)", True),
        (r"\mathbb{R}\setminus\{3\}", r"x \neq 3", True),
        (r"x \ge 2 \text{ and } x \le 5", "[2,5]", True),
        (r"x < -2 \text{ or } x > 2", r"(-\infty,-2)\cup(2,\infty)", True),
        (r"|x-1| < 2", "(-1,3)", True),
        (r"|x-1| \le 2", "(-1,3)", False),
        (r"3-2x > 7", r"x < -2", True),
        (r"3-2x > 7", r"x > -2", False),
        (r"x < 2", r"y < 2", False),
        (r"2 < x < 5", r"2 < x \le 5", False),
    ],
)
def test_conditions_are_sets(answer: str, gold: str, expected: bool) -> None:
    assert grade(rf"\boxed{{{answer}}}", gold, Policy.reward()).correct is expected


def test_integers_among_the_reals() -> None:
    strict, loose = integers_of(parse("n > 3")), integers_of(parse(r"n \ge 4"))
    counted, spanned = integers_of(parse("4, 5, 6")), integers_of(parse(r"3 < n \le 6"))

    assert strict is not None
    assert loose is not None
    assert same_spans(strict, loose)
    assert counted is not None
    assert spanned is not None
    assert same_spans(counted, spanned)


residues = st.lists(st.tuples(st.integers(-30, 30), st.integers(1, 12)), min_size=1, max_size=3)


@given(residues, residues)
@settings(max_examples=200, deadline=None, derandomize=True)
def test_two_families_are_equal_if_they_hold_the_same_integers(
    left: list[tuple[int, int]], right: list[tuple[int, int]]
) -> None:
    one, other = (
        " , ".join(f"{offset} + {period}k" for offset, period in family) + r", k \in \mathbb{Z}"
        for family in (left, right)
    )

    def held(family: list[tuple[int, int]]) -> set[int]:
        return {x for x in range(-200, 200) if any((x - offset) % period == 0 for offset, period in family)}

    found = same_family(parse(one), parse(other))

    assert found is (held(left) == held(right)) or found is None
