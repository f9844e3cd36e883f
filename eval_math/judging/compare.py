"""Whether two trees mean the same: structure first, then values member by member.

Order matters in tuples and matrices, not in lists and sets. Brackets of intervals count, except beside
infinity. A definition (x = 5, f(x) = 2x) equals its right-hand side. Everything is decided for (answer,
gold) in this order, because the gold says what kind of object was asked for.
"""

from __future__ import annotations

from collections.abc import Sequence

from eval_math.policy import Policy
from eval_math.relations import as_interval, definition, same_relation
from eval_math.scalars import same_scalar
from eval_math.tree import Call, Node, Sym, is_call, symbols
from eval_math.verdict import RIGHT, Reason

_STRUCTURED = ("list", "set", "union", "intersection", "minus", "matrix", "row")


def compare(answer: Node, gold: Node, policy: Policy) -> Reason:
    """The reason that decides between two trees; raises what `numeric.same_value` raises."""
    if answer == gold:
        return Reason.IDENTITY
    if _has_alternatives(answer) or _has_alternatives(gold):
        return _members(_alternatives(answer), _alternatives(gold), policy, unordered=True)
    if is_relation(answer) or is_relation(gold):
        return _relations(answer, gold, policy)
    if _is_structured(answer) or _is_structured(gold):
        return _structures(answer, gold, policy)
    return same_scalar(answer, gold, policy)


def is_relation(node: Node) -> bool:
    """Whether the node is an equation, an inequality, a chain of them, or a membership."""
    return isinstance(node, Call) and node.head.startswith("rel:")


def _is_structured(node: Node) -> bool:
    return isinstance(node, Call) and (node.head in _STRUCTURED or node.head.startswith("seq:"))


def _has_alternatives(node: Node) -> bool:
    """Whether the node is one item with a plus-minus in it."""
    if not isinstance(node, Call) or node.head in ("list", "set"):
        return False
    return node.head in ("pm", "mp") or any(_has_alternatives(argument) for argument in node.args)


def _alternatives(node: Node) -> tuple[Node, ...]:
    """The members of a list or set with each plus-minus written out; upper signs go together."""
    if is_call(node, "list", "set"):
        assert isinstance(node, Call)
        return tuple(each for member in node.args for each in _alternatives(member))
    return (_signed(node, True), _signed(node, False)) if _has_alternatives(node) else (node,)


def _signed(node: Node, upper: bool) -> Node:
    if not isinstance(node, Call):
        return node
    arguments = tuple(_signed(argument, upper) for argument in node.args)
    if node.head in ("pm", "mp"):
        minus = upper == (node.head == "mp")
        return Call("add", (arguments[0], Call("neg", (arguments[1],)) if minus else arguments[1]))
    return Call(node.head, arguments)


def _relations(answer: Node, gold: Node, policy: Policy) -> Reason:
    """At least one side is a relation."""
    left, right = definition(answer), definition(gold)
    if left and right:
        reason = compare(left[1], right[1], policy)
        if left[0] == right[0] or reason not in RIGHT:
            return reason if left[0] == right[0] else same_relation(answer, gold)
        # x = 5 is no y = 5, but f(x) = 2x and y = 2x name the same rule.
        names = [name.name for name in (left[0], right[0]) if isinstance(name, Sym)]
        rule = symbols(right[1]) and ("y" in names or any("(" in name for name in names))
        return reason if rule else same_relation(answer, gold)
    if not is_relation(gold) and left:
        return compare(left[1], gold, policy)
    if not is_relation(answer) and right:
        return compare(answer, right[1], policy)
    spans = as_interval(answer), as_interval(gold)
    if spans[0] is not None and spans[1] is not None and not _names_differ(answer, gold):
        return compare(spans[0], spans[1], policy)
    if is_relation(answer) and is_relation(gold):
        return same_relation(answer, gold)
    if is_call(answer, "list") or is_call(gold, "list"):
        return _structures(answer, gold, policy)
    return Reason.WRONG_KIND


def _names_differ(answer: Node, gold: Node) -> bool:
    """X < 3 is no y < 3; an interval has no name and fits both."""
    relations = [node.args for node in (answer, gold) if isinstance(node, Call) and is_relation(node)]
    names = [next((side for side in sides if isinstance(side, Sym)), None) for sides in relations]
    return len(names) == 2 and names[0] != names[1]


