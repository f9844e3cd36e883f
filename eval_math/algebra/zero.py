"""Whether a sympy expression vanishes everywhere: proven, refuted, or not known.

Only exact steps count. Floating point is used to doubt a result, never to reach one.
"""

from __future__ import annotations

from typing import Any

import sympy as sp

from eval_math.algebra.construct import finite


def is_zero(difference: Any) -> bool | None:
    """Whether an expression vanishes everywhere."""
    if difference.has(sp.Sum, sp.Product):
        difference = finite(_generic(difference.doit()))
        if difference.has(sp.oo, -sp.oo):
            return None
    if difference.is_Rational:
        return bool(difference == 0)
    for simplified in _simplified(difference):
        if simplified == 0:
            return None if _is_doubtful(difference) else True
        if _is_plainly_nonzero(simplified):
            return False
    if not difference.free_symbols and difference.is_algebraic:
        # 0 is the only algebraic number whose minimal polynomial is x.
        name = sp.Dummy()
        return bool(sp.minimal_polynomial(difference, name) == name)
    return None


def _simplified(difference: Any) -> Any:
    """The expression in one simpler form after another, cheapest first; each equals it exactly."""
    yield sp.expand(difference)
    together = sp.cancel(sp.together(difference))
    yield together
    for step in (sp.radsimp, sp.sqrtdenest, sp.combsimp, sp.trigsimp):
        yield step(together)
    yield sp.expand(sp.expand_log(sp.logcombine(together)))
    yield sp.expand(difference.rewrite(sp.exp), complex=False)
    yield sp.simplify(difference)


def _generic(value: Any) -> Any:
    """The value without the exceptions that sympy makes for single points, such as r = 1 in a geometric sum."""
    for part in value.atoms(sp.Piecewise):
        *exceptions, (rest, otherwise) = part.args
        if otherwise == sp.true and all(isinstance(condition, sp.Eq) for _, condition in exceptions):
            value = value.subs(part, rest)
    return value


def _is_plainly_nonzero(value: Any) -> bool:
    """Whether it is a quotient of polynomials with rational coefficients, and not 0."""
    if not value.is_rational_function(*value.free_symbols):
        return False
    if any(part.is_number and not part.is_Rational for part in sp.preorder_traversal(value)):
        return False
    return sp.cancel(value) != 0


def _is_doubtful(difference: Any) -> bool:
    """Whether some point contradicts that this vanishes: an error in a simplification must not become a verdict."""
    names = sorted(difference.free_symbols, key=str)
    for start in (3, 7, 12):
        point = {name: sp.Integer(start + 2 * at) if name.is_integer else sp.Rational(10 * start + 7 * at, 9 + at)
                 for at, name in enumerate(names)}  # fmt: skip
        value = sp.N(difference.subs(point), 30, maxn=200)
        if value.is_number and value.is_finite and abs(value) > sp.Float(10) ** -15:
            return True
    return False
