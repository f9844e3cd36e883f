"""Equations between numbers: found where they are whole, judged only where a verdict is no guess."""

import json
import os
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval_math.judging.budget import set_deadline
from eval_math.process.equations import MAX_SIDE_CHARS, equations, holds

BENCHMARKS = Path(os.environ.get("ODR_BENCHMARKS", Path(__file__).parents[4] / "shared" / "data" / "benchmarks"))
needs_benchmarks = pytest.mark.skipif(not BENCHMARKS.is_dir(), reason=f"no benchmark files in {BENCHMARKS}")


def judged(text: str) -> list[tuple[str, str, bool | None]]:
    set_deadline(5)
    return [(left, right, holds(left, right)) for left, right in equations(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r"12 \times 4 = 48", [(r"12 \times 4", "48", True)]),
        ("So 3 + 4 + 5 = 7 + 5 = 13.", [("3 + 4 + 5", "7 + 5", True), ("7 + 5", "13", False)]),
        ("x = 3 + 4 = 7", [("3 + 4", "7", True)]),
        ("He eats 3+4=<<3+4=7>>7 eggs", [("3+4", "7", True)]),
        ("the cost is 3 * 4 = 12 dollars", [("3 * 4", "12", True)]),
        ("**3 + 4 = 8**", [("3 + 4", "8", False)]),
        ("2**3 + 1 = 9", [("2**3 + 1", "9", True)]),
        ("- 3 + 4 = 7", [("3 + 4", "7", True)]),
        ("1. 3 + 4 = 7\n2. 6 * 7 = 41", [("3 + 4", "7", True), ("6 * 7", "41", False)]),
        (r"\[3+4=8\]", [("3+4", "8", False)]),
        (r"$\frac{1}{2} + \frac13 = \frac56$", [(r"\frac{1}{2} + \frac13", r"\frac56", True)]),
        (
            "\\begin{align*} 3+4 &= 5 + 2 \\\\ &= 8 \\end{align*}",
            [("3+4", "5 + 2", True), ("5 + 2", "8", False)],
        ),
        ("3 + 4\n= 7\nso", [("3 + 4", "7", True)]),
        ("1,234 + 1 = 1,235", [("1,234 + 1", "1,235", True)]),
        (r"90^3=729,\!000", [("90^3", r"729,\!000", True)]),
        (r"\sqrt{16} + 5! = 124", [(r"\sqrt{16} + 5!", "124", True)]),
        (r"\boxed{3+4} = 7", [(r"\boxed{3+4}", "7", True)]),
        ("20% = 0.2", [("20%", "0.2", True)]),
        ("f(3) = 3^2 = 9", [("3^2", "9", True)]),
    ],
)
def test_what_is_found_and_whether_it_holds(text: str, expected: list[tuple[str, str, bool]]) -> None:
    assert [(a, " ".join(b.split()), verdict) for a, b, verdict in judged(text)] == expected


@pytest.mark.parametrize(
    "text",
    ["2x + 3 = 7", "3 + 4 = 7x", "x^2 - 4 = 0", "Then $x$ - 3 = 4", r"$\sin 30 = 0.5$", "sin 30 + 1 = 1.5", "2 x 3 = 6",
     "half of 8 + 2 = 6", "twice 3 + 4 = 10", "x minus 3 = 6", r"2^5 = 2 \pmod{5}", "7/2 = 3 remainder 1",
     "7/2 = 3 and 1/2", "3 * 100 cents = 3 dollars", "1/2 = 50 percent", r"5_8 + 4_8 = 11_8", r"\binom{4}{2} = 6",
     r"\begin{pmatrix} 1 \\ -4 \end{pmatrix} = 0", r"4.19 \times 10^4 = 41.9 \mathrm{~kJ}", "3 <= 4", "3 != 4",
     "3 == 4", "3 + 4 >= 6 + 1", r"1/3 = 0.\overline{3}", "", "=", "= = =", "3 =", "= 3", "a = b"],
)  # fmt: skip
def test_what_may_be_cut_off_or_is_no_arithmetic_is_left_alone(text: str) -> None:
    assert judged(text) == []


@pytest.mark.parametrize(
    ("left", "right"),
    [("10/3", "3.33"), ("2/3", "0.7"), (r"\sqrt{2}", "1.41"), (r"3\frac{1}{2}", r"\frac32"), ("100 - 20%", "80"),
     ("6/2(1+2)", "1"), ("0", "1"), ("1/0", "5"), ("9^{9^{9^{9}}}", "3"), ("(1,2)", "3"), ("3 cm", "3 m"), ("x", "1"),
     ("3 +", "4"), ("\ud800", "1"), ("1" * 10**6, "2+1")],
)  # fmt: skip
def test_no_verdict_where_it_would_be_a_guess(left: str, right: str) -> None:
    set_deadline(5)
    assert holds(left, right) is None


def test_a_rounded_value_is_excused_a_wrong_one_is_not() -> None:
    set_deadline(5)
    assert [holds("10/3", right) for right in ("3.33", "3.3", "3.9", "4")] == [None, None, False, False]


def test_a_side_too_long_to_read_is_skipped() -> None:
    long = "+".join(["1"] * MAX_SIDE_CHARS)

    assert judged(f"{long} = 3 = 1 + 2") == [("3", "1 + 2", True)]


numbers = st.integers(0, 10**4)


@given(numbers, numbers, st.sampled_from(["+", "-", "*", r"\times ", "/"]), st.integers(-2, 2))
def test_the_verdict_is_that_of_exact_arithmetic(a: int, b: int, sign: str, off: int) -> None:
    value = {"+": a + b, "-": a - b, "*": a * b, r"\times ": a * b, "/": Fraction(a, b or 1)}[sign] + off
    text = f"Now {a} {sign} {b or 1 if sign == '/' else b} = {value}."

    verdicts = [verdict for _, _, verdict in judged(text)]

    # A value of -1/2 or the like stands in plain sight; a quotient that is its own dividend is no calculation.
    assert verdicts == [off == 0]


@given(st.text(st.sampled_from("0123456789+-*/=(){}[]^!%$\\.,:;<> \n&~_xyfracsqrt\u00d7\u221a"), max_size=80))
def test_no_text_raises(text: str) -> None:
    judged(text)


@needs_benchmarks
@pytest.mark.parametrize(
    ("name", "column", "least_checked", "most_refuted"),
    [("gsm8k", "answer", 4000, 1), ("math500", "solution", 500, 3), ("aime24", "solution", 80, 4)],
)
def test_worked_reference_solutions_are_hardly_ever_refuted(
    name: str, column: str, least_checked: int, most_refuted: int
) -> None:
    """Most of the few are true slips: 45 + 21 + 28 = 94% (gsm8k), (-4)^2 + 4(1)(-1) = 20 (math500)."""
    lines = (BENCHMARKS / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()

    verdicts = [verdict for line in lines for _, _, verdict in judged(json.loads(line)[column])]

    assert sum(verdict is not None for verdict in verdicts) >= least_checked
    assert sum(verdict is False for verdict in verdicts) <= most_refuted
