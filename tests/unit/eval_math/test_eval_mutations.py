"""What always changes a verdict: one digit, one sign, one end point, one bracket, one base.

Small generators, and every real gold where they are at hand.
"""

import random
import re

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from eval_math import Policy, grade
from tests.bench.answer_sets import DATA, available, boxed, real_golds

REWARD = Policy.reward()
needs_benchmarks = pytest.mark.skipif(not available(DATA), reason=f"no benchmark files in {DATA}")
# Shared cores are slow at times, and what cannot be spelled in a style is left out.
CHECKS = [HealthCheck.too_slow, HealthCheck.filter_too_much]
often = settings(max_examples=120, derandomize=True, suppress_health_check=CHECKS)


# What says something else.

members = st.one_of(
    st.integers(-999, 999).map(str),
    st.tuples(st.integers(1, 99), st.integers(2, 99)).map(lambda pq: rf"\frac{{{pq[0]}}}{{{pq[1]}}}"),
    st.tuples(st.integers(2, 99), st.sampled_from([2, 3, 5, 7])).map(lambda ab: rf"{ab[0]}\sqrt{{{ab[1]}}}"),
    st.integers(1, 9999).map(lambda n: f"{n // 100}.{n % 100:02d}"),
    st.integers(2, 99).map(lambda n: rf"{n}\pi"),
    st.tuples(st.integers(2, 9), st.integers(2, 9)).map(lambda ab: rf"{ab[0]}x^{{{ab[1]}}}"),
    st.tuples(st.integers(2, 9), st.integers(2, 99)).map(lambda ab: rf"{ab[0]}x+{ab[1]}y"),
)
FRAMES = ["{0}", "({0},{1})", "({0},{1},7)", r"\{{{0},{1}\}}", "{0},{1}", r"\begin{{pmatrix}}{0}\\{1}\end{{pmatrix}}",
          "x={0}", r"y = {0}+{1}z", "[{0},{1})", r"x \le {0}", r"\frac{{{0}}}{{t+1}}", r"(-\infty,{0})\cup({0},\infty)",
          r"a \pm {0}", r"\sqrt{{({0})^2+1}}", "({0})^2+1"]  # fmt: skip
# Powers and factors of 0 and 1 may be equal whatever their other digits are.
proper = members.filter(lambda text: not re.fullmatch(r"-?[01](\.00)?|0\.00|\\frac\{(\d+)\}\{\2\}", text))
formulas = st.builds(lambda frame, one, two: frame.format(one, two), st.sampled_from(FRAMES), proper, proper)


def digits_of(text: str) -> list[int]:
    """Where a digit stands whose change changes the value: no leading zero, no zero numerator or factor."""
    return [match.start() for match in re.finditer(r"[1-9]", text)]


@settings(max_examples=300, derandomize=True, suppress_health_check=CHECKS)
@given(formulas, st.data())
def test_one_changed_digit_is_wrong(gold: str, data: st.DataObject) -> None:
    at = data.draw(st.sampled_from(digits_of(gold) or [-1]))
    assume(at >= 0)
    digit = data.draw(st.sampled_from([each for each in "123456789" if each != gold[at]]))
    changed = gold[:at] + digit + gold[at + 1 :]
    assume(not cancels(changed, gold))

    verdict = grade(boxed(changed), gold, REWARD)

    assert verdict.correct is False, f"{changed} ||| {gold} ||| False ||| {verdict.reason.value}"


def cancels(changed: str, gold: str) -> bool:
    """A fraction such as 1/1 against 2/2, or members that coincide, may be equal after all; leave those out."""
    value = re.compile(r"\\frac\{(\d+)\}\{(\d+)\}")
    pairs = zip(value.findall(changed), value.findall(gold), strict=False)
    return any(int(a) * int(d) == int(c) * int(b) and (a, b) != (c, d) for (a, b), (c, d) in pairs)


SIGNED = ["{}", "({},5)", r"\{{{},5.5\}}", "x={}", "{}+7q", "x<{}", r"\begin{{pmatrix}}8\\{}\end{{pmatrix}}"]


