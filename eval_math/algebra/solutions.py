"""Exact solution sets on the real line: of equations and inequalities in one variable, with sympy.

Only finite sets and unions of intervals are compared. Every set that sympy finds is tried at points between its
ends: a mistake there must not become a verdict.
"""

from __future__ import annotations

from functools import reduce
from itertools import pairwise
from typing import Any

import sympy as sp

from eval_math.algebra.construct import Refused, symbol, to_sympy
from eval_math.reading.signs import alternatives, has_alternatives
from eval_math.reading.tree import Call, Node, Sym, is_call, symbols

_SOLVABLE = (sp.Abs, sp.exp, sp.log)
_RELATIONS = {"<": sp.Lt, ">": sp.Gt, "<=": sp.Le, ">=": sp.Ge}


def real_set(node: Node, name: str) -> Any:
    """The reals that a node describes, where `name` is the one variable; raises Refused."""
    if isinstance(node, Call) and has_alternatives(node):
        return sp.Union(*(real_set(each, name) for each in alternatives(node)))
    if isinstance(node, Call) and node.head.startswith("rel:"):
        return _of_relation(node, name)
    if is_call(node, "set", "list", "or", "union", "intersection", "minus"):
        assert isinstance(node, Call)
        if node.head == "list" and any(isinstance(each, Call) and each.head.startswith("seq:") for each in node.args):
            raise Refused("a list of points, perhaps")
        return _combined(node.head, [real_set(member, name) for member in node.args])
    if isinstance(node, Call) and node.head.startswith("seq:") and len(node.args) == 2:
        low, high = map(_end, node.args)
        if not low.is_extended_real or not high.is_extended_real or (low < high) != sp.true:
            raise Refused("an interval without a length")
        return sp.Interval(low, high, node.head[4] == "(", node.head[5] == ")")
    if symbols(node):
        raise Refused("an expression is no set")
    return sp.FiniteSet(_end(node))


def _combined(head: str, parts: list[Any]) -> Any:
    if head in ("set", "or", "union") or not parts:
        return sp.Union(*parts)
    if head == "minus":
        return reduce(lambda left, right: left - right, parts)
    both = sp.Intersection(*parts)
    # "x < -2, x > 2" can only mean that either holds.
    return sp.Union(*parts) if head == "list" and both == sp.S.EmptySet else both


def _end(node: Node) -> Any:
    if is_call(node, "inf"):
        return sp.oo
    if isinstance(node, Call) and node.head == "neg" and is_call(node.args[0], "inf"):
        return -sp.oo
    value = to_sympy(node)
    if value.free_symbols or value.is_real is not True:
        raise Refused("not a real number")
    return value


def _of_relation(node: Call, name: str) -> Any:
    signs = node.head[4:].split(",")
    if signs == ["in"]:
        if node.args[0] != Sym(name):
            raise Refused("not a statement about the variable")
        return real_set(node.args[1], name)
    sides = [to_sympy(side) for side in node.args]
    parts = [_solved(sign, left, right, name) for sign, (left, right) in zip(signs, pairwise(sides), strict=True)]
    return sp.Intersection(*parts)


def _solved(sign: str, left: Any, right: Any, name: str) -> Any:
    """The solutions of one relation."""
    unknown, difference = symbol(name), left - right
    if difference.free_symbols != {unknown}:
        raise Refused("a relation without the variable")
    if not all(isinstance(part, _SOLVABLE) for part in difference.atoms(sp.Function)):
        # Of a periodic function sympy gives the solutions in one period only.
        raise Refused("a function whose inverse is no function")
    if sign in ("=", "!="):
        found = _roots(difference, unknown)
        return found if sign == "=" else sp.S.Reals - found
    relation = _RELATIONS[sign](left, right)
    found = sp.solve_univariate_inequality(relation, unknown, relational=False)
    if any(_holds(relation, unknown, point) != bool(found.contains(point)) for point in _between(found)):
        raise Refused("a solution that does not hold, or one that is missing")
    return found


def _holds(relation: Any, unknown: Any, point: Any) -> bool:
    sides = [side.subs(unknown, point) for side in relation.args]
    return all(side.is_real for side in sides) and bool(relation.func(*sides))


def _roots(difference: Any, unknown: Any) -> Any:
    """The solutions of difference = 0, refused where others exist that are not real."""
    numerator, _ = sp.fraction(sp.together(difference))
    if numerator.is_polynomial(unknown):
        polynomial = sp.Poly(sp.sqf_part(sp.expand(numerator), unknown), unknown)
        found = sp.roots(polynomial)
        # x^3 = 8 and x = 2 agree in the reals only, and nobody said that x is real.
        if len(found) != polynomial.degree() or not all(root.is_real for root in found):
            raise Refused("roots that are not real, or not found")
    found = sp.solveset(difference, unknown, sp.S.Reals)
    if not isinstance(found, sp.FiniteSet):
        raise Refused("not finitely many solutions")
    for root in found:
        if abs(sp.N(difference.subs(unknown, root), 30)) > sp.Float(10) ** -15:
            raise Refused("a solution that does not hold")
    return found


def spans_of(found: Any) -> list[tuple[Any, Any, bool, bool]]:
    """(low, high, low included, high included) of every part, in order; raises Refused for other sets."""
    spans: list[tuple[Any, Any, bool, bool]] = []
    for part in found.args if isinstance(found, sp.Union) else (found,):
        if isinstance(part, sp.FiniteSet):
            spans += [(value, value, True, True) for value in part]
        elif part == sp.S.Reals:
            spans.append((-sp.oo, sp.oo, False, False))
        elif isinstance(part, sp.Interval):
            spans.append((part.start, part.end, not part.left_open, not part.right_open))
        elif part != sp.S.EmptySet:
            raise Refused("neither points nor intervals")
    return sorted(spans, key=lambda span: (float(span[0]), float(span[1])))


def _between(found: Any) -> list[Any]:
    """Rational points: between the ends of the parts, and on both sides of all of them."""
    ends = sorted({sp.nsimplify(sp.N(end, 12), rational=True) for span in spans_of(found) for end in span[:2]
                   if end.is_finite})  # fmt: skip
    if not ends:
        return [sp.Integer(-3), sp.Integer(0), sp.Integer(5)]
    return [ends[0] - 1, ends[-1] + 1, *((low + high) / 2 for low, high in pairwise(ends))]
