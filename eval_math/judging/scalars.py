"""Equality of two single values: exact, else numeric; then units, degrees, percent and rounding."""

from __future__ import annotations

from fractions import Fraction

from eval_math.judging.exact import exact
from eval_math.judging.identity import same_value
from eval_math.judging.numeric import number_of
from eval_math.policy import Policy
from eval_math.reading.tree import Call, Node, Num, Quantity, Sym, TooLarge, heads, is_call, symbols
from eval_math.reading.units import KNOWN, read_unit
from eval_math.verdict import RIGHT, Reason

_SIGNS = ("percent", "deg", "rad")


def same_scalar(answer: Node, gold: Node, policy: Policy) -> Reason:
    """The reason that decides between two values; raises what `numeric.same_value` raises."""
    if isinstance(answer, Quantity) or isinstance(gold, Quantity):
        if is_call(answer, *_SIGNS) or is_call(gold, *_SIGNS):
            return Reason.UNIT_CONFLICT
        return _quantities(_as_quantity(answer), _as_quantity(gold), policy)
    for sign in _SIGNS:
        if is_call(answer, sign) or is_call(gold, sign):
            return _signed_values(answer, gold, sign, policy)
    if _is_infinite(answer) or _is_infinite(gold):
        return Reason.DIFFERENT
    if is_call(answer, "based") or is_call(gold, "based"):
        return _numerals(answer, gold)
    if symbols(answer) and not symbols(gold) and (plain := _without_bare_unit(answer)):
        return _constants(plain, gold, policy)
    if symbols(answer) or symbols(gold):
        return Reason.IDENTITY if _same(answer, gold) else Reason.DIFFERENT
    return _constants(answer, gold, policy)


def _without_bare_unit(answer: Node) -> Node | None:
    """5 for 5m: beside a gold without variables, a single letter that names a unit is one."""
    if not isinstance(answer, Call) or answer.head != "mul" or len(answer.args) != 2:
        return None
    value, unit = answer.args
    return value if isinstance(unit, Sym) and unit.name in KNOWN and not symbols(value) else None


def _as_quantity(node: Node) -> Node:
    """5 m beside a quantity is five metres, whatever m is elsewhere."""
    if isinstance(node, Call) and node.head == "mul" and len(node.args) == 2 and isinstance(node.args[1], Sym):
        unit = read_unit(node.args[1].name) if node.args[1].name in KNOWN else None
        if unit and not symbols(node.args[0]):
            return Quantity(node.args[0], *unit)
    return node


def _same(answer: Node, gold: Node) -> bool:
    """Equality of values with log read as natural, or else as decadic: books use both."""
    if same_value(answer, gold):
        return True
    return "log" in heads(answer) | heads(gold) and same_value(_decadic(answer), _decadic(gold))


def _decadic(node: Node) -> Node:
    if not isinstance(node, Call):
        return node
    return Call("log10" if node.head == "log" else node.head, tuple(map(_decadic, node.args)))


def _inner(node: Node) -> Node:
    assert isinstance(node, Call)
    return node.args[0]


def _quantities(answer: Node, gold: Node, policy: Policy) -> Reason:
    """Units convert when both are known, must not conflict, and may be missing on one side."""
    if not (isinstance(answer, Quantity) and isinstance(gold, Quantity)):
        plain = answer.value if isinstance(answer, Quantity) else answer
        return same_scalar(plain, gold.value if isinstance(gold, Quantity) else gold, policy)
    if answer.dims == gold.dims and answer.scale != gold.scale:
        factor = Num(answer.scale / gold.scale)
        return same_scalar(Call("mul", (answer.value, factor)), gold.value, policy)
    if answer.dims != gold.dims and answer.dims and gold.dims:
        return Reason.UNIT_CONFLICT
    return same_scalar(answer.value, gold.value, policy)


