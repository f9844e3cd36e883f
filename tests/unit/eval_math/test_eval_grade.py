"""Properties of `grade`: exactness, symmetry of sets, robustness, threads; and the real golds."""

import json
import math
import os
import re
import sys
import threading
import time
from collections import Counter
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eval_math import Policy, Reason, benchmarks, extract, grade
from eval_math import grade as grade_function
from eval_math.judging.budget import set_deadline
from eval_math.judging.compare import compare
from eval_math.reading.parse import parse
from eval_math.reading.tree import Call, Node, Num, TooLarge, Unreadable
from eval_math.verdict import RIGHT, UNKNOWN, Grade, verdict_of

REWARD = Policy.reward()
BENCHMARKS = Path(os.environ.get("ODR_BENCHMARKS", Path(__file__).parents[4] / "shared" / "data" / "benchmarks"))
needs_benchmarks = pytest.mark.skipif(not BENCHMARKS.is_dir(), reason=f"no benchmark files in {BENCHMARKS}")


def boxed(answer: str) -> str:
    return rf"\boxed{{{answer}}}"


def verdict(answer: str, gold: str, policy: Policy = REWARD) -> bool | None:
    return grade(boxed(answer), gold, policy).correct


integers = st.integers(-(10**12), 10**12)
fractions = st.fractions(min_value=-(10**6), max_value=10**6, max_denominator=10**5)


@given(fractions, fractions, st.integers(1, 50))
def test_fractions_agree_with_exact_arithmetic(one: Fraction, other: Fraction, factor: int) -> None:
    answer = rf"\frac{{{one.numerator * factor}}}{{{one.denominator * factor}}}"
    gold = f"{other.numerator}/{other.denominator}"

    assert verdict(answer, gold) is (one == other)


@given(fractions, st.integers(1, 50))
def test_an_extended_fraction_is_the_same(value: Fraction, factor: int) -> None:
    answer = rf"\frac{{{value.numerator * factor}}}{{{value.denominator * factor}}}"

    assert verdict(answer, f"{value.numerator}/{value.denominator}") is True


@given(integers, integers)
def test_integers_are_equal_only_to_themselves(one: int, other: int) -> None:
    assert verdict(f"{one:,}", str(other)) is (one == other)
    assert verdict(f"{one:,}", str(one)) is True


@given(st.integers(-(10**9), 10**9), st.integers(0, 6))
def test_a_decimal_is_its_fraction(digits: int, places: int) -> None:
    value = Fraction(digits, 10**places)
    text = f"{digits / 10**places:.{places}f}"

    assert Fraction(text) == value
    assert verdict(text, f"{value.numerator}/{value.denominator}") is True
    assert verdict(text, f"{value.numerator + 1}/{value.denominator}") is False


@given(st.lists(st.integers(-99, 99), min_size=2, max_size=6, unique=True), st.randoms(use_true_random=False))
def test_sets_and_lists_are_equal_in_any_order_and_tuples_only_in_one(members: list[int], random: object) -> None:
    shuffled = list(members)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    gold, answer = ", ".join(map(str, members)), ",".join(map(str, shuffled))

    assert verdict(rf"\{{{answer}\}}", rf"\{{{gold}\}}") is True
    assert verdict(answer.replace(",", ", "), gold) is True
    assert verdict(f"({answer})", f"({gold})") is (shuffled == members)
    assert verdict(rf"\{{{answer},100\}}", rf"\{{{gold}\}}") is False


@given(st.integers(1, 60), st.integers(1, 60))
def test_radicals_agree_with_integer_arithmetic(one: int, other: int) -> None:
    assert verdict(rf"{one}\sqrt{{{other}}}", rf"\sqrt{{{one * one * other}}}") is True
    assert verdict(rf"{one}\sqrt{{{other}}}", rf"\sqrt{{{one * one * other + 1}}}") is False


@given(st.lists(st.integers(-9, 9), min_size=1, max_size=5), st.lists(st.integers(-9, 9), min_size=1, max_size=5))
def test_polynomials_are_equal_exactly_when_their_coefficients_are(one: list[int], other: list[int]) -> None:
    def text(coefficients: list[int]) -> str:
        return "+".join(f"({c})x^{{{power}}}" for power, c in enumerate(coefficients))

    def stripped(coefficients: list[int]) -> list[int]:
        return coefficients[: max((i + 1 for i, c in enumerate(coefficients) if c), default=0)]

    assert verdict(text(one), text(other)) is (stripped(one) == stripped(other))


@settings(max_examples=300)
@given(st.text(max_size=80), st.text(max_size=40))
def test_grade_never_raises_and_never_crashes_on_any_text(answer: str, gold: str) -> None:
    for response in (boxed(answer), answer):
        found = grade(response, gold, Policy.benchmark())
        assert found.reason is not Reason.GRADER_CRASHED
        assert found.correct is verdict_of(found.reason)


