"""Equations and inequalities: definitions, intervals, and whether two of them have the same solutions."""

from __future__ import annotations

import re

from eval_math.judging.identity import constant_ratio, same_value
from eval_math.judging.numeric import Undefined
from eval_math.reading.tree import ZERO, Call, Node, Num, Sym, TooLarge, Unreadable, substitute, symbols, walk
from eval_math.verdict import Reason

_MIRROR = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "=": "=", "!=": "!="}
DOTS = "\\ldots"
"""The name that stands for dots; a side with dots says nothing that could be compared."""
_FUNCTION = re.compile(r"(\w+)\(([A-Za-z])\)")
_INFINITY = Call("inf", ())


def operators(node: Node) -> list[str]:
    """The relation signs of a relation, else nothing."""
    return node.head[4:].split(",") if isinstance(node, Call) and node.head.startswith("rel:") else []


def definition(node: Node) -> tuple[Node, Node] | None:
    r"""(name, value) of `x = 5`, `f(x) = 2x`, `x \in [1, 2]` or a chain `x = 2 + 3 = 5`; else None.

    A chain of numbers is a definition only if its sides agree: 4 = 5 defines nothing.
    """
    signs = operators(node)
    if not isinstance(node, Call) or not signs or any(sign != "=" for sign in signs):
        return (node.args[0], node.args[1]) if isinstance(node, Call) and signs == ["in"] else None
    name: Node = node.args[0]
    sides: list[Node] = [side for side in node.args[1:] if DOTS not in symbols(side)]
    if not sides:
        return None
    if len(sides) == 1 and isinstance(sides[0], Sym) and not isinstance(name, Sym):
        name, sides = sides[0], [name]
    if isinstance(name, Call) and name.head == "seq:()" and all(isinstance(part, Sym) for part in name.args):
        # (x, y) = (1, 2)
        return (name, sides[0]) if len(sides) == 1 and name != sides[0] else None
    if isinstance(name, Sym) and name not in sides:
        return (name, sides[-1]) if _all_equal(sides) else None
    return (sides[-1], sides[-1]) if not symbols(node) and _all_equal(list(node.args)) else None


def same_argument(defined: tuple[Node, Node], name: Node) -> tuple[Node, Node]:
    """f(t) = 2t as f(x) = 2x, where the other side calls the argument x."""
    own, other = (_FUNCTION.fullmatch(each.name) if isinstance(each, Sym) else None for each in (defined[0], name))
    if own is None or other is None or own[1] != other[1]:
        return defined
    return name, substitute(defined[1], Sym(own[2]), Sym(other[2]))


def stated_value(node: Node) -> Node | None:
    """The number on the right of `m + n = 4 + 7 = 11`, if all numbers in the chain are that one; else None."""
    signs = operators(node)
    if not isinstance(node, Call) or not signs or set(signs) != {"="} or not symbols(node):
        return None
    numbers = [side for side in node.args if not symbols(side)]
    if not numbers or numbers[-1] != node.args[-1] or _is_curve(node.args[0], numbers[-1]) or not _all_equal(numbers):
        return None
    return numbers[-1]


def _is_curve(left: Node, right: Node) -> bool:
    """Whether `left = right` reads as an equation of a curve, not as a result: x^2 + y^2 = 1 is none, x + y = 5 is."""
    if not symbols(left) & frozenset("xyz"):
        return False
    return right == ZERO or any(isinstance(part, Num) for part in walk(left))


def _all_equal(sides: list[Node]) -> bool:
    try:
        return all(same_value(side, sides[-1]) for side in sides[:-1])
    except (Undefined, Unreadable, TooLarge):
        return False


def as_interval(node: Node) -> Node | None:
    """The interval that an inequality in one variable describes; an interval or union is itself."""
    if isinstance(node, Call) and (node.head.startswith("seq:") or node.head == "union"):
        return node
    signs = operators(node)
    if isinstance(node, Call) and signs == ["in"]:
        return as_interval(node.args[1])
    if not isinstance(node, Call) or not signs or any(sign not in ("<", ">", "<=", ">=") for sign in signs):
        return None
    sides = list(node.args)
    if signs[0][0] == ">":
        signs, sides = [_MIRROR[sign] for sign in reversed(signs)], sides[::-1]
    if any(sign[0] != "<" for sign in signs) or len(sides) > 3:
        return None
    at = next((index for index, side in enumerate(sides) if isinstance(side, Sym)), None)
    if at is None or (len(sides) == 3 and at != 1):
        return None
    low = sides[at - 1] if at > 0 else Call("neg", (_INFINITY,))
    high = sides[at + 1] if at + 1 < len(sides) else _INFINITY
    opened = "[" if at > 0 and signs[at - 1] == "<=" else "("
    closed = "]" if at + 1 < len(sides) and signs[at] == "<=" else ")"
    return Call(f"seq:{opened}{closed}", (low, high))


def same_relation(answer: Node, gold: Node) -> Reason:
    """SAME_SOLUTIONS when the two are constant multiples of each other, sign respected; else DIFFERENT."""
    left, right = _as_differences(answer), _as_differences(gold)
    if left is None or right is None:
        return Reason.WRONG_KIND
    if [sign for sign, _ in left] != [sign for sign, _ in right]:
        return Reason.DIFFERENT
    for (sign, one), (_, other) in zip(left, right, strict=True):
        ratio = constant_ratio(one, other)
        if ratio == 0 or (ratio < 0 and sign not in ("=", "!=")):
            return Reason.DIFFERENT
    return Reason.SAME_SOLUTIONS


def _as_differences(node: Node) -> list[tuple[str, Node]] | None:
    """[(sign, left - right), ...] with every sign one of =, !=, <, <=."""
    signs = operators(node)
    if not isinstance(node, Call) or not signs or "in" in signs:
        return None
    found: list[tuple[str, Node]] = []
    for index, sign in enumerate(signs):
        low, high = node.args[index], node.args[index + 1]
        if sign[0] == ">":
            sign, low, high = _MIRROR[sign], high, low
        found.append((sign, Call("add", (low, Call("neg", (high,))))))
    return found if node.args and signs[0][0] != ">" else found[::-1]
