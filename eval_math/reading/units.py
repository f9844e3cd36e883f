"""Units of measure: which words are units, what they measure, and how they convert."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import NamedTuple

_TABLE = """
length m 1 meter meters metre metres
length cm 1/100 centimeter centimeters centimetre centimetres
length mm 1/1000 millimeter millimeters millimetre millimetres
length km 1000 kilometer kilometers kilometre kilometres
length nm 1/1000000000 nanometer nanometers
length inch 127/5000 inches
length ft 381/1250 foot feet
length yd 1143/1250 yard yards
length mi 201168/125 mile miles
mass g 1/1000 gram grams
mass kg 1 kilogram kilograms
mass mg 1/1000000 milligram milligrams
mass lb 45359237/100000000 lbs pound pounds
mass oz 45359237/1600000000 ounce ounces
time s 1 sec secs second seconds
time min 60 mins minute minutes
time hr 3600 hrs hour hours h
time day 86400 days
time week 604800 weeks
time month 2629800 months
time year 31557600 years yr yrs
money dollar 1 dollars usd
money cent 1/100 cents
money euro 1 euros
volume ml 1/1000 milliliter milliliters
volume liter 1 liters litre litres
volume gallon 1 gallons
volume cup 1 cups
temperature celsius 1
temperature fahrenheit 1
"""
MULTIPLIERS = {
    "dozen": 12,
    "hundred": 100,
    "thousand": 1000,
    "million": 10**6,
    "billion": 10**9,
    "trillion": 10**12,
}
_STOP = """if for when where or and is are unless not else otherwise to than more less squared cubed the a an
of with all no any real such that between from by but either both none infinitely many yes odd dne am pm"""
STOP_WORDS = frozenset(_STOP.split())
"""Words that make a sentence: after a number they are no unit, and the text is no formula."""


class Unit(NamedTuple):
    """dims: ((dimension, power), ...) sorted; scale: factor to the base unit; known: listed above."""

    dims: tuple[tuple[str, int], ...]
    scale: Fraction
    known: bool


def _load() -> dict[str, tuple[str, Fraction]]:
    table: dict[str, tuple[str, Fraction]] = {}
    for line in _TABLE.strip().splitlines():
        dimension, name, scale, *more = line.split()
        # What has no fixed factor here (currencies, gallons of two countries) is a dimension of its own.
        own = name if name in ("euro", "gallon", "cup", "celsius", "fahrenheit") else dimension
        table.update({word: (own, Fraction(scale)) for word in (name, *more)})
    return table


KNOWN = _load()
_WORD = re.compile(r"[A-Za-z]+|\^\s*\{?\s*(-?\d)\s*\}?|/|\*")


def is_unit_word(word: str) -> bool:
    """Whether a bare run of letters reads as a unit: two letters or more, and in the table."""
    return len(word) > 1 and word.lower() in KNOWN


def read_unit(text: str) -> Unit | None:
    """The unit that the words spell, or None when they are prose.

    `text` holds words, `/`, `per`, `square`, `cubic` and powers such as `^2`.
    """
    dims: dict[str, int] = {}
    scale, known, sign, next_power = Fraction(1), True, 1, 1
    last: tuple[str, Fraction] | None = None
    words = 0
    for match in _WORD.finditer(text.replace(".", "")):
        token = match.group().lower()
        if token in ("/", "per"):
            sign, last = -1, None
        elif token == "*":
            continue
        elif token[0] == "^":
            if last is None:
                return None
            power = (int(match.group(1)) - 1) * sign
            dims[last[0]] = dims.get(last[0], 0) + power
            scale *= last[1] ** power
        elif token in ("square", "sq", "cubic"):
            next_power = 3 if token == "cubic" else 2
        elif token in STOP_WORDS or (words := words + 1) > 4:
            return None
        else:
            last = KNOWN.get(token) or (token.rstrip("s"), Fraction(1))
            known = known and token in KNOWN
            power, next_power = next_power * sign, 1
            dims[last[0]] = dims.get(last[0], 0) + power
            scale *= last[1] ** power
    if not dims:
        return Unit((), Fraction(1), False) if next_power > 1 or "unit" in text else None
    return Unit(tuple(sorted(dims.items())), scale, known)