_PIECES = [*"0123456789+-*/^_=<>(){}[]|!,.%$ xyei", r"\frac", r"\sqrt", r"\pi", r"\left", r"\{", r"\}", r"\infty"]
_PIECES += [
    r"\cup",
    r"\pm",
    r"\text{ cm}",
    r"\sin",
    r"\log_",
    r"\begin{pmatrix}",
    r"\end{pmatrix}",
    "&",
    r"\\",
    r"^\circ",
]
_PIECES += [r"\le", r"\binom", r"\lfloor", r"\rfloor", r"\in", r"\overline", "'", r"\text{and}", r"\%", "\u00b0", r"\$"]


@settings(max_examples=600, deadline=None)
@given(st.lists(st.sampled_from(_PIECES), max_size=14), st.lists(st.sampled_from(_PIECES), max_size=14))
def test_grade_never_crashes_on_broken_formulas(answer: list[str], gold: list[str]) -> None:
    started = time.perf_counter()

    found = grade(boxed("".join(answer).replace("{}", "{1}")), "".join(gold), REWARD)

    assert found.reason is not Reason.GRADER_CRASHED
    assert time.perf_counter() - started < 2.5


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(_PIECES), min_size=1, max_size=10))
def test_an_answer_equal_to_its_gold_is_right(pieces: list[str]) -> None:
    text = "".join(pieces).strip()
    found = extract(boxed(text), "strict")

    if text and found is not None and found.text == text:
        assert verdict(text, text) is True


def test_several_golds_mean_any_of_them() -> None:
    assert grade(boxed("4"), ["3", "4"], REWARD).correct is True
    assert grade(boxed("5"), ["3", "4"], REWARD).correct is False
    assert grade(boxed("5"), ["3", r"\frac{1}{"], REWARD).correct is None
    assert grade(boxed("3"), [r"\frac{1}{", "3"], REWARD).correct is True
    assert grade(boxed("3"), [], REWARD).correct is None


def test_the_grade_tells_where_the_answer_stands_and_what_decided() -> None:
    response = r"Hence \boxed{ \frac{2}{4} }."

    found = grade(response, "0.5", REWARD)

    assert found.span is not None
    assert response[slice(*found.span)] == found.answer == r"\frac{2}{4}"
    assert (found.reason, found.rule, found.stage, found.gold_form) == (Reason.RATIONAL_EQUAL, "boxed", 3, "0.5")
    assert 0 < found.seconds < 1
    assert Grade.from_json(json.loads(json.dumps(found.to_json()))) == found


def test_every_reason_has_one_verdict() -> None:
    assert {reason for reason in Reason if verdict_of(reason) is True} == RIGHT
    assert {reason for reason in Reason if verdict_of(reason) is None} == UNKNOWN
    assert not RIGHT & UNKNOWN


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        ("nothing", Reason.NO_ANSWER),
        (r"\boxed{}", Reason.NO_ANSWER),
        (r"<think>\boxed{5}", Reason.UNFINISHED),
        (boxed("1,2"), Reason.WRONG_COUNT),
        (boxed("(1,2]"), Reason.WRONG_KIND),
        (boxed("9" * 5000), Reason.TOO_LONG),
        (boxed("9^{9^{9^{9}}}"), Reason.TOO_LARGE),
        (boxed("6 if n is even"), Reason.UNREADABLE_ANSWER),
        (boxed("6"), Reason.DIFFERENT),
    ],
)
def test_a_wrong_answer_says_what_is_wrong_with_it(response: str, reason: Reason) -> None:
    found = grade(response, "5", REWARD)

    assert (found.correct, found.reason) == (False, reason)


def test_the_same_verdict_comes_from_other_threads() -> None:
    pairs = [(r"\sqrt{8}", r"2\sqrt2"), ("x^2-1", "(x-1)(x+1)"), (r"\sin 2x", r"2\sin x\cos x"), ("3.14", r"\pi")]
    expected = [True, True, True, False]
    failures: list[object] = []

    def work() -> None:
        for _ in range(20):
            found = [verdict(*pair) for pair in pairs]
            if found != expected:
                failures.append(found)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)

    assert not any(thread.is_alive() for thread in threads)
    assert failures == []


def test_a_defect_in_the_grader_is_no_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    module = sys.modules[grade_function.__module__]
    monkeypatch.setattr(module, "decide", lambda *_: 1 / 0)

    found = grade(boxed("x+1"), "y", REWARD)

    assert (found.correct, found.reason) == (None, Reason.GRADER_CRASHED)


