"""Equality of two expressions by their values.

Two constants are equal when they agree to more than 25 digits at one precision and to more than 70 at
another. Two expressions with variables are equal when they agree so at several points that depend on
nothing but the variables' names.
"""

from __future__ import annotations

from fractions import Fraction
from random import Random
from typing import Any

from eval_math.judging.exact import exact
from eval_math.judging.numeric import MIN_MAGNITUDE, ZERO_PRECISION, Undefined, context, evaluate, magnitude
from eval_math.reading.tree import Node, TooLarge, heads, symbols

NUM_POINTS = 4
_RATIONAL_HEADS = frozenset({"add", "mul", "neg", "div", "pow"})
_INTEGER_HEADS = frozenset({"floor", "ceil", "gcd", "lcm", "sum", "prod", "dfact"})


def same_value(left: Node, right: Node) -> bool:
    """Whether two expressions without structure (lists, relations) are equal everywhere we look.

    Raises:
        Undefined: too few points where both have a value.
        TooLarge: values beyond the cap.
        OutOfTime: the deadline passed.
    """
    names = sorted(symbols(left) | symbols(right))
    if not names:
        return _agree(left, right, {})
    present = heads(left) | heads(right)
    if present <= _RATIONAL_HEADS and (equal := _same_rational_function(left, right, names)) is not None:
        return equal
    found = 0
    for number in range(6 * NUM_POINTS):
        try:
            if not _agree(left, right, _point(names, number, present)):
                return False
        except Undefined:
            continue
        found += 1
        if found >= (4 * NUM_POINTS if present & _INTEGER_HEADS else NUM_POINTS):
            return True
    raise Undefined("too few points with a value")


def _same_rational_function(left: Node, right: Node, names: list[str]) -> bool | None:
    """Equality of rational functions by exact values at random points (Schwartz-Zippel); None where there are none."""
    random = Random(",".join(names))
    found = 0
    for _ in range(NUM_POINTS + 2):
        point = {name: Fraction(random.randint(10**8, 10**9)) for name in names}
        try:
            values = exact(left, point), exact(right, point)
        except TooLarge:
            return None
        if None in values:
            continue
        if values[0] != values[1]:
            return False
        found += 1
        if found == 2:
            return True
    return None


def _point(names: list[str], number: int, present: frozenset[str]) -> dict[str, Fraction]:
    """Values for the variables: positive, and of both signs when an absolute value makes them matter."""
    random = Random(f"{number}:{','.join(names)}")
    if present & _INTEGER_HEADS:
        return {name: Fraction(random.randint(1, 80)) for name in names}
    signs = ((1,), (-1,), (1, -1))[number % 3] if "abs" in present else (1,)
    return {name: random.choice(signs) * Fraction(random.randint(10**8, 10**9), 2 * 10**8 + 7) for name in names}


def _agree(left: Node, right: Node, point: dict[str, Fraction]) -> bool:
    ctx, vanishing = context(), False
    for precision in (160, 420):
        ctx.prec = precision
        a, b = evaluate(left, point), evaluate(right, point)
        size = max(magnitude(a), magnitude(b))
        vanishing = size < -precision // 2
        if vanishing:
            continue
        if magnitude(a - b) > size - precision * 3 // 5:
            return False
        if size > precision // 4:
            # Large values need their integer digits and then some: 2^300 and 2^300 + 1 must differ.
            ctx.prec = precision + size
            a, b = evaluate(left, point), evaluate(right, point)
            if magnitude(a - b) > -precision * 3 // 5:
                return False
    return not vanishing or _both_vanish(left, right, point)


def _both_vanish(left: Node, right: Node, point: dict[str, Fraction]) -> bool:
    """Whether two tiny values are both zero, or equal: sin(pi) is 0, but e^-200 is not."""
    if (heads(left) | heads(right)) & {"fact", "binom"}:
        raise Undefined("a vanishing factorial")
    context().prec = ZERO_PRECISION
    a, b = evaluate(left, point), evaluate(right, point)
    size = max(magnitude(a), magnitude(b))
    return size < 2 * MIN_MAGNITUDE or magnitude(a - b) < size - ZERO_PRECISION // 4


def constant_ratio(left: Node, right: Node) -> int:
    """The sign of left / right when that is one real constant at every point, else 0."""
    names = sorted(symbols(left) | symbols(right))
    ctx = context()
    ratios: list[Any] = []
    for number in range(6 * NUM_POINTS):
        ctx.prec = 240
        try:
            point = _point(names, number, heads(left) | heads(right))
            one, other = evaluate(left, point), evaluate(right, point)
            if one == 0 or other == 0:
                return 0
            ratios.append(one / other)
        except Undefined:
            continue
        if ctx.mag(ratios[-1] - ratios[0]) > ctx.mag(ratios[0]) - 120 and ratios[-1] != ratios[0]:
            return 0
        if len(ratios) == NUM_POINTS:
            ratio = ratios[0]
            return 0 if abs(ratio.imag) > abs(ratio) * ctx.mpf(2) ** -100 else (1 if ratio.real > 0 else -1)
    return 0
