"""Whether two equations, in any number of variables, have the same solutions: by polynomial algebra.

Two polynomials vanish at the same complex points exactly if their squarefree parts are equal up to a constant
(Hilbert's Nullstellensatz). What is cleared of denominators must not vanish where these do.
"""

from __future__ import annotations

from typing import Any

import sympy as sp

from eval_math.algebra.construct import Refused, symbol, to_sympy
from eval_math.reading.signs import alternatives, has_alternatives
from eval_math.reading.tree import Call, Node, is_call, symbols


def equation(node: Node, names: list[str]) -> Any:
    """An expression that is zero exactly where the node holds; None when it is no equation or choice of them.

    With one variable, `x = 2, x = -2`, `x = ±2`, `{2, -2}` and (x - 2)(x + 2) = 0 all say the same.
    """
    if isinstance(node, Call) and has_alternatives(node):
        return _product([equation(each, names) for each in alternatives(node)])
    if is_call(node, "or") or (is_call(node, "list", "set") and len(names) == 1):
        assert isinstance(node, Call)
        return _product([equation(member, names) for member in node.args])
    if isinstance(node, Call) and node.head == "rel:=":
        return to_sympy(node.args[0]) - to_sympy(node.args[1])
    if (
        len(names) == 1
        and not symbols(node)
        and not (isinstance(node, Call) and node.head.startswith(("rel:", "seq:")))
    ):
        return symbol(names[0]) - to_sympy(node)
    return None


def _product(factors: list[Any]) -> Any:
    return None if None in factors or not factors else sp.Mul(*factors)


def same_zeros(left: Any, right: Any, names: list[str]) -> bool | None:
    """Whether two expressions are zero at the same points; None when that is not known. Raises Refused."""
    unknowns = [symbol(name) for name in names]
    ratio = sp.cancel(sp.together(left / right))
    if ratio.is_number and ratio.is_finite and ratio.is_zero is False:
        return True
    one, other = (_numerator(each, unknowns) for each in (left, right))
    if one == other:
        return True
    if len(unknowns) == 1:
        return False if _only_real_roots(one) and _only_real_roots(other) else None
    # Two different lines, planes and so on.
    return (
        False if one.total_degree() == other.total_degree() == 1 and not (left.has(sp.I) or right.has(sp.I)) else None
    )


def _numerator(expression: Any, unknowns: list[Any]) -> Any:
    """The squarefree part, made monic, of the numerator."""
    above, below = sp.fraction(sp.cancel(sp.together(expression)))
    if not above.is_polynomial(*unknowns) or not below.is_polynomial(*unknowns):
        raise Refused("no polynomial")
    polynomial = sp.Poly(sp.sqf_part(sp.expand(above), *unknowns), *unknowns, extension=True)
    if polynomial.is_ground or polynomial.domain.is_EX:
        raise Refused("no polynomial with known coefficients")
    if below.free_symbols and sp.groebner([above, below], *unknowns).exprs != [1]:
        raise Refused("a denominator that may vanish too")
    return polynomial.monic()


def _only_real_roots(polynomial: Any) -> bool:
    return polynomial.domain.is_QQ and polynomial.count_roots() == polynomial.degree()


def same_sign(left: Any, right: Any) -> bool:
    """Whether one expression is a positive constant times the other, so that left < 0 and right < 0 are the same."""
    ratio = sp.cancel(sp.together(left / right))
    return bool(ratio.is_number and ratio.is_positive)
