r"""Values with a parameter that runs through all integers: \frac{\pi}{6} + k\pi, or 3 \pmod 7.

A family linear in its parameter is the set offset + period * Z. Lists of such families are compared as sets,
refined to a common period, so that k\pi/2 is k\pi together with \pi/2 + k\pi.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction
from itertools import permutations
from typing import Any

from eval_math.judging.numeric import Undefined, context, evaluate
from eval_math.judging.relations import definition
from eval_math.reading.tree import Call, Node, Sym, TooLarge, Unreadable, heads, is_call, substitute, symbols

PRECISION = 240
MAX_OFFSETS = 64
MAX_RENAMED = 3
DECLARING = ("family", "free")
"""Heads of nodes that say what their letters range over: all integers, or other numbers."""
_INTEGRATION = re.compile(r"[Cc]_\d")
_PARAMETERS = frozenset("klmnjt")
_NEAR = 100
"""Bits to which two offsets must agree."""

Lattice = tuple[Any, Any]
"""(offset, period), as mpmath numbers with period > 0, or period 0 for a single value."""


def is_family(node: Node) -> bool:
    r"""Whether the node declares its parameter, is a residue class, or is linear in k with \pi or degrees in it."""
    return is_call(node, "family") or _has_period(node)


def _has_period(node: Node) -> bool:
    if isinstance(node, Call) and node.head in ("list", "or", "set"):
        return any(map(_has_period, node.args))
    value = _value(node)
    if is_call(value, "mod"):
        return True
    names = symbols(value)
    return len(names) == 1 and names <= _PARAMETERS and bool(heads(value) & {"pi", "deg"})


def same_family(answer: Node, gold: Node) -> bool | None:
    """Whether two families are the same set of numbers; None where one of them cannot be read so."""
    context().prec = PRECISION
    try:
        return _same_sets(_lattices(answer), _lattices(gold))
    except (Undefined, Unreadable, TooLarge):
        return None


def _value(node: Node) -> Node:
    """What an equation defines, or the node itself."""
    defined = definition(node)
    return defined[1] if defined else node


def _lattices(node: Node) -> list[Lattice]:
    if isinstance(node, Call) and node.head == "family":
        node = node.args[0]
    if isinstance(node, Call) and node.head in ("list", "or", "set"):
        return [lattice for member in node.args for lattice in _lattices(member)]
    if isinstance(node, Call) and node.head.startswith("rel:") and definition(node):
        return _lattices(_value(node))
    if is_call(node, "pm", "mp"):
        assert isinstance(node, Call)
        left, right = node.args
        return _lattices(Call("add", (left, right))) + _lattices(Call("add", (left, Call("neg", (right,)))))
    if isinstance(node, Call) and node.head == "mod":
        return [_positive(evaluate(node.args[0], {}), evaluate(node.args[1], {}))]
    return [_linear(node)]


def _linear(node: Node) -> Lattice:
    names = sorted(symbols(node))
    if not names:
        return evaluate(node, {}), context().mpf(0)
    if len(names) > 1:
        raise Unreadable("two parameters")
    first, second, third = (evaluate(node, {names[0]: Fraction(point)}) for point in (0, 1, 2))
    if not _close(third - second, second - first):
        raise Unreadable("not linear in its parameter")
    return _positive(first, second - first)


def _positive(offset: Any, period: Any) -> Lattice:
    if offset.imag != 0 or period.imag != 0:
        raise Unreadable("a complex family")
    return offset.real, abs(period.real)


def _close(one: Any, other: Any) -> bool:
    return abs(one - other) <= context().mpf(2) ** -_NEAR * (1 + abs(one) + abs(other))


def _same_sets(left: list[Lattice], right: list[Lattice]) -> bool | None:
    periods = [period for _, period in left + right]
    if not any(periods) or any(not period for period in periods):
        return None
    common = periods[0]
    for period in periods[1:]:
        ratio = _rational(common / period)
        if ratio is None:
            return False
        common = common * ratio.denominator
    offsets = [_offsets(lattices, common) for lattices in (left, right)]
    return all(any(_close(a, b) for b in offsets[1]) for a in offsets[0]) and all(
        any(_close(a, b) for b in offsets[0]) for a in offsets[1]
    )


def _rational(value: Any) -> Fraction | None:
    """The fraction with a small denominator that the value is, if it is one."""
    ctx = context()
    return next(
        (Fraction(int(ctx.nint(value * q)), q) for q in range(1, 25) if _close(value * q, ctx.nint(value * q))), None
    )


def _offsets(lattices: list[Lattice], common: Any) -> list[Any]:
    ctx = context()
    found: list[Any] = []
    for offset, period in lattices:
        for step in range(int(ctx.nint(common / period))):
            value = (offset + step * period) / common
            value -= ctx.floor(value + ctx.mpf(2) ** -(_NEAR + 20))
            found.append(value)
            if len(found) > MAX_OFFSETS:
                raise TooLarge("too many offsets")
    return found


def bare(node: Node) -> Node:
    """The node without what is said of its letters."""
    return node.args[0] if isinstance(node, Call) and node.head in DECLARING else node


def renamings(answer: Node, gold: Node) -> Iterator[Node]:
    """The bare answer, then with its own letters replaced by those of the gold, in every order."""
    one, other = bare(answer), bare(gold)
    yield one
    own, theirs = _letters(answer, other), _letters(gold, one)
    if own and len(own) == len(theirs) <= MAX_RENAMED:
        for order in permutations(theirs):
            renamed = one
            for old, new in zip(own, order, strict=True):
                renamed = substitute(renamed, Sym(old), Sym(new + "'"))
            for new in order:
                renamed = substitute(renamed, Sym(new + "'"), Sym(new))
            yield renamed


def integration_constants(node: Node) -> frozenset[str]:
    """The names C, C_1, c_2, ... in an equation or expression: a solution holds for any value of them."""
    value = _value(node)
    terms = value.args if isinstance(value, Call) and value.head == "add" else ()
    alone = {"C"} if Sym("C") in terms else set()
    return frozenset(alone | {name for name in symbols(value) if _INTEGRATION.fullmatch(name)})


def _letters(node: Node, against: Node) -> list[str]:
    """The letters a side declares, or else those that the other side does not have."""
    if isinstance(node, Call) and node.head in DECLARING:
        return [name.name for name in node.args[1:] if isinstance(name, Sym)]
    return sorted(symbols(bare(node)) - symbols(against))