def _structures(answer: Node, gold: Node, policy: Policy) -> Reason:
    """At least one side has members."""
    for one, other in ((answer, gold), (gold, answer)):
        # (0, 1) union (2, 3) may be given as the list of its inequalities.
        if is_call(one, "list") and is_call(other, "union"):
            assert isinstance(one, Call)
            spans = [as_interval(member) for member in one.args]
            if all(span is not None for span in spans):
                flat = tuple(span for span in spans if span is not None)
                return _members(flat, other.args, policy, unordered=True)  # type: ignore[union-attr]
    left, right = _family(answer), _family(gold)
    if left == right == "interval_or_tuple":
        return _sequences(answer, gold, policy)
    if left in ("list", "set") and right in ("list", "set"):
        once = "set" in (left, right)
        return _members(_alternatives(answer), _alternatives(gold), policy, unordered=True, once=once)
    if {left, right} <= {"list", "interval_or_tuple"} and _looks_like_tuple(answer) and _looks_like_tuple(gold):
        # "1, 2" for (1, 2): the brackets are missing, so the order still counts.
        return _members(_args(answer), _args(gold), policy, unordered=False)
    if "single" in (left, right) and {left, right} & {"set", "list"}:
        return _members(_alternatives(answer), _alternatives(gold), policy, unordered=True)
    if left == right == "union" or left == right == "intersection":
        return _members(_args(answer), _args(gold), policy, unordered=True)
    if left == right and left in ("matrix", "row", "minus"):
        return _members(_args(answer), _args(gold), policy, unordered=False)
    column = {"matrix", "interval_or_tuple"}
    if {left, right} == column and (cells := _vector(answer)) and (others := _vector(gold)):
        return _members(cells, others, policy, unordered=False)
    return Reason.WRONG_KIND


def _family(node: Node) -> str:
    if not isinstance(node, Call):
        return "single"
    return "interval_or_tuple" if node.head.startswith("seq:") else node.head if node.head in _STRUCTURED else "single"


def _args(node: Node) -> tuple[Node, ...]:
    return node.args if isinstance(node, Call) else (node,)


def _looks_like_tuple(node: Node) -> bool:
    return is_call(node, "list", "seq:()", "seq:[]")


def _vector(node: Node) -> tuple[Node, ...] | None:
    """The cells of a one-column or one-row matrix, or of a tuple."""
    if not is_call(node, "matrix"):
        return _args(node) if is_call(node, "seq:()") else None
    rows = [_args(row) for row in _args(node)]
    if len(rows) == 1:
        return rows[0]
    return tuple(row[0] for row in rows) if all(len(row) == 1 for row in rows) else None


def _sequences(answer: Node, gold: Node, policy: Policy) -> Reason:
    reason = _members(_args(answer), _args(gold), policy, unordered=False)
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


def _members(
    answers: Sequence[Node], golds: Sequence[Node], policy: Policy, *, unordered: bool, once: bool = False
) -> Reason:
    """Pair the members up; `once` ignores repeated members."""
    if once:
        answers, golds = _distinct(answers, policy), _distinct(golds, policy)
    if len(answers) != len(golds):
        return Reason.WRONG_COUNT
    if not unordered:
        for one, other in zip(answers, golds, strict=True):
            reason = compare(one, other, policy)
            if reason not in RIGHT:
                return reason if reason in (Reason.WRONG_COUNT, Reason.WRONG_ENDPOINT) else Reason.DIFFERENT
        return Reason.MEMBERS_EQUAL
    left = list(answers)
    for gold in golds:
        index = next((at for at, one in enumerate(left) if compare(one, gold, policy) in RIGHT), None)
        if index is None:
            return Reason.DIFFERENT
        left.pop(index)
    return Reason.MEMBERS_EQUAL


def _distinct(nodes: Sequence[Node], policy: Policy) -> list[Node]:
    kept: list[Node] = []
    for node in nodes:
        if not any(compare(node, other, policy) in RIGHT for other in kept):
            kept.append(node)
    return kept
