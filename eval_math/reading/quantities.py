"""A value with what stands around it: money signs before, units, multipliers and percent words behind."""

from __future__ import annotations

from fractions import Fraction

from eval_math.reading.expressions import ExpressionParser
from eval_math.reading.tree import Call, Node, Num, Quantity, Unreadable
from eval_math.reading.units import KNOWN, MULTIPLIERS, read_unit

_MONEY = {"\\$": "money", "$": "money", "pounds": "pounds", "euro": "euro"}
_ANGLES = {"percent": "percent", "degree": "deg", "degrees": "deg", "radian": "rad", "radians": "rad", "rad": "rad"}


class QuantityParser(ExpressionParser):
    """The grammar of one value."""

    def quantity(self) -> Node:
        """A sum with its unit, if it has one."""
        negative = self.peek().text == "-" and self.peek(1).text in _MONEY
        self.at += negative
        money = self.money()
        node = self.sum()
        node = Call("neg", (node,)) if negative else node
        words = self.unit_words()
        for word in list(words):
            if word.lower() in MULTIPLIERS:
                node = Call("mul", (node, Num(Fraction(MULTIPLIERS[word.lower()]))))
                words.remove(word)
        text = " ".join(words).strip()
        if not text:
            return Quantity(node, ((money, 1),), Fraction(1), True) if money else node
        if text.lower() in _ANGLES:
            return Call(_ANGLES[text.lower()], (node,))
        unit = read_unit(text)
        if unit is None:
            raise Unreadable(f"words {text[:40]!r}")
        found = Quantity(node, *unit)
        return self.compound(found) if self.peek().num is not None and unit.known else found

    def compound(self, first: Quantity) -> Node:
        """The sum of 2 h 24 min, in the smaller unit."""
        second = self.quantity()
        if not isinstance(second, Quantity) or second.dims != first.dims or second.scale >= first.scale:
            raise Unreadable("two quantities in a row")
        larger = Call("mul", (first.value, Num(first.scale / second.scale)))
        return second._replace(value=Call("add", (larger, second.value)))

    def money(self) -> str:
        """The currency before a number, or nothing."""
        token = self.peek()
        if token.text not in _MONEY:
            return ""
        self.at += 1
        return _MONEY[token.text]

    def unit_words(self) -> list[str]:
        """The words and powers at the cursor that may spell a unit."""
        words: list[str] = []
        while True:
            token, following = self.peek(), self.peek(1)
            if token.kind == "text":
                words.append(token.text)
                self.at += 1
            elif token.text == "^" and words and not words[-1].startswith("^"):
                self.at += 1
                words.append(self.unit_power())
            elif words and (
                (token.kind == "name" and token.text in KNOWN)
                or (token.text in ("/", "*") and _unit_like(following.kind, following.text))
            ):
                words.append(token.text)
                self.at += 1
            else:
                return words

    def unit_power(self) -> str:
        """The power of a unit, such as ^-2."""
        power = self.exponent()
        value = power.args[0] if isinstance(power, Call) and power.args else power
        if not isinstance(value, Num) or not 1 <= value.value <= 9:
            raise Unreadable("a unit with an odd power")
        return f"^{'-' if value is not power else ''}{value.value}"


def _unit_like(kind: str, text: str) -> bool:
    return kind == "text" or (kind == "name" and text in KNOWN)
