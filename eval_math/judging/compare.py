"""Whether two trees mean the same: sets of reals, families, relations and structures first, then single values.

A definition (x = 5, f(x) = 2x) equals its right-hand side. Everything is decided for (answer, gold) in this order,
because the gold says what kind of object was asked for.
"""

from __future__ import annotations

from eval_math.judging.families import DECLARING, bare, integration_constants, is_family, renamings, same_family
from eval_math.judging.regions import integers_of, is_span, region_of
from eval_math.judging.relations import as_interval, definition, same_argument, same_relation, stated_value
from eval_math.judging.scalars import same_scalar
from eval_math.judging.spans import closed, same_spans
from eval_math.judging.structures import (
    Same,
    has_axes,
    in_axes,
    in_order,
    is_structured,
    members,
    ratios,
    structures,
)
from eval_math.policy import Policy
from eval_math.reading.lists import assignments
from eval_math.reading.signs import alternatives, has_alternatives
from eval_math.reading.tree import Call, Node, Sym, is_call, symbols
from eval_math.verdict import RIGHT, Reason


def compare(answer: Node, gold: Node, policy: Policy) -> Reason:
    """The reason that decides between two trees; raises what `identity.same_value` raises."""
    if answer == gold:
        return Reason.IDENTITY

    def same(one: Node, other: Node) -> Reason:
        return compare(one, other, policy)

    if (is_family(gold) or is_family(answer)) and (equal := same_family(answer, gold)) is not None:
        return Reason.SAME_SOLUTIONS if equal else Reason.DIFFERENT
    if is_call(answer, *DECLARING) or is_call(gold, *DECLARING):
        return _declared(answer, gold, policy)
    if (is_span(answer) or is_span(gold)) and (reason := _spans(answer, gold)) is not None:
        return reason
    if (own := integration_constants(gold)) and not own & symbols(answer):
        # A solution holds for any value of its constants, whatever they are called.
        named = Call("free", (gold, *map(Sym, sorted(own))))
        reasons = [same(renamed, gold) for renamed in renamings(answer, named) if own & symbols(renamed)]
        return next((reason for reason in reasons if reason in RIGHT), Reason.DIFFERENT)
    if has_axes(answer) or has_axes(gold):
        return _vectors(answer, gold, same)
    if (reason := _assigned(answer, gold, policy)) is not None:
        return reason
    if has_alternatives(answer) or has_alternatives(gold):
        return members(alternatives(answer), alternatives(gold), same)
    if is_relation(answer) or is_relation(gold):
        return _relations(answer, gold, policy)
    if is_structured(answer) or is_structured(gold):
        return structures(answer, gold, same)
    if is_call(answer, "ratio") and is_call(gold, "ratio"):
        return ratios(answer, gold, same)
    return same_scalar(answer, gold, policy)


def is_relation(node: Node) -> bool:
    """Whether the node is an equation, an inequality, a chain of them, or a membership."""
    return isinstance(node, Call) and node.head.startswith("rel:")


def _declared(answer: Node, gold: Node, policy: Policy) -> Reason:
    """At least one side says what its letters range over; such letters may have other names on the other side."""
    one, other = bare(answer), bare(gold)
    if (is_call(answer, "family") or is_call(gold, "family")) and (reason := _integers(one, other)) is not None:
        return reason
    reason = Reason.DIFFERENT
    for renamed in renamings(answer, gold):
        reason = compare(renamed, other, policy)
        if reason in RIGHT:
            break
    return reason


def _integers(answer: Node, gold: Node) -> Reason | None:
    """The verdict on two conditions on one integer, such as n > 3 and n >= 4; None for anything else."""
    if not (is_span(answer) or is_span(gold)):
        return None
    one, other = integers_of(answer), integers_of(gold)
    if one is None or other is None:
        return None
    return Reason.MEMBERS_EQUAL if same_spans(one, other) else Reason.DIFFERENT


