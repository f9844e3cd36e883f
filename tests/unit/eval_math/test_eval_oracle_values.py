"""Numbers, intervals, sets, tuples, matrices, lines and numerals: drawn as values first, spelled afterwards.

What is equal follows from exact fractions here, never from the grader's own parser or arithmetic.
"""

import re
from collections.abc import Callable
from fractions import Fraction

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from eval_math import Policy, grade

REWARD = Policy.reward()
# Shared cores are slow at times, and what cannot be spelled in a style is left out.
CHECKS = [HealthCheck.too_slow, HealthCheck.filter_too_much]
often = settings(max_examples=120, derandomize=True, suppress_health_check=CHECKS)
seldom = settings(max_examples=60, derandomize=True, suppress_health_check=CHECKS)


def expect(answer: str, gold: str, verdict: bool) -> None:
    found = grade(rf"The answer is \boxed{{{answer}}}.", gold, REWARD)

    assert found.correct is verdict, f"{answer} ||| {gold} ||| {verdict} ||| {found.correct} ({found.reason.value})"


# Numbers: a fraction first, its spellings afterwards.

exact = st.fractions(min_value=-2000, max_value=2000, max_denominator=400)


def _grouped(value: Fraction, mark: str) -> str | None:
    return f"{value.numerator:,}".replace(",", mark) if value.denominator == 1 else None


def _decimal(value: Fraction) -> str | None:
    for places in range(9):
        if (value * 10**places).denominator == 1:
            digits = f"{abs(value.numerator) * 10**places // value.denominator:0{places + 1}d}"
            sign = "-" if value < 0 else ""
            return sign + (f"{digits[:-places]}.{digits[-places:]}" if places else digits)
    return None


def _mixed(value: Fraction) -> str | None:
    whole, rest = divmod(abs(value.numerator), value.denominator)
    sign = "-" if value < 0 else ""
    return rf"{sign}{whole}\frac{{{rest}}}{{{value.denominator}}}" if whole and rest else None


def _scientific(value: Fraction) -> str | None:
    text = _decimal(value * 1000)
    return rf"{text} \times 10^{{-3}}" if text else None


SPELLINGS: list[Callable[[Fraction], str | None]] = [
    lambda v: rf"\frac{{{v.numerator}}}{{{v.denominator}}}",
    lambda v: rf"\dfrac{{{3 * v.numerator}}}{{{3 * v.denominator}}}",
    lambda v: rf"{'-' if v < 0 else ''}\tfrac{{{abs(v.numerator)}}}{{{v.denominator}}}",
    lambda v: rf"\frac{{{-v.numerator}}}{{{-v.denominator}}}",
    lambda v: f"{v.numerator}/{v.denominator}",
    lambda v: f"{v.numerator} / {v.denominator}",
    lambda v: rf"\left({v.numerator}\right)/{v.denominator}",
    lambda v: str(v.numerator) if v.denominator == 1 else None,
    lambda v: rf"{v.numerator} \cdot \frac{{1}}{{{v.denominator}}}",
    lambda v: rf"{v.numerator} \div {v.denominator}",
    lambda v: f"{v.numerator}({v.denominator})^{{-1}}",
    lambda v: f"\u2212{-v}" if v < 0 else None,
    lambda v: _grouped(v, ","),
    lambda v: _grouped(v, "{,}"),
    lambda v: _grouped(v, r"\,"),
    _decimal,
    _mixed,
    _scientific,
]


@st.composite
def numbers(draw: st.DrawFn, value: Fraction) -> str:
    texts = [text for spelling in SPELLINGS if (text := spelling(value)) is not None]
    return draw(st.sampled_from(texts))


@st.composite
def neighbours(draw: st.DrawFn, value: Fraction) -> Fraction:
    """Another number that is easily mistaken for this one."""
    near = [-value, value * 10, value / 10, value * 100, value / 100, value + 1, value - 1, value + Fraction(1, 10**6)]
    near += [1 / value] if value else []
    near += [Fraction(value.numerator, value.denominator + 1), Fraction(value.numerator * 3 + 1, value.denominator * 3)]
    return draw(st.sampled_from([each for each in near if each != value]))


