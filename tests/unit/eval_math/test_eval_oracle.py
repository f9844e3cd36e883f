"""Expressions whose equality sympy knows: random trees, rewritten by sympy and printed in its many styles.

Nothing here asks the grader's own parser or arithmetic what is equal.
"""

import re
from collections.abc import Callable
from random import Random
from typing import Any

import sympy
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from eval_math import Policy, grade

REWARD = Policy.reward()
X, Y = sympy.symbols("x y")
# Shared cores are slow at times, and what cannot be spelled in a style is left out.
CHECKS = [HealthCheck.too_slow, HealthCheck.filter_too_much]
often = settings(max_examples=150, derandomize=True, suppress_health_check=CHECKS)


def expect(answer: str, gold: str, verdict: bool) -> None:
    found = grade(rf"The answer is \boxed{{{answer}}}.", gold, REWARD)

    assert found.correct is verdict, f"{answer} ||| {gold} ||| {verdict} ||| {found.correct} ({found.reason.value})"


# Expressions: built, rewritten and printed by sympy.

REWRITES: list[Callable[..., Any]] = [
    lambda e: e,
    sympy.expand,
    sympy.factor,
    sympy.together,
    sympy.cancel,
    sympy.powsimp,
    lambda e: sympy.expand(e, trig=True),
    sympy.radsimp,
    sympy.trigsimp,
    lambda e: e.rewrite(sympy.exp),
    lambda e: sympy.apart(e, X) if e.is_rational_function(X) else e,
    lambda e: sympy.collect(e, X),
]
STYLES: list[dict[str, object]] = [
    {},
    {"mul_symbol": "dot"},
    {"mul_symbol": "times"},
    {"fold_frac_powers": True},
    {"long_frac_ratio": 2},
    {"order": "rev-lex"},
    {"ln_notation": True},
    {"root_notation": False},
    {"fold_func_brackets": True},
    {"inv_trig_style": "power"},
    {"terse": True},
    {"terse": True, "ln_notation": True},
]
styles = st.sampled_from(STYLES)
rewrites = st.sampled_from(REWRITES)
shifts = st.sampled_from([sympy.Integer(1), sympy.Integer(-2), sympy.Rational(1, 3), sympy.Rational(-1, 10**30)])
FUNCTIONS = [sympy.sin, sympy.cos, sympy.tan, sympy.exp, sympy.sqrt, sympy.atan, sympy.log, sympy.sinh]


def _tree(random: Random, size: int, leaves: list[sympy.Expr], functions: bool) -> sympy.Expr:
    """A random expression of about `size` leaves; hypothesis alone would draw small ones only."""
    if size <= 1:
        number = sympy.Rational(random.choice([-1, 1]) * random.randint(1, 9), random.choice([1, 1, 2, 3, 5, 7]))
        return random.choice([number, *leaves])
    kind = random.randrange(9 if functions else 7)
    if kind >= 7:
        inner = _tree(random, min(size - 1, 2), leaves, False)
        return random.choice(FUNCTIONS)(inner)
    one = _tree(random, size // 2, leaves, functions)
    if kind == 6:
        return one ** random.choice([2, 3, -1, -2]) if one != 0 else one
    other = _tree(random, size - size // 2, leaves, functions)
    return [one + other, one - other, one * other, one / other if other != 0 else one][kind % 4]


def trees(leaves: list[sympy.Expr], functions: bool = False) -> st.SearchStrategy[sympy.Expr]:
    def grown(seed: int, size: int) -> sympy.Expr:
        return _tree(Random(seed), size, leaves, functions)

    return st.builds(grown, st.integers(0, 2**48), st.integers(2, 8))


rational_functions = trees([X, Y])
constants = trees([sympy.sqrt(2), sympy.sqrt(3), sympy.sqrt(5), sympy.pi, sympy.E])
transcendental = trees([X, Y], functions=True)
special = trees([sympy.sqrt(2), sympy.pi, sympy.E], functions=True)
POINT = {X: sympy.Rational(1733, 1000), Y: sympy.Rational(2411, 1000)}


def value(expression: sympy.Expr) -> sympy.Expr:
    """Fifty digits of the expression at one point; what has no plain value there is left out."""
    found = expression.subs(POINT).evalf(50, maxn=400)
    assume(found.is_number and found.is_finite and (found.has(sympy.zoo, sympy.nan) is False))
    assume(abs(found) < 10**40)
    return found


def printed(expression: sympy.Expr, style: dict[str, object]) -> str:
    options = {name: choice for name, choice in style.items() if name != "terse"}
    text = sympy.latex(expression, **options)  # type: ignore[arg-type]
    assume(len(text) < 400)
    text = terse(text) if "terse" in style else text
    assume(not re.search(r"\de[+-]?\d", text))  # 2e-1 may be a number in scientific notation
    return text


def terse(text: str) -> str:
    r"""The text as people type it: 2xy^2 for 2 x y^{2}, \frac12 for \frac{1}{2}, brackets of one size."""
    text = re.sub(r"\\(?:left|right)(?![a-z])", "", text)
    text = re.sub(r"([_^])\{(\w)\}", r"\1\2", text)
    text = re.sub(r"\\frac\{(\d)\}\{(\d)\}", r"\\frac\1\2", text)
    text = re.sub(r"\\sqrt\{(\d)\}", r"\\sqrt\1", text)
    return re.sub(r"(?<![A-Za-z]) | (?![A-Za-z0-9])", "", text)


def same_and_different(
    expression: sympy.Expr,
    rewrite: Callable[..., Any],
    one: dict[str, object],
    other: dict[str, object],
    shift: sympy.Expr,
) -> None:
    before, rewritten = value(expression), rewrite(expression)
    assume(abs(value(rewritten) - before) <= abs(before) * sympy.Float("1e-40"))

    expect(printed(rewritten, one), printed(expression, other), True)
    expect(printed(rewritten + shift, one), printed(expression, other), False)
    if before != 0:
        expect(printed(-rewritten, one), printed(expression, other), False)


@often
@given(rational_functions, rewrites, styles, styles, shifts)
def test_rational_functions_are_equal_in_every_spelling_of_sympy(expression, rewrite, one, other, shift) -> None:
    same_and_different(expression, rewrite, one, other, shift)


@often
@given(constants, rewrites, styles, styles, shifts)
def test_exact_constants_are_equal_in_every_spelling_of_sympy(expression, rewrite, one, other, shift) -> None:
    same_and_different(expression, rewrite, one, other, shift)


@often
@given(transcendental | special, rewrites, styles, styles, shifts)
def test_functions_are_equal_in_every_spelling_of_sympy(expression, rewrite, one, other, shift) -> None:
    same_and_different(expression, rewrite, one, other, shift)


@often
@given(transcendental, st.data())
def test_an_expression_with_one_other_number_is_another(expression, data: st.DataObject) -> None:
    numbers = sorted(expression.atoms(sympy.Integer), key=int)
    assume(numbers)
    number = data.draw(st.sampled_from(numbers))
    mutated = expression.xreplace({number: number + data.draw(st.sampled_from([1, -1, 10]))})
    assume(abs(value(mutated) - value(expression)) > sympy.Float("1e-9"))

    expect(sympy.latex(mutated), sympy.latex(expression), False)


@often
@given(rational_functions | trees([sympy.sqrt(2), sympy.sqrt(3), sympy.pi]))
def test_the_notation_of_programs_is_read_too(expression: sympy.Expr) -> None:
    value(expression)

    expect(str(expression), printed(expression, {}), True)
    expect(str(expression + 1), printed(expression, {}), False)
