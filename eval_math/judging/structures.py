"""Equality of what has members: lists, sets, tuples, intervals, matrices, definitions by cases, ratios.

Order matters in tuples and matrices, not in lists and sets. Brackets of intervals count, except beside infinity.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction

from eval_math.judging.numeric import Undefined
from eval_math.reading.signs import alternatives
from eval_math.reading.tree import AXIS, STRUCTURES, Call, Node, Num, Sym, is_call, substitute, symbols
from eval_math.verdict import RIGHT, Reason

Same = Callable[[Node, Node], Reason]
"""The comparison of two members, as (answer, gold)."""


def is_structured(node: Node) -> bool:
    """Whether the node has members."""
    return isinstance(node, Call) and (node.head in STRUCTURES or node.head.startswith("seq:"))


def structures(answer: Node, gold: Node, same: Same) -> Reason:
    """The reason that decides between two nodes of which at least one has members."""
    left, right = _family(answer), _family(gold)
    if left == right == "interval_or_tuple":
        return _sequences(answer, gold, same)
    if left in ("list", "set") and right in ("list", "set"):
        return members(alternatives(answer), alternatives(gold), same, once="set" in (left, right))
    if {left, right} <= {"list", "interval_or_tuple"} and _looks_like_tuple(answer) and _looks_like_tuple(gold):
        # "1, 2, 3" for (1, 2, 3): the brackets are missing, so the order still counts.
        return in_order(_args(answer), _args(gold), same)
    if "single" in (left, right) and {left, right} & {"set", "list"}:
        return _single(alternatives(answer), alternatives(gold), same)
    if left == right and left in ("union", "intersection", "cases"):
        return members(_args(answer), _args(gold), same)
    if left == right and left in ("matrix", "row", "minus"):
        return in_order(_args(answer), _args(gold), same)
    if {left, right} == {"matrix", "interval_or_tuple"} and (cells := _vector(answer)) and (others := _vector(gold)):
        return in_order(cells, others, same)
    return Reason.WRONG_KIND


def _single(answers: Sequence[Node], golds: Sequence[Node], same: Same) -> Reason:
    """One value against several: several answers to a question with one are a hedge if one of them is right."""
    reason = members(answers, golds, same)
    if reason is Reason.WRONG_COUNT and len(golds) == 1 and any(same(each, golds[0]) in RIGHT for each in answers):
        return Reason.HEDGED
    return reason


def _family(node: Node) -> str:
    if not isinstance(node, Call):
        return "single"
    if node.head.startswith("seq:"):
        return "interval_or_tuple"
    return "list" if node.head == "or" else node.head if node.head in STRUCTURES else "single"


def _args(node: Node) -> tuple[Node, ...]:
    return node.args if isinstance(node, Call) else (node,)


def _looks_like_tuple(node: Node) -> bool:
    # Two members in brackets may be an interval, which "1, 2" is not.
    return is_call(node, "list", "seq:()", "seq:[]") and len(_args(node)) != 2


def _vector(node: Node) -> tuple[Node, ...] | None:
    """The cells of a one-column or one-row matrix, or of a tuple."""
    if not is_call(node, "matrix"):
        return _args(node) if is_call(node, "seq:()") else None
    rows = [_args(row) for row in _args(node)]
    if len(rows) == 1:
        return rows[0]
    return tuple(row[0] for row in rows) if all(len(row) == 1 for row in rows) else None


def _sequences(answer: Node, gold: Node, same: Same) -> Reason:
    reason = in_order(_args(answer), _args(gold), same)
    assert isinstance(answer, Call)
    assert isinstance(gold, Call)
    if reason not in RIGHT or answer.head == gold.head:
        return reason
    if len(gold.args) != 2:
        return reason if {answer.head, gold.head} == {"seq:()", "seq:[]"} else Reason.WRONG_ENDPOINT
    for side, end in ((0, gold.args[0]), (1, gold.args[1])):
        infinite = is_call(end, "inf") or (is_call(end, "neg") and is_call(_args(end)[0], "inf"))
        if answer.head[4 + side] != gold.head[4 + side] and not infinite:
            return Reason.WRONG_ENDPOINT
    return reason


def in_order(answers: Sequence[Node], golds: Sequence[Node], same: Same) -> Reason:
    """Members one by one."""
    if len(answers) != len(golds):
        return Reason.WRONG_COUNT
    for one, other in zip(answers, golds, strict=True):
        reason = same(one, other)
        if reason not in RIGHT:
            return reason if reason in (Reason.WRONG_COUNT, Reason.WRONG_ENDPOINT) else Reason.DIFFERENT
    return Reason.MEMBERS_EQUAL


def members(answers: Sequence[Node], golds: Sequence[Node], same: Same, *, once: bool = False) -> Reason:
    """Members in any order; `once` ignores repeated ones."""
    if once:
        answers, golds = _distinct(answers, same), _distinct(golds, same)
    if len(answers) != len(golds):
        return Reason.WRONG_COUNT
    left = list(answers)
    for gold in golds:
        index = next((at for at, one in enumerate(left) if _equal(one, gold, same)), None)
        if index is None:
            return Reason.DIFFERENT
        left.pop(index)
    return Reason.MEMBERS_EQUAL


def _equal(one: Node, other: Node, same: Same) -> bool:
    try:
        return same(one, other) in RIGHT
    except Undefined:
        return False


def _distinct(nodes: Sequence[Node], same: Same) -> list[Node]:
    kept: list[Node] = []
    for node in nodes:
        if not any(_equal(node, other, same) for other in kept):
            kept.append(node)
    return kept


def ratios(answer: Node, gold: Node, same: Same) -> Reason:
    """2:3:4 against 4:6:8: every part in proportion to the first."""
    one, other = _args(answer), _args(gold)
    if len(one) != len(other):
        return Reason.WRONG_COUNT
    products = [(Call("mul", (a, other[0])), Call("mul", (b, one[0]))) for a, b in zip(one, other, strict=True)]
    return Reason.RATIONAL_EQUAL if all(same(a, b) in RIGHT for a, b in products) else Reason.DIFFERENT


def has_axes(node: Node) -> bool:
    """Whether the node is written in the unit vectors i, j, k."""
    return not is_structured(node) and any(name.startswith(AXIS) for name in symbols(node))


def in_axes(node: Node, size: int) -> Node:
    """The coordinates of a vector written in unit vectors, by setting one of them to 1 and the others to 0."""
    coordinates: list[Node] = []
    for axis in "ijk"[:size]:
        part = node
        for other in "ijk":
            part = substitute(part, Sym(AXIS + other), Num(Fraction(int(other == axis))))
        coordinates.append(part)
    return Call("seq:()", tuple(coordinates))
