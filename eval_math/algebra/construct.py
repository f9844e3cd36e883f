"""From our expression tree to sympy, by constructors only: no text ever reaches sympy.

What a tree means is what `eval_math.judging.numeric` computes: variables are real, odd roots of negative numbers are
real, log is the natural one. Whatever would grow when sympy builds or expands it (powers, factorials, sums) is
refused here, before it exists.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sympy as sp

from eval_math.reading.tree import BOUND, Call, Node, Num, Sym, is_call, substitute, symbols, walk

MAX_BITS = 1 << 16
"""Of an integer power."""
MAX_DEGREE = 100
"""Of a power with a variable in it."""
MAX_TERMS = 500
"""Of a sum raised to a power when multiplied out, or written with a sum sign."""
MAX_FACTORIAL = 1000
_COUNTED = 2 * BOUND


class Refused(ValueError):
    """Not a form that is handed to sympy."""


def to_sympy(node: Node) -> Any:
    """The sympy expression of a single value; raises Refused."""
    if isinstance(node, Num):
        return sp.Rational(node.value.numerator, node.value.denominator)
    if isinstance(node, Sym):
        return symbol(node.name)
    if not isinstance(node, Call):
        raise Refused("a quantity")
    if node.head in ("sum", "prod"):
        return _iterated(node)
    if node.head in ("pow", "root", "cbrt"):
        return _power(node)
    arguments = [to_sympy(argument) for argument in node.args]
    build = _BUILDERS.get((node.head, len(arguments))) or _BUILDERS.get((node.head, None))
    if build is None:
        raise Refused(f"{node.head} of {len(arguments)} arguments")
    return finite(build(*arguments))


def symbol(name: str) -> Any:
    """The sympy symbol of a variable: real, or an integer where its name says so (see `counting`)."""
    if name.startswith(_COUNTED):
        return sp.Symbol(name, integer=True, positive=True)
    return sp.Symbol(name, integer=True) if name.startswith(BOUND) else sp.Symbol(name, real=True)


def counting(*trees: Node) -> list[Node]:
    """The trees with those variables marked as positive integers that stand in a factorial or limit a sum."""
    names: set[str] = set()
    for part in (part for tree in trees for part in walk(tree) if isinstance(part, Call)):
        inside = {"fact": part.args, "binom": part.args, "sum": part.args[2:], "prod": part.args[2:]}.get(part.head, ())
        names |= {name for argument in inside for name in symbols(argument)}
    marked = list(trees)
    for name in names:
        marked = [substitute(tree, Sym(name), Sym(_COUNTED + name)) for tree in marked]
    return marked


def finite(value: Any) -> Any:
    """The value itself unless it is undefined somewhere, which is Refused."""
    if value.has(sp.nan, sp.zoo):
        raise Refused("no finite value")
    return value


def has_decimals(node: Node) -> bool:
    """Whether a number in the tree was written as a decimal, and so may be a rounded one."""
    return any(isinstance(part, Num) and part.decimals is not None for part in walk(node))


def _power(node: Call) -> Any:
    base = to_sympy(node.args[0])
    if node.head == "pow":
        exponent = to_sympy(node.args[1])
    else:
        degree = to_sympy(node.args[1]) if node.head == "root" else sp.Integer(3)
        if degree == 0:
            raise Refused("a root of degree 0")
        exponent: Any = 1 / degree
    _refuse_large(base, exponent)
    if exponent.is_Rational and exponent.q > 1 and exponent.q % 2 and base.is_nonnegative is not True:
        # The real root of a negative number where there is one, as in \sqrt[3]{-8} = -2.
        if not base.is_extended_real:
            raise Refused("an odd root of a value that may be complex")
        rooted = sp.Pow(sp.Abs(base), sp.Rational(1, exponent.q))
        sign = sp.Integer(-1) if base.is_negative else sp.sign(base)
        return finite(sp.Pow(sign * rooted, exponent.p))
    return finite(sp.Pow(base, exponent))


def _refuse_large(base: Any, exponent: Any) -> None:
    if not exponent.is_Rational:
        return
    size = abs(exponent)
    if base.is_Pow and base.exp.is_Rational:
        base, size = base.base, size * abs(base.exp)
    if base.is_Rational:
        bits = max(abs(base.p).bit_length(), base.q.bit_length())
        if abs(base) != 1 and size * bits > MAX_BITS:
            raise Refused("a power with too many digits")
    elif size > MAX_DEGREE:
        raise Refused("a power of too high a degree")
    elif size == int(size) and sp.binomial(int(size) + _num_terms(base) - 1, int(size)) > MAX_TERMS:
        raise Refused("a power of a sum with too many terms")


def _num_terms(base: Any) -> int:
    return max((len(part.args) for part in sp.preorder_traversal(base) if part.is_Add), default=1)


def _iterated(node: Call) -> Any:
    term, index, low, high = node.args
    if not isinstance(index, Sym) or any(is_call(part, "sum", "prod") for part in walk(term)):
        raise Refused("a sum within a sum")
    ends = [sp.oo if is_call(end, "inf") else to_sympy(end) for end in (low, high)]
    if not ends[0].is_Integer and ends[0].is_number:
        raise Refused("a sum that does not start at an integer")
    build, unknown, inner = sp.Sum if node.head == "sum" else sp.Product, symbol(index.name), to_sympy(term)
    length = ends[1] - ends[0]
    closed = build is sp.Sum and inner.is_polynomial(unknown) and sp.degree(inner, unknown) <= 10
    # Without a closed form, sympy writes the terms out one by one.
    if not closed and length.is_number and length.is_finite and length > MAX_TERMS:
        raise Refused("a sum of too many terms")
    return build(inner, (unknown, *ends))


def _factorial(value: Any) -> Any:
    if value.is_number and not (value.is_Integer and 0 <= value <= MAX_FACTORIAL):
        raise Refused("a factorial that is large or of no natural number")
    return sp.factorial(value)


def _binomial(above: Any, below: Any) -> Any:
    for value in (above, below):
        if value.is_number and not (value.is_Integer and 0 <= value <= MAX_FACTORIAL):
            raise Refused("a binomial that is large or of no natural numbers")
    return sp.binomial(above, below)


def _logarithm(value: Any, base: Any) -> Any:
    return sp.log(value) / sp.log(base)


def _bounded_exp(value: Any) -> Any:
    if value.is_number and not abs(value.evalf(5)) < MAX_BITS:
        raise Refused("a power of e with too many digits")
    return sp.exp(value)


def _integers(function: Callable[..., Any]) -> Callable[..., Any]:
    def apply(*values: Any) -> Any:
        if not all(value.is_Integer for value in values):
            raise Refused("a divisor of no integers")
        return function(*values)

    return apply


def _divide(above: Any, below: Any) -> Any:
    if below == 0:
        raise Refused("a division by zero")
    return above / below


_NAMES = {
    "arcsin": sp.asin, "arccos": sp.acos, "arctan": sp.atan, "arccot": sp.acot, "arcsec": sp.asec,
    "arccsc": sp.acsc, "ln": sp.log, "log": sp.log, "abs": sp.Abs, "floor": sp.floor, "ceil": sp.ceiling,
    "Re": sp.re, "Im": sp.im, "arg": sp.arg, "sin": sp.sin, "cos": sp.cos, "tan": sp.tan, "cot": sp.cot,
    "sec": sp.sec, "csc": sp.csc, "sinh": sp.sinh, "cosh": sp.cosh, "tanh": sp.tanh, "coth": sp.coth,
}  # fmt: skip
_BUILDERS: dict[Any, Callable[..., Any]] = {
    ("add", None): sp.Add, ("mul", None): sp.Mul, ("neg", 1): lambda value: -value, ("div", 2): _divide,
    ("pi", 0): lambda: sp.pi, ("e", 0): lambda: sp.E, ("i", 0): lambda: sp.I, ("fact", 1): _factorial,
    ("binom", 2): _binomial, ("percent", 1): lambda value: value / 100, ("exp", 1): _bounded_exp,
    ("deg", 1): lambda value: value * sp.pi / 180, ("rad", 1): lambda value: value, 
    ("logb", 2): _logarithm, ("log10", 1): lambda value: _logarithm(value, sp.Integer(10)),
    ("gcd", None): _integers(sp.igcd), ("lcm", None): _integers(sp.ilcm),
    ("max", None): sp.Max, ("min", None): sp.Min,
} | {(name, 1): function for name, function in _NAMES.items()}  # fmt: skip
