"""Numeric value of a tree at high precision.

mpmath keeps its precision and its cached constants as unguarded state: two threads that ask for pi at different
precisions can get a wrong pi. So one thread at a time evaluates, under `EVALUATING`; pure Python loses nothing by it.
"""

from __future__ import annotations

import math
import os
import threading
from fractions import Fraction
from functools import lru_cache
from typing import Any

from eval_math.judging.budget import check
from eval_math.judging.exact import MAX_TERMS, exact
from eval_math.reading.tree import Call, Node, Num, Quantity, Sym, TooLarge, Unreadable, is_call

MAX_MAGNITUDE, MIN_MAGNITUDE = 8192, -1500
"""Range of log2 of a value: what lies beyond is compared exactly or not at all."""
ZERO_PRECISION = 4096
"""Bits at which a value below MIN_MAGNITUDE can only be zero."""
EVALUATING = threading.RLock()
"""Held by whoever evaluates."""
ABSENT = "the value is undefined here"


def _renew_lock() -> None:
    """Give a forked child a lock of its own: the thread that held the old one does not exist there."""
    global EVALUATING
    EVALUATING = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


class Undefined(ValueError):
    """A pole, 0/0, or an operation numbers do not have."""


@lru_cache(maxsize=1)
def context() -> Any:
    """An mpmath context of our own. The import is late: it costs more than the rest of the package."""
    import mpmath

    return mpmath.mp.clone()


def number_of(node: Node, precision: int = 200) -> Any:
    """The value of an expression without variables; raises Undefined, Unreadable, TooLarge or OutOfTime."""
    context().prec = precision
    return evaluate(node, {})


def magnitude(value: Any) -> int:
    """The binary order of magnitude; minus 10^9 for zero; raises Undefined for infinity."""
    ctx = context()
    if not ctx.isfinite(value):
        raise Undefined(ABSENT)
    if value == 0:
        return -(10**9)
    return int(ctx.mag(value))


def evaluate(node: Node, point: dict[str, Fraction]) -> Any:
    """The value at a point; the caller holds EVALUATING and has set the precision."""
    check()
    ctx = context()
    if isinstance(node, Num):
        return _from_fraction(node.value)
    if isinstance(node, Sym):
        return _from_fraction(point[node.name]) if node.name in point else _missing(node.name)
    if isinstance(node, Quantity):
        return evaluate(node.value, point)
    if node.head in ("pi", "e"):
        return +(ctx.pi if node.head == "pi" else ctx.e)
    if node.head == "i":
        return ctx.mpc(0, 1)
    try:
        value = _repeated(node, point) if node.head in ("sum", "prod") else _apply(node, point)
    except (ZeroDivisionError, ValueError, OverflowError, TypeError) as error:
        if isinstance(error, TooLarge | Undefined | Unreadable):
            raise
        raise Undefined(ABSENT) from error
    if not ctx.isfinite(value):
        raise Undefined(ABSENT)
    lowest = MIN_MAGNITUDE if ctx.prec < ZERO_PRECISION else -(10**9)
    if value != 0 and not lowest <= ctx.mag(value) <= MAX_MAGNITUDE:
        raise TooLarge("a value beyond the numeric range")
    return value


def _repeated(node: Call, point: dict[str, Fraction]) -> Any:
    """A sum or product over an index; its ends must be integers at this point."""
    ctx = context()
    term, bound, *ends = node.args
    if any(is_call(end, "inf") for end in ends):
        raise Undefined("an infinite sum")
    first, last = (_integer(evaluate(end, point)) for end in ends)
    if last - first > MAX_TERMS:
        raise TooLarge(f"more than {MAX_TERMS} terms")
    assert isinstance(bound, Sym)
    values = [evaluate(term, {**point, bound.name: Fraction(k)}) for k in range(first, last + 1)]
    return ctx.fsum(values) if node.head == "sum" else ctx.fprod(values)


def _missing(name: str) -> Any:
    raise Undefined(f"no value for {name}")


def _from_fraction(value: Fraction) -> Any:
    ctx = context()
    if max(value.numerator.bit_length(), value.denominator.bit_length()) > 4 * MAX_MAGNITUDE:
        raise TooLarge("a literal beyond the numeric range")
    return ctx.mpf(value.numerator) / value.denominator