def _vectors(answer: Node, gold: Node, same: Same) -> Reason:
    """At least one side is written in unit vectors."""
    size = 2 if any(is_call(each, "seq:()") and len(each.args) == 2 for each in (answer, gold)) else 3  # type: ignore
    one, other = (in_axes(each, size) if has_axes(each) else each for each in (answer, gold))
    return structures(one, other, same)


def _spans(answer: Node, gold: Node) -> Reason | None:
    """The verdict on two sets of reals, or None where one of them is none."""
    one, other = region_of(answer), region_of(gold)
    if one is None or other is None:
        return None
    if one.name and other.name and one.name != other.name:
        return Reason.DIFFERENT
    if same_spans(one, other):
        return Reason.MEMBERS_EQUAL
    return Reason.WRONG_ENDPOINT if same_spans(closed(one), closed(other)) else Reason.DIFFERENT


def _assigned(answer: Node, gold: Node, policy: Policy) -> Reason | None:
    """The verdict where one side assigns values to several names: x = 1, y = 2 is also (1, 2)."""
    left, right = assignments(answer), assignments(gold)
    if left and right:
        if set(left) != set(right):
            return None
        pairs = [(left[name], right[name]) for name in right]
        return in_order([a for a, _ in pairs], [b for _, b in pairs], lambda a, b: compare(a, b, policy))
    given, other = left or right, gold if left else answer
    if is_call(other, "set", "list") and isinstance(other, Call) and len(other.args) == 1:
        other = other.args[0]
    if not given or not isinstance(other, Call) or not (other.head.startswith("seq:()") or other.head == "list"):
        return None
    ordered = tuple(given[name] for name in sorted(given)), tuple(given.values())
    head = "seq:()" if other.head == "seq:()" else "list"
    reasons = [
        compare(Call(head, values), other, policy) if left else compare(other, Call(head, values), policy)
        for values in ordered
    ]
    return next((reason for reason in reasons if reason in RIGHT), reasons[0])


def _relations(answer: Node, gold: Node, policy: Policy) -> Reason:
    """At least one side is a relation."""
    left, right = definition(answer), definition(gold)
    if left and right:
        left = same_argument(left, right[0])
        reason = compare(left[1], right[1], policy)
        if left[0] == right[0] or reason not in RIGHT:
            return reason if left[0] == right[0] else same_relation(answer, gold)
        # x = 5 is no y = 5, but f(x) = 2x and y = 2x name the same rule.
        names = [name.name for name in (left[0], right[0]) if isinstance(name, Sym)]
        rule = symbols(right[1]) and ("y" in names or any("(" in name for name in names))
        return reason if rule else same_relation(answer, gold)
    if right and not symbols(right[1]) and isinstance(right[0], Sym) and is_call(answer, "rel:="):
        # x = 4 is asked for: 3x - 12 = 0 would be the question again.
        value = left[1] if left else stated_value(answer) if symbols(answer) != {right[0].name} else None
        return Reason.WRONG_KIND if value is None else compare(value, right[1], policy)
    if not is_relation(gold) and left:
        return compare(left[1], gold, policy)
    if not is_relation(answer) and right:
        return compare(answer, right[1], policy)
    spans = as_interval(answer), as_interval(gold)
    if spans[0] is not None and spans[1] is not None and not _names_differ(answer, gold):
        return compare(spans[0], spans[1], policy)
    if is_relation(answer) and is_relation(gold):
        return same_relation(answer, gold)
    if (value := stated_value(answer)) is not None and not symbols(gold):
        return compare(value, gold, policy)
    if (value := stated_value(gold)) is not None and not symbols(answer) and not symbols(gold) & frozenset("xyz"):
        return compare(answer, value, policy)
    if is_call(answer, "list", "or") or is_call(gold, "list", "or"):
        return structures(answer, gold, lambda one, other: compare(one, other, policy))
    return Reason.WRONG_KIND


def _names_differ(answer: Node, gold: Node) -> bool:
    """X < 3 is no y < 3; an interval has no name and fits both."""
    relations = [node.args for node in (answer, gold) if isinstance(node, Call) and is_relation(node)]
    names = [next((side for side in sides if isinstance(side, Sym)), None) for sides in relations]
    return len(names) == 2 and names[0] != names[1]
