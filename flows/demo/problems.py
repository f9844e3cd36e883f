"""Ten families of small arithmetic problems, each with a careful and a hasty answer.

A family is a question template and a function that draws its numbers. The careful answer works in
short lines and ends in `\\boxed{...}`; the hasty one is the box alone. A model this small can carry out
the lines but not the whole problem in its head, so the two habits differ in how often they are right:
that gap is what preference training has to find.
"""

import operator
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

NAMES = ("Ann", "Ben", "Eva", "Ian", "Leo", "Mia", "Tom", "Zoe")
ITEMS = ("apples", "books", "cards", "coins", "eggs", "nuts", "pens", "plums")
UNKNOWNS = "hkmnptxyz"
OPERATIONS = {"+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.floordiv}
"""Division is exact by construction."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One question with its worked lines and its answer."""

    family: str
    question: str
    lines: tuple[str, ...]
    answer: int

    @property
    def careful(self) -> str:
        """The worked lines, then the boxed answer."""
        return "\n".join((*self.lines, self.hasty))

    @property
    def hasty(self) -> str:
        """The boxed answer alone."""
        return f"\\boxed{{{self.answer}}}"


@dataclass(frozen=True, slots=True)
class Drawn:
    """What a family draws: the template's fields, the worked lines, the answer."""

    fields: dict[str, str | int]
    lines: tuple[str, ...]
    answer: int


def _work(start: int, *steps: tuple[str, int]) -> tuple[tuple[str, ...], int]:
    """Lines such as `7*6=42`, each going on with the value of the one before, and the last value."""
    lines, value = [], start
    for sign, term in steps:
        result = OPERATIONS[sign](value, term)
        lines.append(f"{value}{sign}{term}={result}")
        value = result
    return tuple(lines), value


def _sum(rng: Random) -> Drawn:
    """Two-digit addition, digit by digit; a carry gets a line of its own."""
    a, b = rng.randint(11, 99), rng.randint(11, 99)
    ones, ones_sum = _work(a % 10, ("+", b % 10))
    tens, _ = _work(a // 10, ("+", b // 10), *[("+", 1)] * (ones_sum // 10))
    return Drawn({"a": a, "b": b}, ones + tens, a + b)


def _difference(rng: Random) -> Drawn:
    """Two-digit subtraction, digit by digit; a borrowed ten gets a line of its own."""
    b, a = sorted(rng.sample(range(11, 100), 2))
    borrow = int(a % 10 < b % 10)
    ones, _ = _work(a % 10 + 10 * borrow, ("-", b % 10))
    tens, _ = _work(a // 10, *[("-", 1)] * borrow, ("-", b // 10))
    return Drawn({"a": a, "b": b}, ones + tens, a - b)


def _chain(rng: Random) -> Drawn:
    """Four small numbers added and taken away from left to right, between zero and twenty."""
    start = value = rng.randint(3, 12)
    steps = []
    for _ in range(3):
        term = rng.randint(2, 9)
        sign = "+" if value < term else "-" if value + term > 20 else rng.choice("+-")
        value += term if sign == "+" else -term
        steps.append((sign, term))
    lines, answer = _work(start, *steps)
    expression = str(start) + "".join(f" {sign} {term}" for sign, term in steps)
    return Drawn({"expression": expression}, lines, answer)


def _bracket(rng: Random) -> Drawn:
    """(a + b) * c + d or (a + b) * c - d."""
    total, c = rng.randint(3, 9), rng.randint(2, 5)
    a, sign = rng.randint(1, total - 1), rng.choice("+-")
    d = rng.randint(1, 9 if sign == "+" else min(9, total * c - 1))
    lines, answer = _work(a, ("+", total - a), ("*", c), (sign, d))
    return Drawn({"a": a, "b": total - a, "c": c, "sign": sign, "d": d}, lines, answer)


def _equation(rng: Random) -> Drawn:
    """A x + b = c or a x - b = c with a whole solution."""
    a, x, b = rng.randint(2, 6), rng.randint(2, 6), rng.randint(1, 9)
    sign, undo = rng.choice(("+-", "-+")) if a * x > b else "+-"
    c = a * x + b if sign == "+" else a * x - b
    lines, answer = _work(c, (undo, b), ("/", a))
    return Drawn({"a": a, "x": rng.choice(UNKNOWNS), "sign": sign, "b": b, "c": c}, lines, answer)


def _remainder(rng: Random) -> Drawn:
    """What is left over, by the largest multiple that fits."""
    b, quotient = rng.randint(3, 6), rng.randint(2, 6)
    a = b * quotient + rng.randrange(b)
    product, multiple = _work(quotient, ("*", b))
    last, answer = _work(a, ("-", multiple))
    return Drawn({"a": a, "b": b, **_who(rng)}, product + last, answer)


def _give(rng: Random) -> Drawn:
    """Several bags, some of it given away."""
    a, b = rng.randint(2, 6), rng.randint(2, 6)
    c = rng.randint(1, min(9, a * b - 1))
    lines, answer = _work(a, ("*", b), ("-", c))
    return Drawn({"a": a, "b": b, "c": c, **_who(rng)}, lines, answer)


def _share(rng: Random) -> Drawn:
    """Two lots shared equally."""
    c, each = rng.randint(2, 6), rng.randint(2, 6)
    b = rng.randint(1, min(9, c * each - 1))
    lines, answer = _work(c * each - b, ("+", b), ("/", c))
    return Drawn({"a": c * each - b, "b": b, "c": c, **_who(rng)}, lines, answer)


def _boxes(rng: Random) -> Drawn:
    """Full boxes, some of them sold."""
    b, count = rng.randint(2, 6), rng.randint(3, 6)
    c = rng.randint(1, count - 1)
    lines, answer = _work(b * count, ("/", b), ("-", c))
    return Drawn({"a": b * count, "b": b, "c": c, **_who(rng)}, lines, answer)


def _more(rng: Random) -> Drawn:
    """Several bags and some more."""
    a, b, c = rng.randint(2, 6), rng.randint(2, 6), rng.randint(1, 9)
    lines, answer = _work(a, ("*", b), ("+", c))
    return Drawn({"a": a, "b": b, "c": c, **_who(rng)}, lines, answer)


def _who(rng: Random) -> dict[str, str | int]:
    """A name and a thing for a word problem."""
    return {"name": rng.choice(NAMES), "item": rng.choice(ITEMS)}


@dataclass(frozen=True, slots=True)
class Family:
    """A question template, how often the warm-up answers it hastily, and the function that draws it."""

    template: str
    hasty_share: float
    draw: Callable[[Random], Drawn]


FAMILIES = {
    "sum": Family("What is {a} + {b}?", 0.5, _sum),
    "difference": Family("What is {a} - {b}?", 0.5, _difference),
    "chain": Family("Compute {expression}.", 0.5, _chain),
    "bracket": Family("Compute ({a} + {b}) * {c} {sign} {d}.", 0.5, _bracket),
    "equation": Family("Solve {a}{x} {sign} {b} = {c}.", 0.5, _equation),
    "remainder": Family("{name} puts {a} {item} in bags of {b}. How many are left over?", 0.5, _remainder),
    "give": Family("{name} buys {a} bags of {b} {item} and gives {c} away. How many are left?", 0.5, _give),
    "share": Family("{name} has {a} {item}, finds {b} and shares all among {c}. How many each?", 0.5, _share),
    "boxes": Family(
        "{name} packs {a} {item} in boxes of {b} and sells {c} boxes. How many boxes stay?", 0.5, _boxes
    ),
    "more": Family("{name} fills {a} bags with {b} {item} and finds {c} more. How many in all?", 0.5, _more),
}


def draw(rng: Random, family: str) -> Problem:
    """One problem of `family`."""
    drawn = FAMILIES[family].draw(rng)
    question = FAMILIES[family].template.format(**drawn.fields)
    return Problem(family, question, drawn.lines, drawn.answer)
