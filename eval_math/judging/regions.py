r"""Sets of real numbers: intervals, unions, inequalities and complements in one canonical form.

(-\infty, 3) \cup (3, \infty), x \ne 3 and \mathbb{R} \setminus \{3\} are the same two spans.
"""

from __future__ import annotations

from fractions import Fraction
from functools import reduce
from typing import Any

from eval_math.judging.numeric import Undefined, context, evaluate
from eval_math.judging.spans import PRECISION, Region, Span, complement, intersection, order, region_from
from eval_math.reading.tree import Call, Node, Sym, TooLarge, Unreadable, is_call, symbols

_MIRROR = {"<": ">", ">": "<", "<=": ">=", ">=": "<="}


class _NoRegion(Exception):
    """The node describes no set of reals that can be read here."""


def region_of(node: Node) -> Region | None:
    """The set of reals that a node describes; None for what is none, or has ends that are no numbers."""
    context().prec = PRECISION
    try:
        return _region(node)
    except (_NoRegion, Undefined, Unreadable, TooLarge):
        return None


def is_span(node: Node) -> bool:
    """Whether only a set of reals is written so: an inequality, a union, a complement, an infinite end."""
    if is_call(node, "union", "intersection", "minus"):
        return True
    if is_call(node, "list", "or"):
        assert isinstance(node, Call)
        return all(_is_inequality(member) for member in node.args)
    return _is_inequality(node)


def _is_inequality(node: Node) -> bool:
    if not isinstance(node, Call) or not node.head.startswith("rel:"):
        return False
    signs = node.head[4:].split(",")
    return any(sign != "=" for sign in signs) and (signs != ["in"] or not is_call(node.args[1], "set"))


def integers_of(node: Node) -> Region | None:
    """The integers among a set of reals, as spans with integer ends; a list is the set of its members."""
    if isinstance(node, Call) and node.head in ("list", "or") and not any(map(_is_inequality, node.args)):
        node = Call("set", node.args)
    region = region_of(node)
    if region is None:
        return None
    ctx = context()
    spans: list[Span] = []
    for low, low_in, high, high_in in region.spans:
        first, last = ctx.nint(low), ctx.nint(high)
        first = first + (not low_in) if order(low, first) == 0 else ctx.ceil(low)
        last = last - (not high_in) if order(high, last) == 0 else ctx.floor(high)
        # Neighbouring integers touch: [3, 3] and [4, 4] are [3, 4].
        spans.append(Span(first - ctx.mpf(0.5), True, last + ctx.mpf(0.5), True))
    return region_from(spans)


def _region(node: Node) -> Region:
    if not isinstance(node, Call):
        raise _NoRegion
    if node.head.startswith("rel:"):
        return _of_relation(node)
    if node.head.startswith("seq:") and len(node.args) == 2:
        low, high = (_end(argument) for argument in node.args)
        if order(low, high) > 0:
            raise _NoRegion
        return region_from([Span(low, node.head[4] == "[", high, node.head[5] == "]")])
    if node.head == "set":
        return region_from([Span(value, True, value, True) for value in map(_end, node.args)])
    if node.head in ("union", "intersection", "minus", "list", "or"):
        return _combined(node.head, [_region(member) for member in node.args])
    raise _NoRegion


def _combined(head: str, parts: list[Region]) -> Region:
    names = {part.name for part in parts} - {None}
    if len(names) > 1:
        raise _NoRegion
    name = next(iter(names), None)
    if head in ("union", "or"):
        return region_from([span for part in parts for span in part.spans], name)
    if head == "minus":
        parts = [parts[0], *(complement(part) for part in parts[1:])]
    both = reduce(intersection, parts)
    if head == "list" and not both.spans:
        # "x < -2, x > 2" can only mean that either holds.
        return _combined("or", parts)
    return both._replace(name=name)


def _of_relation(node: Call) -> Region:
    signs = node.head[4:].split(",")
    if signs == ["in"] and isinstance(node.args[0], Sym):
        return _region(node.args[1])._replace(name=node.args[0].name)
    names = symbols(node)
    if len(names) != 1 or "in" in signs:
        raise _NoRegion
    name = next(iter(names))
    pairs = zip(signs, node.args, node.args[1:], strict=False)
    spans = [_solved(sign, left, right, name) for sign, left, right in pairs]
    return reduce(intersection, spans)._replace(name=name)


def _solved(sign: str, left: Node, right: Node, name: str) -> Region:
    """The solutions of a linear relation between two sides."""
    ctx = context()
    for one, other, mirrored in ((left, right, False), (right, left, True)):
        if isinstance(one, Call) and one.head == "abs" and not symbols(other) and sign in _MIRROR:
            return _within(_MIRROR[sign] if mirrored else sign, one.args[0], other, name)
    values = []
    for point in range(3):
        at = {name: Fraction(point)}
        values.append(evaluate(left, at) - evaluate(right, at))
    if any(value.imag != 0 for value in values):
        raise _NoRegion
    values = [value.real for value in values]
    slope = values[1] - values[0]
    if slope == 0 or order(values[2] - values[1], slope) != 0:
        raise _NoRegion
    end = -values[0] / slope
    if slope < 0:
        sign = _MIRROR.get(sign, sign)
    if sign in ("=", "!="):
        point = region_from([Span(end, True, end, True)])
        return point if sign == "=" else complement(point)
    closed_end = sign.endswith("=")
    if sign[0] == "<":
        return region_from([Span(-ctx.inf, False, end, closed_end)])
    return region_from([Span(end, closed_end, ctx.inf, False)])


def _within(sign: str, inside: Node, limit: Node, name: str) -> Region:
    """The solutions of |inside| < limit, or of |inside| > limit."""
    upper = _solved(sign, inside, limit, name)
    lower = _solved(_MIRROR[sign], inside, Call("neg", (limit,)), name)
    return intersection(upper, lower) if sign[0] == "<" else region_from([*upper.spans, *lower.spans])


def _end(node: Node) -> Any:
    ctx = context()
    if is_call(node, "inf"):
        return ctx.inf
    if isinstance(node, Call) and node.head == "neg" and is_call(node.args[0], "inf"):
        return -ctx.inf
    if symbols(node):
        raise _NoRegion
    value = evaluate(node, {})
    if value.imag != 0:
        raise _NoRegion
    return value.real