@settings(max_examples=200, derandomize=True, suppress_health_check=CHECKS)
@given(members, st.data())
def test_one_changed_sign_is_wrong(value: str, data: st.DataObject) -> None:
    assume(value.strip("-") != "0" and not value.startswith("0.00"))
    frame = data.draw(st.sampled_from(SIGNED))
    opposite = value[1:] if value.startswith("-") else f"-{value.replace('+', '-')}"

    verdict = grade(boxed(frame.format(opposite)), frame.format(value), REWARD)

    assert verdict.correct is False, f"{frame.format(opposite)} ||| {frame.format(value)} ||| {verdict.reason.value}"


@often
@given(st.integers(-50, 50), st.integers(1, 50), st.sampled_from(["()", "[]", "(]", "[)"]), st.integers(0, 1))
def test_one_changed_bracket_or_end_point_is_wrong(low: int, width: int, ends: str, side: int) -> None:
    high = low + width
    gold = f"{ends[0]}{low},{high}{ends[1]}"
    other = {"(": "[", "[": "(", ")": "]", "]": ")"}[ends[side]] if ends else ""
    brackets = (other + ends[1]) if side == 0 else (ends[0] + other)

    assert grade(boxed(f"{brackets[0]}{low},{high}{brackets[1]}"), gold, REWARD).correct is False
    assert grade(boxed(f"{ends[0]}{low - 1},{high}{ends[1]}"), gold, REWARD).correct is False
    assert grade(boxed(f"{ends[0]}{low},{high + 1}{ends[1]}"), gold, REWARD).correct is False
    assert grade(boxed(rf"{gold}\cup({high + 3},\infty)"), gold, REWARD).correct is False
    assert grade(boxed(rf"{low} \le x < {high + 2}"), gold, REWARD).correct is False


@often
@given(st.integers(2, 9), st.integers(2, 9), st.integers(1, 999))
def test_another_base_is_wrong(base: int, other: int, number: int) -> None:
    assume(base != other)

    assert grade(boxed(f"{number}_{{{other}}}"), f"{number}_{{{base}}}", REWARD).correct is False


@often
@given(st.lists(members, min_size=2, max_size=6, unique=True), st.randoms(use_true_random=False))
def test_sets_have_no_order_but_lose_no_member(values: list[str], shuffler: random.Random) -> None:
    order = list(values)
    shuffler.shuffle(order)

    assert grade(boxed(rf"\{{{', '.join(order)}\}}"), rf"\left\{{{','.join(values)}\right\}}", REWARD).correct is True
    assert grade(boxed(rf"\{{{', '.join(order[1:])}\}}"), rf"\{{{','.join(values)}\}}", REWARD).correct is False
    assert grade(boxed(r" \text{ and } ".join(order)), ", ".join(values), REWARD).correct is True


def verdict(answer: str, gold: str) -> bool | None:
    return grade(boxed(answer), gold, REWARD).correct


def listed(pairs: list[tuple[str, str]]) -> str:
    """The pairs that pass, a line each; empty when none does."""
    return "\n".join(f"{answer} ||| {gold}" for answer, gold in pairs if verdict(answer, gold) is True)


@needs_benchmarks
def test_a_real_gold_with_one_changed_digit_is_never_right() -> None:
    # Conditions in words ("where \\mho(a) = 0") stand beside the answer and are not compared.
    golds = [gold for gold in real_golds(DATA) if " where " not in gold]
    pairs = [
        (gold[:at] + ("9" if gold[at] != "9" else "7") + gold[at + 1 :], gold)
        for gold in golds
        for at in digits_of(gold)
    ]

    assert not listed(pairs)


@needs_benchmarks
def test_a_real_gold_with_one_changed_sign_is_never_right() -> None:
    # With every whole k, a + k pi and a - k pi are the same numbers.
    pairs = [
        (gold[: sign.start()] + {"+": "-", "-": "+"}[sign.group()] + gold[sign.end() :], gold)
        for gold in real_golds(DATA)
        for sign in re.finditer(r"[+-]", gold if "k" not in gold else "")
    ]

    assert not listed(pairs)
