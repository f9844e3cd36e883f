"""Units of measure: which words are units, what they measure, and how they convert."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import NamedTuple

_TABLE = """
length m 1 meter meters metre metres
length inch 127/5000 inches in
length ft 381/1250 foot feet
length yd 1143/1250 yard yards
length mi 201168/125 mile miles
length angstrom 1/10000000000 angstroms
mass g 1/1000 gram grams
mass lb 45359237/100000000 lbs pound pounds
mass oz 45359237/1600000000 ounce ounces
mass ton 1000 tonne tonnes tons
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
volume gallon 1 gallons
gallon quart 1/4 quarts
gallon pint 1/8 pints
volume cup 1 cups
temperature K 1 kelvin kelvins
temperature celsius 1
temperature fahrenheit 1
current A 1 ampere amperes amp amps
amount mol 1 mole moles
information bit 1 bits
information byte 8 bytes
length*time^-1 mph 44704/100000
length*time^-1 kph 5/18 kmh
length^3 L 1/1000 l liter liters litre litres
mass*length*time^-2 N 1 newton newtons
mass*length*time^-2 dyn 1/100000 dyne dynes
mass*length^2*time^-2 J 1 joule joules
mass*length^2*time^-2 erg 1/10000000 ergs
mass*length^2*time^-2 cal 4184/1000 calorie calories
mass*length^2*time^-2 eV 1602176634/10000000000000000000000000000
mass*length^2*time^-3 W 1 watt watts
mass*length^-1*time^-2 Pa 1 pascal pascals
mass*length^-1*time^-2 bar 100000 bars
mass*length^-1*time^-2 atm 101325
current*time C 1 coulomb coulombs
mass*length^2*time^-3*current^-1 V 1 volt volts
mass*length^2*time^-3*current^-2 ohm 1 ohms
time^-1 Hz 1 hertz
"""
_PREFIXES = {
    "f": (-15, "femto"), "p": (-12, "pico"), "n": (-9, "nano"), "u": (-6, "micro"), "m": (-3, "milli"),
    "c": (-2, "centi"), "d": (-1, "deci"), "k": (3, "kilo"), "M": (6, "mega"), "G": (9, "giga"), "T": (12, "tera"),
}  # fmt: skip
_PREFIXED_TEXT = """m g s L l A mol N J eV W Pa V ohm Hz cal byte K C bar"""
_PREFIXED = frozenset(_PREFIXED_TEXT.split())
MULTIPLIERS = {
    "dozen": 12,
    "hundred": 100,
    "thousand": 1000,
    "million": 10**6,
    "billion": 10**9,
    "trillion": 10**12,
}
_STOP = """if for when where or and is are unless not else otherwise to than more less the a an
of with all no any real such that between from by but either both none infinitely many yes odd dne am pm"""
STOP_WORDS = frozenset(_STOP.split())
"""Words that make a sentence: after a number they are no unit, and the text is no formula."""


_NEUTRAL_TEXT = """unit total time way number item of rad radian each apiece altogether left remaining more overall"""
_NEUTRAL = frozenset(_NEUTRAL_TEXT.split())
"""Words behind a number that name nothing counted: 5 units, 3 ways."""


class Unit(NamedTuple):
    """dims: ((dimension, power), ...) sorted; scale: factor to the base unit; known: listed above."""

    dims: tuple[tuple[str, int], ...]
    scale: Fraction
    known: bool


Known = tuple[tuple[tuple[str, int], ...], Fraction]
"""Dimensions with powers, and the factor to the base unit."""


def _load() -> dict[str, Known]:
    table: dict[str, Known] = {}
    for line in _TABLE.strip().splitlines():
        dimension, name, scale, *more = line.split()
        # What has no fixed factor here (currencies, gallons of two countries) is a dimension of its own.
        own = name if name in ("euro", "gallon", "cup", "celsius", "fahrenheit") else dimension
        powers = tuple((part.partition("^")[0], int(part.partition("^")[2] or 1)) for part in own.split("*"))
        table.update({word: (powers, Fraction(scale)) for word in (name, *more)})
        if name in _PREFIXED:
            for letter, (order, prefix) in _PREFIXES.items():
                bigger = (powers, Fraction(scale) * Fraction(10) ** order)
                table[letter + name] = bigger
                table.update({prefix + word: bigger for word in more if len(word) > 3})
    # Letters that stand for more familiar things: a dozen of these would be read into products of variables.
    for word in ("cd", "ml", "kl", "dl", "cl"):
        table.pop(word, None)
    table["ml"] = table["mL"]
    return table


KNOWN = _load()
_WORD = re.compile(r"[A-Za-z]+|\^\s*\{?\s*(-?\d)\s*\}?|/|\*")


def known(word: str) -> Known | None:
    """The unit of this name; case counts for symbols (Mm is not mm), not for words."""
    return KNOWN.get(word) or (KNOWN.get(word.lower()) if len(word) > 2 else None)


def is_unit_word(word: str) -> bool:
    """Whether a bare run of letters reads as a unit: two letters or more, and in the table."""
    return len(word) > 1 and known(word) is not None


def read_unit(text: str) -> Unit | None:
    """The unit that the words spell, or None when they are prose.

    `text` holds words, `/`, `per`, `square`, `cubic` and powers such as `^2`.
    """
    dims: dict[str, int] = {}
    scale, all_known, sign, next_power = Fraction(1), True, 1, 1
    last: Known | None = None
    words = 0
    for match in _WORD.finditer(text.replace(".", "")):
        token = match.group()
        lower = token.lower()
        if lower in ("/", "per"):
            sign, last = -1, None
        elif token == "*":
            continue
        elif token[0] == "^" or lower in ("squared", "cubed"):
            if last is None:
                return None
            written = int(match.group(1)) if token[0] == "^" else 2 if lower == "squared" else 3
            scale *= _multiply(dims, last, (written - 1) * sign)
        elif lower in ("square", "sq", "cubic"):
            next_power = 3 if lower == "cubic" else 2
        elif lower in STOP_WORDS or (words := words + 1) > 4:
            return None
        else:
            found = known(token)
            all_known = all_known and found is not None
            own = () if _singular(lower) in _NEUTRAL else ((_singular(lower), 1),)
            last = found or (own, Fraction(1))
            scale *= _multiply(dims, last, next_power * sign)
            next_power = 1
    left = {name: power for name, power in dims.items() if power}
    if not left:
        return Unit((), Fraction(1), False) if next_power > 1 or last else None
    return Unit(tuple(sorted(left.items())), scale, all_known)


def _multiply(dims: dict[str, int], unit: Known, power: int) -> Fraction:
    for name, own in unit[0]:
        dims[name] = dims.get(name, 0) + own * power
    return unit[1] ** power


def _singular(word: str) -> str:
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("ches", "shes", "xes", "sses")):
        return word[:-2]
    return word.removesuffix("s")
