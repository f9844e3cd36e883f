"""Whether two trees mean the same, decided by sympy: True and False are proven, None is anything else.

Only exact steps count. Floating point is used to doubt a result, never to reach one.
"""

from __future__ import annotations

from typing import Any

import sympy as sp

from eval_math.algebra.construct import Refused, counting, has_decimals, to_sympy
from eval_math.algebra.curves import equation, same_sign, same_zeros
from eval_math.algebra.solutions import real_set, spans_of
from eval_math.algebra.zero import is_zero
from eval_math.reading.tree import STRUCTURES, Call, Node, symbols


def equivalent(answer: Node, gold: Node) -> bool | None:
    """Whether the two mean the same; None when that was not proven either way. Raises MemoryError only."""
    try:
        verdict = _equivalent(*counting(answer, gold))
    except MemoryError:
        raise
    except Exception:
        # sympy fails in many ways on odd input, and none of them says anything about the answer.
        return None
    # A decimal may be a rounded value: whether that is close enough is not for algebra to say.
    if verdict is False and (has_decimals(answer) or has_decimals(gold)):
        return None
    return verdict


def _equivalent(answer: Node, gold: Node) -> bool | None:
    if _is_single(answer) and _is_single(gold):
        return is_zero(to_sympy(answer) - to_sympy(gold))
    if _are_alike(answer, gold):
        assert isinstance(answer, Call)
        assert isinstance(gold, Call)
        verdicts = [_equivalent(one, other) for one, other in zip(answer.args, gold.args, strict=True)]
        if all(verdicts):
            return True
        return False if False in verdicts else None
    names = sorted(symbols(answer) | symbols(gold))
    for decide in (_as_equations, _as_inequality, _as_sets):
        try:
            verdict = decide(answer, gold, names)
        except (Refused, sp.PolynomialError, NotImplementedError):
            continue
        if verdict is not None:
            return verdict
    return None


def _as_equations(answer: Node, gold: Node, names: list[str]) -> bool | None:
    left, right = equation(answer, names), equation(gold, names)
    return None if left is None or right is None else same_zeros(left, right, names)


def _as_inequality(answer: Node, gold: Node, names: list[str]) -> bool | None:
    """2x + 2y < 6 and 3 > x + y."""
    left, right = _below_zero(answer), _below_zero(gold)
    if left is None or right is None:
        return None
    return True if left[0] == right[0] and same_sign(left[1], right[1]) else None


def _below_zero(node: Node) -> tuple[str, Any] | None:
    """(sign, difference) of a single inequality turned into `difference < 0` or `difference <= 0`."""
    if not isinstance(node, Call) or node.head not in ("rel:<", "rel:<=", "rel:>", "rel:>="):
        return None
    low, high = node.args if node.head[4] == "<" else reversed(node.args)
    return node.head[5:], to_sympy(low) - to_sympy(high)


def _as_sets(answer: Node, gold: Node, names: list[str]) -> bool | None:
    if len(names) > 1:
        return None
    left, right = (spans_of(real_set(node, *names or [""])) for node in (answer, gold))
    if len(left) != len(right):
        return False
    unsure = False
    for one, other in zip(left, right, strict=True):
        if one[2:] != other[2:]:
            return False
        for end, wanted in zip(one[:2], other[:2], strict=True):
            same = end == wanted if sp.oo in (abs(end), abs(wanted)) else is_zero(end - wanted)
            if same is False:
                return False
            unsure |= same is None
    return None if unsure else True


def _is_single(node: Node) -> bool:
    return not (isinstance(node, Call) and (node.head in STRUCTURES or node.head.startswith(("rel:", "seq:"))))


def _are_alike(answer: Node, gold: Node) -> bool:
    """Whether the two are tuples, intervals or matrices of one shape, which are equal member by member."""
    if not isinstance(answer, Call) or not isinstance(gold, Call):
        return False
    ordered = answer.head.startswith("seq:") or answer.head in ("matrix", "row")
    return ordered and answer.head == gold.head and len(answer.args) == len(gold.args)
