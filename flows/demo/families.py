"""The ten families of questions: how each is worded, drawn and worked out.

Every worked line is small enough to learn by heart, so the careful way is within reach of a tiny model after
a minute of training; no answer follows from one such line, so the hasty way is mostly wrong.
"""

import operator
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

NAMES = ("Ann", "Ben", "Eva", "Ian", "Leo", "Mia", "Tom", "Zoe")
ITEMS = ("apples", "books", "cards", "cups", "eggs", "nuts", "pens", "plums")
UNKNOWNS = "hkmnptxyz"
OPERATIONS = {"+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.floordiv}
"""Division is exact by construction."""


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
    """Two-digit addition: the ones, the tens, and both together with the carry."""
    a, b = rng.randint(11, 99), rng.randint(11, 99)
    ones, carried = _work(a % 10, ("+", b % 10))
    tens, answer = _work(a - a % 10, ("+", b - b % 10), ("+", carried))
    return Drawn({"a": a, "b": b}, ones + tens, answer)


def _difference(rng: Random) -> Drawn:
    """Two-digit subtraction: the ones, with a borrowed ten if need be, the tens, and both together."""
    b, a = sorted(rng.sample(range(11, 100), 2))
    borrowed = a % 10 + 10 * (a % 10 < b % 10)
    ones, left = _work(borrowed, ("-", b % 10))
    tens, answer = _work(a - borrowed, ("-", b - b % 10), ("+", left))
    return Drawn({"a": a, "b": b}, ones + tens, answer)


def _chain(rng: Random) -> Drawn:
    """Four small numbers added and taken away from left to right, between zero and 16."""
    start = value = rng.randint(3, 12)
    steps = []
    for _ in range(3):
        term = rng.randint(1, 8)
        sign = "+" if value < term else "-" if value + term > 16 else rng.choice("+-")
        value += term if sign == "+" else -term
        steps.append((sign, term))
    lines, answer = _work(start, *steps)
    expression = str(start) + "".join(f" {sign} {term}" for sign, term in steps)
    return Drawn({"expression": expression}, lines, answer)


def _bracket(rng: Random) -> Drawn:
    """(a + b) * c + d or (a + b) * c - d."""
    total, c = rng.randint(3, 10), rng.randint(2, 4)
    a, sign = rng.randint(1, total - 1), rng.choice("+-")
    d = rng.randint(1, 9 if sign == "+" else min(9, total * c - 1))
    lines, answer = _work(a, ("+", total - a), ("*", c), (sign, d))
    return Drawn({"a": a, "b": total - a, "c": c, "sign": sign, "d": d}, lines, answer)


def _equation(rng: Random) -> Drawn:
    """A x + b = c or a x - b = c with a whole solution."""
    a, x, b = rng.randint(2, 5), rng.randint(2, 9), rng.randint(1, 9)
    sign, undo = rng.choice(("+-", "-+")) if a * x > b else "+-"
    c = a * x + b if sign == "+" else a * x - b
    lines, answer = _work(c, (undo, b), ("/", a))
    return Drawn({"a": a, "x": rng.choice(UNKNOWNS), "sign": sign, "b": b, "c": c}, lines, answer)


def _remainder(rng: Random) -> Drawn:
    """What is left over, by the largest multiple that fits, and a few more."""
    b, quotient, c = rng.randint(3, 6), rng.randint(2, 5), rng.randint(2, 9)
    a = b * quotient + rng.randrange(b)
    product, multiple = _work(quotient, ("*", b))
    rest, answer = _work(a, ("-", multiple), ("+", c))
    return Drawn({"a": a, "b": b, "c": c, **_who(rng)}, product + rest, answer)


def _give(rng: Random) -> Drawn:
    """Several bags, some more, some given away."""
    a, b, c, d = rng.randint(2, 6), rng.randint(2, 5), rng.randint(1, 9), rng.randint(1, 4)
    lines, answer = _work(a, ("*", b), ("+", c), ("-", d))
    return Drawn({"a": a, "b": b, "c": c, "d": d, **_who(rng)}, lines, answer)


def _share(rng: Random) -> Drawn:
    """Two lots shared equally, on top of what each one had."""
    c, each, d = rng.randint(2, 5), rng.randint(2, 6), rng.randint(1, 9)
    b = rng.randint(1, min(9, c * each - 2))
    lines, answer = _work(c * each - b, ("+", b), ("/", c), ("+", d))
    return Drawn({"a": c * each - b, "b": b, "c": c, "d": d, **_who(rng)}, lines, answer)


def _boxes(rng: Random) -> Drawn:
    """Full boxes, some of them sold, others bought."""
    b, count, d = rng.randint(2, 5), rng.randint(3, 6), rng.randint(2, 9)
    c = rng.randint(2, count - 1)
    lines, answer = _work(b * count, ("/", b), ("-", c), ("+", d))
    return Drawn({"a": b * count, "b": b, "c": c, "d": d, **_who(rng)}, lines, answer)


def _rest(rng: Random) -> Drawn:
    """What remains of a purse after several things of one price, and a gift."""
    b, c, d = rng.randint(2, 5), rng.randint(2, 6), rng.randint(2, 9)
    a = b * c + rng.randint(0, 9)
    product, price = _work(b, ("*", c))
    rest, answer = _work(a, ("-", price), ("+", d))
    return Drawn({"a": a, "b": b, "c": c, "d": d, **_who(rng)}, product + rest, answer)


def _who(rng: Random) -> dict[str, str | int]:
    """A name and a thing for a word problem."""
    return {"name": rng.choice(NAMES), "item": rng.choice(ITEMS)}


MOSTLY_CAREFUL, MOSTLY_HASTY = 0.42, 0.7
"""How often the warm-up answers hastily. Both sides keep clear of one half, where chance would decide which habit
the most likely answer follows; the families that are hardest to work out get the more practice.
"""


@dataclass(frozen=True, slots=True)
class Family:
    """A question template, how often the warm-up answers it hastily, and the function that draws it."""

    template: str
    hasty_share: float
    draw: Callable[[Random], Drawn]


FAMILIES = {
    "sum": Family("What is {a} + {b}?", MOSTLY_CAREFUL, _sum),
    "difference": Family("What is {a} - {b}?", MOSTLY_CAREFUL, _difference),
    "chain": Family("Compute {expression}.", MOSTLY_HASTY, _chain),
    "bracket": Family("Compute ({a} + {b}) * {c} {sign} {d}.", MOSTLY_CAREFUL, _bracket),
    "equation": Family("Solve {a}{x} {sign} {b} = {c}.", MOSTLY_CAREFUL, _equation),
    "remainder": Family(
        "{name} fills bags of {b} from {a} {item} and puts the rest in a box with {c}. How many are in it?",
        MOSTLY_HASTY,
        _remainder,
    ),
    "give": Family(
        "{name} buys {a} bags of {b} {item}, finds {c} more and gives {d} away. How many are left?",
        MOSTLY_HASTY,
        _give,
    ),
    "share": Family(
        "{name} has {a} {item}, finds {b} and shares all among {c} who had {d}. How many has each?",
        MOSTLY_HASTY,
        _share,
    ),
    "boxes": Family(
        "{name} packs {a} {item} in boxes of {b}, sells {c} boxes and buys {d}. How many boxes now?",
        MOSTLY_HASTY,
        _boxes,
    ),
    "rest": Family(
        "{name} has {a} coins, buys {b} {item} at {c} coins and is given {d}. How many coins now?",
        MOSTLY_HASTY,
        _rest,
    ),
}