def _signed_values(answer: Node, gold: Node, sign: str, policy: Policy) -> Reason:
    """A percent or angle sign: the bare numbers are equal, or the values that the signs give them."""
    others = {"deg", "rad"} - {sign}
    if is_call(answer, *others) or is_call(gold, *others):
        return Reason.IDENTITY if same_value(answer, gold) else Reason.UNIT_CONFLICT
    bare = tuple(_inner(node) if is_call(node, sign) else node for node in (answer, gold))
    reason = same_scalar(bare[0], bare[1], policy)
    if reason in RIGHT or (is_call(answer, sign) and is_call(gold, sign)) or sign == "rad":
        return reason
    return Reason.NUMBERS_EQUAL if same_value(answer, gold) else reason


def _is_infinite(node: Node) -> bool:
    return is_call(node, "inf") or (is_call(node, "neg") and is_call(_inner(node), "inf"))


def _numerals(answer: Node, gold: Node) -> Reason:
    """52_8 equals 52_8, and 52 where only one side states the base; never 42, its decimal value."""
    left = answer.args if isinstance(answer, Call) and answer.head == "based" else (answer,)
    right = gold.args if isinstance(gold, Call) and gold.head == "based" else (gold,)
    return Reason.NORMALISED if all(a == b for a, b in zip(left, right, strict=False)) else Reason.DIFFERENT


def _constants(answer: Node, gold: Node, policy: Policy) -> Reason:
    """Numbers without variables: exactly, numerically, then by the policy's rounding."""
    left, right = _exact(answer), _exact(gold)
    if left is not None and right is not None:
        if left == right:
            return Reason.RATIONAL_EQUAL
    elif _same(answer, gold):
        return Reason.NUMBERS_EQUAL
    return Reason.ROUNDED if _rounds(answer, gold, left, right, policy) else Reason.DIFFERENT


def _exact(node: Node) -> Fraction | None:
    try:
        return exact(node)
    except TooLarge:
        return None


def _literal(node: Node) -> Num | None:
    """The decimal literal that the node is, with its sign."""
    if is_call(node, "neg"):
        inner = _literal(_inner(node))
        return Num(-inner.value, inner.decimals, inner.digits) if inner else None
    return node if isinstance(node, Num) and node.decimals is not None else None


def _rounds(answer: Node, gold: Node, left: Fraction | None, right: Fraction | None, policy: Policy) -> bool:
    """Whether the policy takes the one for the other.

    Within its tolerance; or a decimal answer with enough digits, all correct, to an exact gold that is no
    integer and no decimal; or an exact answer that rounds to a decimal gold.
    """
    if policy.relative_tolerance and _near(answer, gold, policy.relative_tolerance):
        return True
    written, stated = _literal(answer), _literal(gold)
    if written and not stated and written.digits >= policy.min_digits:
        return (right is None or right.denominator != 1) and _rounds_to(gold, right, written, cut=True)
    enough = stated is not None and (
        stated.digits >= policy.gold_digits or (left is not None and stated.digits > 1 and (stated.decimals or 0) > 1)
    )
    if stated and not written and enough:
        return (left is None or not _terminates(left)) and _rounds_to(answer, left, stated, cut=False)
    return False


def _terminates(value: Fraction) -> bool:
    """Whether the value has a finite decimal expansion, so that rounding it would be a mistake."""
    rest = value.denominator
    for prime in (2, 5):
        while rest % prime == 0:
            rest //= prime
    return rest == 1


def _rounds_to(node: Node, value: Fraction | None, literal: Num, *, cut: bool) -> bool:
    """Whether the literal is the value rounded to its last digit or, as far as `cut` allows, cut off there."""
    if value is None:
        number = number_of(node)
        if number.imag != 0:
            return False
        value = Fraction(int(number.real * 2**180), 2**180) if abs(number.real) < 2**60 else Fraction(0)
    unit = Fraction(1, 10 ** (literal.decimals or 0))
    difference = abs(value) - abs(literal.value)
    if (value < 0) != (literal.value < 0):
        return False
    return abs(difference) <= unit / 2 or (cut and 0 <= difference < unit)


def _near(answer: Node, gold: Node, tolerance: float) -> bool:
    one, other = number_of(answer), number_of(gold)
    return bool(abs(one - other) <= tolerance * abs(other))