def test_an_answer_that_takes_too_long_is_wrong_and_its_gold_is_not_to_blame(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[grade_function.__module__], "IN_PROCESS_SECONDS", 0.05)
    gold = ",".join(rf"x+\sqrt{{{i}}}" for i in range(2, 80))
    answer = ",".join(rf"x+\sqrt{{{i}}}" for i in range(79, 1, -1))

    found = grade(boxed(answer), gold, REWARD)

    assert (found.correct, found.reason) == (False, Reason.TIMEOUT)


def test_tolerance_belongs_to_the_policy() -> None:
    loose = Policy.benchmark("minerva_math")

    assert verdict("4.5e33", "4.52e33", loose) is True
    assert verdict("4.5e33", "4.52e33") is False
    assert verdict("4.5e33", "4.6e33", loose) is False
    assert verdict("1.2", "-1.2", loose) is False
    with pytest.raises(ValueError, match=r"expected a number in \[0, 1\)"):
        REWARD.with_tolerance(1.5)


def _mirrored(node: Node) -> Node:
    """The same value written the other way round, so that no comparison of texts or trees helps."""
    if isinstance(node, Num):
        return Call("div", (Num(node.value * 6), Num(Fraction(6))))
    if not isinstance(node, Call):
        return node
    if node.head in ("pow", "root", "based", "deg", "percent", "logb") or node.head.startswith("rel"):
        return node
    arguments = tuple(map(_mirrored, node.args))
    return Call(node.head, arguments[::-1] if node.head in ("add", "mul") else arguments)


def _shifted(node: Node) -> Node:
    """Another value: the first member, or the whole, plus one."""
    if isinstance(node, Call) and node.args and node.head.startswith(("list", "set", "seq", "union", "matrix", "row")):
        return Call(node.head, (_shifted(node.args[0]), *node.args[1:]))
    if isinstance(node, Call) and node.head.startswith("rel"):
        return Call(node.head, (*node.args[:-1], _shifted(node.args[-1])))
    if isinstance(node, Call) and node.head in ("pm", "deg", "percent"):
        return Call(node.head, (_shifted(node.args[0]), *node.args[1:]))
    if isinstance(node, Call) and node.head in ("based", "inf"):
        return Num(Fraction(-1))
    return (
        Call("add", (node, Num(Fraction(1))))
        if not hasattr(node, "dims")
        else node._replace(value=_shifted(node.value))
    )  # type: ignore[union-attr]


@needs_benchmarks
@pytest.mark.parametrize(("name", "share"), [("math500", 1.0), ("aime24", 1.0), ("amc23", 1.0), ("gsm8k", 1.0),
                                             ("minerva_math", 0.98), ("olympiadbench", 0.99)])  # fmt: skip
def test_real_golds_equal_themselves_and_are_readable(name: str, share: float) -> None:
    golds = [answer for problem in benchmarks.load(name, BENCHMARKS).problems for answer in problem.answers]

    itself = [verdict(gold, gold) for gold in golds]
    spelled = [verdict(" " + re.sub(r"\\frac", r"\\dfrac", gold) + r" \;", gold) for gold in golds]
    against = Counter(verdict("12345.678", gold) for gold in golds)

    print(f"{name}: {sum(map(bool, itself))}/{len(golds)} equal themselves, {against[None]} unreadable")
    assert all(itself)
    assert sum(map(bool, spelled)) >= share * len(golds)
    assert against[True] == 0
    assert against[False] >= share * len(golds)


@needs_benchmarks
@pytest.mark.parametrize(("name", "share"), [("math500", 1.0), ("minerva_math", 0.97), ("olympiadbench", 0.98)])
def test_real_golds_are_judged_by_value(name: str, share: float) -> None:
    same: Counter[bool] = Counter()
    other: Counter[bool] = Counter()
    for problem in benchmarks.load(name, BENCHMARKS).problems:
        for answer in problem.answers:
            try:
                tree = parse(answer)
                set_deadline(60.0)  # the last one was set by another test
                same[compare(_mirrored(tree), tree, REWARD) in RIGHT] += 1
                other[compare(_shifted(tree), tree, REWARD) in RIGHT] += 1
            except (Unreadable, TooLarge):
                continue

    print(f"{name}: {dict(same)} mirrored, {dict(other)} shifted")
    assert other[True] == 0
    assert same[True] >= share * sum(same.values())


@needs_benchmarks
def test_grading_is_fast_enough_for_a_training_batch() -> None:
    golds = [answer for problem in benchmarks.load("math500", BENCHMARKS).problems for answer in problem.answers]
    rows = [(f"We compute. {boxed(gold)}", other) for gold, other in zip(golds, golds[1:] + golds[:1], strict=True)]
    verdict("x+1", "x+2")
    started = time.perf_counter()

    for response, gold in rows:
        grade(response, gold, REWARD)

    rate = len(rows) / (time.perf_counter() - started)
    print(f"{rate:.0f} mismatched MATH-500 answers per second")
    assert rate > 200
    assert math.isfinite(rate)
