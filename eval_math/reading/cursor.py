"""A position in a list of tokens, with bounded depth: what every grammar rule stands on."""

from __future__ import annotations

from collections.abc import Callable

from eval_math.reading.tokens import Token
from eval_math.reading.tree import Node, TooLarge, Unreadable

MAX_DEPTH = 40
"""Nesting of brackets, powers and functions; each level costs about ten stack frames."""

ENDS = {
    "(": ")",
    "[": "]",
    "{": "}",
    "\\{": "\\}",
    "|": "|",
    "langle": "rangle",
    "lfloor": "rfloor",
    "lceil": "rceil",
}
FRACTIONS = frozenset({"frac", "dfrac", "tfrac", "cfrac"})
END = Token("eof", "")


class Cursor:
    """Tokens and a position; the rules that subclasses add are declared at the end."""

    def __init__(self, tokens: list[Token]) -> None:
        """Stand before the first token."""
        self.tokens = tokens
        self.at = 0
        self.depth = 0
        self.bars = 0

    def peek(self, ahead: int = 0) -> Token:
        """The token at the cursor or `ahead` of it."""
        index = self.at + ahead
        return self.tokens[index] if index < len(self.tokens) else END

    def take(self) -> Token:
        """The token at the cursor, which moves on."""
        token = self.peek()
        self.at += 1
        return token

    def accept(self, *texts: str) -> str | None:
        """The operator at the cursor if it is one of `texts`, which is then consumed."""
        token = self.peek()
        if token.kind == "op" and token.text in texts:
            self.at += 1
            return token.text
        return None

    def accept_text(self, word: str) -> bool:
        """Consume the token at the cursor if it is this word."""
        found = self.peek().kind == "text" and self.peek().text.strip().lower() == word
        self.at += found
        return found

    def expect(self, text: str) -> None:
        """Consume this token, operator or command."""
        if self.take().text != text:
            raise Unreadable(f"expected {text}")

    def enter(self) -> None:
        """Go one level deeper; raises TooLarge below the limit."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise TooLarge(f"more than {MAX_DEPTH} levels")

    def nested(self, rule: Callable[[], Node]) -> Node:
        """The rule's result, one level deeper."""
        self.enter()
        node = rule()
        self.depth -= 1
        return node

    def sum(self) -> Node:
        """A sum of terms."""
        raise NotImplementedError

    def power(self) -> Node:
        """An atom, perhaps raised."""
        raise NotImplementedError

    def exponent(self) -> Node:
        """What follows a power sign."""
        raise NotImplementedError

    def atom(self) -> Node:
        """The smallest unit: a number, a name, a bracket, a command."""
        raise NotImplementedError

    def bracket(self, opened: str) -> Node:
        """What follows an opening bracket, through its end."""
        raise NotImplementedError

    def environment(self, name: str) -> Node:
        """What follows the beginning of an environment, through its end."""
        raise NotImplementedError