@often
@given(exact, st.data())
def test_a_number_equals_its_spellings_and_not_its_neighbours(number: Fraction, data: st.DataObject) -> None:
    gold = data.draw(numbers(number))
    other = data.draw(neighbours(number))

    expect(data.draw(numbers(number)), gold, True)
    expect(rf"\frac{{{other.numerator}}}{{{other.denominator}}}", gold, False)


@often
@given(exact, st.integers(0, 9), st.integers(-2, 2))
def test_a_decimal_is_right_for_a_fraction_when_five_or_more_digits_all_are(number, places, slip) -> None:
    assume(number.denominator > 1)
    scaled = abs(number) * 10**places
    digits = int(scaled) + slip
    assume(digits >= 0)
    written = Fraction(digits, 10**places)
    assume(written != 0)
    text = ("-" if number < 0 else "") + f"{digits // 10**places}.{digits % 10**places:0{places}d}"
    text = text if places else text[:-2]
    correct = abs(digits - scaled) <= Fraction(1, 2) or 0 <= scaled - digits < 1
    enough = len(text.strip("-0.").replace(".", "")) >= 5 if places else False
    assume(enough or not correct or written == abs(number))

    expect(text, f"{number.numerator}/{number.denominator}", correct)


@seldom
@given(st.integers(2, 9), st.integers(2, 9), st.integers(1, 4000))
def test_numerals_are_equal_only_in_the_same_base(base: int, other: int, number: int) -> None:
    def digits(value: int) -> str:
        return (digits(value // base) if value >= base else "") + str(value % base)

    text = digits(number)

    expect(f"{text}_{{{base}}}", f"{text}_{base}", True)
    expect(text, f"{text}_{base}", True)
    assume(other != base)
    expect(f"{text}_{other}", f"{text}_{base}", False)


# Intervals, sets, tuples, matrices, lines.

ends = st.fractions(min_value=-40, max_value=40, max_denominator=6)


@st.composite
def interval_text(draw: st.DrawFn, low: Fraction | None, high: Fraction | None, left: str, right: str) -> str:
    """One of the notations of the interval; None is an infinite end."""
    one = "-\\infty" if low is None else draw(numbers(low))
    two = r"\infty" if high is None else draw(numbers(high))
    assume("," not in one + two and r"\," not in one + two)
    forms = [f"{left}{one},{two}{right}", rf"\left{left}{one}, {two}\right{right}", rf"x\in {left}{one},{two}{right}"]
    less, at_most = ("<" if left == "(" else r"\le"), ("<" if right == ")" else r"\leq")
    more, at_least = (">" if right == ")" else r"\ge"), (">" if left == "(" else r"\geqslant")
    if low is not None and high is not None:
        forms += [f"{one} {less} x {at_most} {two}"]
        forms += [f"{two} {more} x {at_least} {one}"]
    elif high is not None:
        forms += [f"x {at_most} {two}", f"{two} {more} x"]
    elif low is not None:
        forms += [f"{one} {less} x", f"x {at_least} {one}"]
    return draw(st.sampled_from(forms))


@often
@given(st.tuples(ends, ends), st.booleans(), st.booleans(), st.data())
def test_intervals_are_equal_when_both_ends_are(pair, below: bool, above: bool, data: st.DataObject) -> None:
    assume(pair[0] != pair[1])
    low, high = (None if below else min(pair)), (None if above else max(pair))
    left = "(" if below else data.draw(st.sampled_from("(["))
    right = ")" if above else data.draw(st.sampled_from(")]"))
    gold = data.draw(interval_text(low, high, left, right))

    expect(data.draw(interval_text(low, high, left, right)), gold, True)
    if low is not None:
        expect(data.draw(interval_text(low, high, "[" if left == "(" else "(", right)), gold, False)
        expect(data.draw(interval_text(low - Fraction(1, 7), high, left, right)), gold, False)
    if high is not None:
        expect(data.draw(interval_text(low, high, left, "]" if right == ")" else ")")), gold, False)
        expect(data.draw(interval_text(low, high + 1, left, right)), gold, False)


@often
@given(st.lists(ends, min_size=2, max_size=5, unique=True), st.data())
def test_sets_and_lists_have_no_order_and_tuples_have_one(members: list[Fraction], data: st.DataObject) -> None:
    texts = [rf"\frac{{{each.numerator}}}{{{each.denominator}}}" for each in members]
    other = data.draw(st.permutations(range(len(members))))
    spelled = [data.draw(numbers(members[index])) for index in other]
    assume(not any("," in text for text in spelled))
    changed = [*spelled[:-1], data.draw(numbers(max(members) + 1))]
    assume("," not in changed[-1])

    expect(rf"\{{{', '.join(spelled)}\}}", rf"\{{{','.join(texts)}\}}", True)
    expect(", ".join(spelled), ", ".join(texts), True)
    expect(f"({', '.join(spelled)})", f"({','.join(texts)})", list(other) == sorted(other))
    for left, right in (("", ""), (r"\{", r"\}"), ("(", ")")):
        expect(left + ", ".join(changed) + right, left + ",".join(texts) + right, False)
        expect(left + ", ".join(spelled[1:]) + right, left + ",".join(texts) + right, False)
        expect(left + ", ".join([*spelled, "77"]) + right, left + ",".join(texts) + right, False)


entries = st.lists(st.lists(st.integers(-9, 9), min_size=2, max_size=3), min_size=2, max_size=3)


@seldom
@given(entries.filter(lambda rows: len({len(row) for row in rows}) == 1), st.sampled_from("pb"), st.data())
def test_matrices_are_equal_entry_by_entry(rows: list[list[int]], kind: str, data: st.DataObject) -> None:
    def text(values: list[list[int]], kind: str, spell: Callable[[int], str] = str) -> str:
        body = r" \\ ".join(" & ".join(map(spell, row)) for row in values)
        return rf"\begin{{{kind}matrix}} {body} \end{{{kind}matrix}}"

    at = data.draw(st.integers(0, len(rows) - 1))
    changed = [list(row) for row in rows]
    changed[at][0] += 1
    transposed = [list(column) for column in zip(*rows, strict=True)]
    gold = text(rows, "p")

    expect(text(rows, kind, lambda n: rf"\frac{{{2 * n}}}{{2}}"), gold, True)
    expect(text(changed, kind), gold, False)
    expect(text(transposed, kind), gold, transposed == rows)


@often
@given(st.tuples(*[st.integers(-9, 9).filter(bool)] * 3), st.integers(-4, 4).filter(bool), st.integers(0, 2))
def test_lines_are_equal_when_their_coefficients_are_proportional(line, factor: int, at: int) -> None:
    def zero(a: int, b: int, c: int) -> str:
        return re.sub(r"\+-", "-", f"{a}x+{b}y+{c}=0")

    a, b, c = line
    gold = zero(a, b, c)
    other = [*line]
    other[at] += 1 if other[at] != -1 else 2

    expect(zero(a * factor, b * factor, c * factor), gold, True)
    expect(rf"y = \frac{{{-a}}}{{{b}}} x - \frac{{{c}}}{{{b}}}", gold, True)
    expect(rf"{-c} = {a}x + ({b})y", gold, True)
    expect(zero(*other), gold, False)
    expect(zero(a, b, -c), gold, False)


@seldom
@given(st.tuples(*[st.integers(-20, 20).filter(bool)] * 2), st.integers(1, 6))
def test_complex_numbers_are_equal_when_both_parts_are(parts: tuple[int, int], below: int) -> None:
    real, imaginary = parts
    gold = rf"\frac{{{real}}}{{{below}}} {imaginary:+}i/{below}"

    expect(rf"\frac{{{imaginary}i {real:+}}}{{{below}}}", gold, True)
    expect(rf"\frac{{{real * real + imaginary * imaginary}}}{{{below}({real} {-imaginary:+}i)}}", gold, True)
    expect(rf"\frac{{{real} {-imaginary:+}i}}{{{below}}}", gold, False)
    expect(rf"\frac{{{-real} {imaginary:+}i}}{{{below}}}", gold, False)
    expect(rf"\frac{{{imaginary} {real:+}i}}{{{below}}}", gold, real == imaginary)