def _apply(node: Call, point: dict[str, Fraction]) -> Any:
    ctx, head = context(), node.head
    if head == "pow":
        return _power(node, point)
    values = [evaluate(argument, point) for argument in node.args]
    if head == "add":
        return ctx.fsum(values)
    if head == "mul":
        return ctx.fprod(values)
    if head == "root":
        return _root(values[0], values[1])
    if head in ("fact", "dfact", "binom"):
        if any(abs(value) > 2000 for value in values):
            raise TooLarge(head)
        return {"fact": ctx.factorial, "dfact": ctx.fac2, "binom": ctx.binomial}[head](*values)
    if head in ("exp", "sinh", "cosh") and abs(values[0]) > MAX_MAGNITUDE:
        raise TooLarge(head)
    if head == "floor" or head == "ceil":
        # A value that is an integer up to rounding must not fall to the wrong side.
        near = ctx.nint(values[0].real)
        if abs(values[0] - near) < ctx.mpf(2) ** (-ctx.prec // 2):
            return near
    simple = _SIMPLE.get(head)
    if simple is not None:
        return simple(*values)
    function = _FUNCTIONS.get(head)
    if function is None or len(values) != 1:
        raise Unreadable(f"{head} of {len(values)} arguments")
    return getattr(ctx, function)(values[0])


def _power(node: Call, point: dict[str, Fraction]) -> Any:
    ctx = context()
    base = evaluate(node.args[0], point)
    try:
        rational = exact(node.args[1])
    except TooLarge:
        rational = None
    exponent = evaluate(node.args[1], point) if rational is None else _from_fraction(rational)
    if base == 0:
        if exponent.real <= 0 and rational != 0:
            raise Undefined(ABSENT)
        return ctx.mpf(1 if rational == 0 else 0)
    if abs(exponent) * max(1, abs(ctx.mag(base))) > 2 * MAX_MAGNITUDE:
        raise TooLarge("a power beyond 2^8192")
    if rational is not None and rational.denominator % 2 and rational.denominator > 1 and ctx.isfinite(base):
        real_root = _root(base, ctx.mpf(rational.denominator))
        return real_root**rational.numerator
    return base**exponent


def _root(value: Any, degree: Any) -> Any:
    ctx = context()
    if degree == 0:
        raise Undefined(ABSENT)
    # The real root of a negative number where there is one: \sqrt[3]{-8} is -2.
    if value.imag == 0 and value.real < 0 and degree.imag == 0 and degree % 2 == 1:
        return -ctx.root(-value.real, int(degree)) if degree < 1000 else -((-value.real) ** (1 / degree))
    return ctx.sqrt(value) if degree == 2 else value ** (1 / degree)


def _integer(value: Any) -> int:
    if value.imag != 0 or value != context().nint(value.real):
        raise Undefined(ABSENT)
    return int(value.real)


_SAME_NAME = "sin cos tan cot sec csc sinh cosh tanh coth exp ln floor ceil"
_FUNCTIONS = {name: name for name in _SAME_NAME.split()} | {
    "arcsin": "asin", "arccos": "acos", "arctan": "atan", "arccot": "acot", "arcsec": "asec",
    "arccsc": "acsc", "log": "ln", "log10": "log10", "abs": "fabs", "Re": "re", "Im": "im", "arg": "arg",
}  # fmt: skip
_SIMPLE = {
    "neg": lambda value: -value,
    "div": lambda above, below: above / below,
    "percent": lambda value: value / 100,
    "deg": lambda value: value * context().pi / 180,
    "rad": lambda value: value,
    "cis": lambda value: context().expj(value),
    "cbrt": lambda value: _root(value, context().mpf(3)),
    "logb": lambda value, base: context().ln(value) / context().ln(base),
    "gcd": lambda *values: context().mpf(math.gcd(*map(_integer, values))),
    "lcm": lambda *values: context().mpf(math.lcm(*map(_integer, values))),
    "max": lambda *values: max(values),
    "min": lambda *values: min(values),
}
