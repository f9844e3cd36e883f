"""Equations and inequalities: definitions, intervals, and whether two of them have the same solutions."""

from __future__ import annotations

from eval_math.identity import constant_ratio, same_value
from eval_math.numeric import Undefined
from eval_math.tree import Call, Node, Sym, symbols
from eval_math.verdict import Reason

_MIRROR = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "=": "=", "!=": "!="}
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
    sides: list[Node] = list(node.args[1:])
    if len(sides) == 1 and isinstance(sides[0], Sym) and not isinstance(name, Sym):
        name, sides = sides[0], [name]
    if isinstance(name, Call) and name.head == "seq:()" and all(isinstance(part, Sym) for part in name.args):
        # (x, y) = (1, 2)
        return (name, sides[0]) if len(sides) == 1 and name != sides[0] else None
    if isinstance(name, Sym) and name not in sides:
        return (name, sides[-1]) if _all_equal(sides) else None
    return (sides[-1], sides[-1]) if not symbols(node) and _all_equal(list(node.args)) else None


def _all_equal(sides: list[Node]) -> bool:
    try:
        return all(same_value(side, sides[-1]) for side in sides[:-1])
    except Undefined:
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
