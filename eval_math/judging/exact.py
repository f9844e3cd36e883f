"""Exact rational value of a tree, where it has one; every operation is bounded in digits."""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction

from eval_math.judging.budget import check
from eval_math.reading.tree import Call, Node, Num, Quantity, Sym, TooLarge

_NOWHERE: Mapping[str, Fraction] = {}
MAX_BITS = 1 << 17
"""Largest numerator or denominator: about 39 000 decimal digits, a few milliseconds per operation."""
MAX_FACTORIAL = 5000
MAX_BINOMIAL = 10_000
MAX_TERMS = 3000
"""Terms of a written-out sum or product."""


def exact(node: Node, point: Mapping[str, Fraction] = _NOWHERE) -> Fraction | None:
    """The value as a fraction, with these values for variables; None when it is irrational, symbolic or undefined.

    Raises:
        TooLarge: the value, or a step on the way, has more digits than the cap.
    """
    if isinstance(node, Num):
        return node.value
    if isinstance(node, Sym):
        return point.get(node.name)
    if isinstance(node, Quantity):
        return exact(node.value, point)
    check()
    if node.head in ("sum", "prod"):
        return _repeated(node, point)
    operation = _OPERATIONS.get(node.head)
    if operation is None:
        return None
    values: list[Fraction] = []
    for argument in node.args:
        value = exact(argument, point)
        if value is None:
            return None
        values.append(value)
    return _bounded(operation(*values))


def _bounded(value: Fraction | None) -> Fraction | None:
    if value is not None and max(value.numerator.bit_length(), value.denominator.bit_length()) > MAX_BITS:
        raise TooLarge("a number of more than 39 000 digits")
    return value


def _repeated(node: Call, point: Mapping[str, Fraction]) -> Fraction | None:
    """A sum or product over an index between two integers."""
    term, bound, low, high = node.args
    first, last = exact(low, point), exact(high, point)
    assert isinstance(bound, Sym)
    if first is None or last is None or first.denominator != 1 or last.denominator != 1:
        return None
    if last - first > MAX_TERMS:
        raise TooLarge(f"more than {MAX_TERMS} terms")
    total = Fraction(0 if node.head == "sum" else 1)
    for index in range(first.numerator, last.numerator + 1):
        value = exact(term, {**point, bound.name: Fraction(index)})
        if value is None:
            return None
        total = total + value if node.head == "sum" else total * value
        _bounded(total)
    return total


def _add(*values: Fraction) -> Fraction:
    return sum(values, Fraction(0))


def _multiply(*values: Fraction) -> Fraction:
    product = Fraction(1)
    for value in values:
        product *= value
        _bounded(product)
    return product


def _divide(above: Fraction, below: Fraction) -> Fraction | None:
    return above / below if below else None


def power(base: Fraction, exponent: Fraction) -> Fraction | None:
    """Base ** exponent when rational, else None; raises TooLarge."""
    if exponent.denominator != 1:
        if exponent.denominator > 64:
            return None
        base_root = root(base, Fraction(exponent.denominator))
        return None if base_root is None else power(base_root, Fraction(exponent.numerator))
    if base in (0, 1, -1):
        if base == 0 and exponent <= 0:
            return Fraction(1) if exponent == 0 else None
        return base ** (exponent.numerator % 2 if base == -1 else 1)
    bits = max(base.numerator.bit_length(), base.denominator.bit_length())
    if abs(exponent) * bits > MAX_BITS:
        raise TooLarge("a power of more than 39 000 digits")
    return base**exponent.numerator


def root(value: Fraction, degree: Fraction) -> Fraction | None:
    """The real root when it is rational, else None."""
    if degree.denominator != 1 or not 1 <= degree <= 64 or (value < 0 and degree % 2 == 0):
        return None
    above = _integer_root(abs(value.numerator), degree.numerator)
    below = _integer_root(value.denominator, degree.numerator)
    if above is None or below is None:
        return None
    return Fraction(above if value >= 0 else -above, below)


def _integer_root(number: int, degree: int) -> int | None:
    if number < 2:
        return number
    if degree == 2:
        found = math.isqrt(number)
    elif number.bit_length() > 4096:
        return None
    else:
        found = 1 << -(-number.bit_length() // degree)
        while (step := ((degree - 1) * found + number // found ** (degree - 1)) // degree) < found:
            found = step
    return found if found**degree == number else None


def _factorial(value: Fraction) -> Fraction | None:
    if value.denominator != 1 or value < 0:
        return None
    if value > MAX_FACTORIAL:
        raise TooLarge(f"a factorial above {MAX_FACTORIAL}!")
    return Fraction(math.factorial(value.numerator))


def _double_factorial(value: Fraction) -> Fraction | None:
    if value.denominator != 1 or value < 0:
        return None
    if value > MAX_FACTORIAL:
        raise TooLarge(f"a double factorial above {MAX_FACTORIAL}!!")
    return Fraction(math.prod(range(value.numerator, 0, -2)))


def _binomial(above: Fraction, below: Fraction) -> Fraction | None:
    if above.denominator != 1 or below.denominator != 1 or above < 0 or below < 0:
        return None
    if above > MAX_BINOMIAL:
        raise TooLarge(f"a binomial above {MAX_BINOMIAL}")
    return Fraction(math.comb(above.numerator, below.numerator))


def _integers(function: object) -> object:
    def apply(*values: Fraction) -> Fraction | None:
        if any(value.denominator != 1 for value in values):
            return None
        return Fraction(function(*(value.numerator for value in values)))  # type: ignore[operator]

    return apply


def _based(digits: Fraction, base: Fraction) -> None:
    """A numeral is no number here: 52_8 is asked for as digits, so 42 does not answer it."""


_OPERATIONS = {
    "add": _add,
    "mul": _multiply,
    "neg": lambda value: -value,
    "div": _divide,
    "pow": power,
    "root": root,
    "cbrt": lambda value: root(value, Fraction(3)),
    "fact": _factorial,
    "dfact": _double_factorial,
    "binom": _binomial,
    "abs": abs,
    "percent": lambda value: value / 100,
    "floor": lambda value: Fraction(math.floor(value)),
    "ceil": lambda value: Fraction(math.ceil(value)),
    "max": lambda *values: max(values),
    "min": lambda *values: min(values),
    "gcd": _integers(math.gcd),
    "lcm": _integers(math.lcm),
    "based": _based,
}
