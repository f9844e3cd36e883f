r"""Find the equations between numbers that stand in worked text, and say whether they hold.

`12 \times 4 = 48` and every link of a chain `3 + 4 + 5 = 7 + 5 = 12` are found in prose, in TeX and in GSM8K's
<<3+4=7>>. What is no arithmetic of plain numbers (variables, functions, words inside) is left alone, and so is
an equation whose beginning or end may be cut off: in `2x + 3 = 7` nothing says that 3 is 7. Better no verdict
than a wrong one. The scan is linear in the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from eval_math.judging import numeric
from eval_math.judging.exact import exact
from eval_math.judging.identity import same_value
from eval_math.reading.parse import parse
from eval_math.reading.tree import Node, Quantity, leaves, symbols

MAX_SIDE_CHARS = 200
"""A longer side of an equation is not read."""
ROUNDING = 0.01
"""Where a decimal is written, a relative difference up to this may be rounding: no verdict."""

_TOKEN = re.compile(
    r"""(?P<bullet>^[ \t]*[-*+\u2022][ \t]+)
    |(?P<number>(?:\d{1,3}(?:(?:,(?:\\!)?|\{,\})\d{3})+(?!\d)|\d+)(?:\.\d+)?|\.\d+)
    |(?P<row>\\\\(?:\[[^\]\n]{0,20}\])?
        |\\(?:begin|end)\{(?:align|aligned|gather|gathered|equation|split|multline)\*?\})
    |(?P<text>\\(?:text|mbox)[ ]?\{(?P<words>[^{}]{0,200})\})
    |(?P<edge><<|>>|(?<!\S)\*\*(?=\S)|(?<=\S)\*\*(?!\w|[ ]*[\d(])|=>|->|\\(?:quad|qquad)(?![A-Za-z])
        |\\(?:implies|iff|therefore|(?:Long|long)?(?:left)?[rR]ightarrow|to)(?![A-Za-z])|[\u21d2\u2192\u2234])
    |(?P<relation>[<>!:=~\u2264\u2265\u2260\u2248]=|[<>\u2264\u2265\u2260\u2248])
    |(?P<equals>=)
    |(?P<symbol>[-+*/^(){}\[\]!%\u2212\u00d7\u00f7\u00b7\u22c5\u221a\u03c0]|\\[%,;:!]
        |\\(?:times|cdot|div|[dtc]?frac|sqrt|left|right|boxed|pi|displaystyle)(?![A-Za-z]))
    |(?P<opening>\\[(\[])|(?P<closing>\\[)\]])|(?P<dollar>\$\$?)|(?P<money>\\\$)
    |(?P<newline>\n)|(?P<space>[^\S\n]+|&|~)
    |(?P<comma>[,;])|(?P<stop>[.:?](?=[\s$*)\]}"']|\\[)\]]|\Z))
    |(?P<word>[^\W\d_]+)|(?P<other>\\[A-Za-z]+|.)""",
    re.VERBOSE | re.MULTILINE | re.DOTALL,
)
_INSIDE = frozenset({"number", "symbol", "equals", "space", "money"})
_CLEAN = frozenset({"", "bullet", "row", "edge", "newline", "stop"})
# "half of 8 + 2 = 6": after such a word the left side is only a part of what is meant; before such a word, the right.
_GOVERNS = frozenset(
    ["of", "times", "plus", "minus", "by", "over", "twice", "thrice", "half", "double", "triple", "per", "mod", "than",
     "root", "squared", "cubed", "divided", "multiplied", "sin", "cos", "tan", "log", "ln"]
)  # fmt: skip
_CONTINUES = frozenset(
    ["plus", "minus", "times", "divided", "multiplied", "over", "mod", "modulo", "percent", "per", "and", "with",
     "remainder", "rem", "hundred", "thousand", "million", "billion", "trillion", "dozen", "degrees", "radians", "or",
     "halves", "thirds", "quarters", "fifths", "squared", "cubed"]
)  # fmt: skip
_BINARY = re.compile(r"[+*/^!%)\]}\u00d7\u00f7\u00b7\u22c5]|\\(?:times|cdot|div)")
_COMPOUND = re.compile(r"[-+*/^!\u2212\u00d7\u00f7\u00b7\u22c5\u221a]|\\(?:times|cdot|div|[dtc]?frac|sqrt)")
# 3\frac12 is a mixed number or a product, 6/2(3) a matter of taste, 100 - 20% a matter of speech.
_AMBIGUOUS = re.compile(r"\d\s*\\[dtc]?frac|\d\s+\d|/\s*\d+\s*[(\\]|[-+\u2212]\s*[\d.]+\s*\\?%")
_DECIMAL = re.compile(r"\d*\.(\d+)")


@dataclass(slots=True)
class _Run:
    """A stretch of numbers, operators and equals signs, with what stands before it."""

    before: str = ""
    word: str = ""
    in_formula: bool = False
    sides: list[list[str]] = field(default_factory=lambda: [[]])

    def take(self, kind: str, token: str) -> None:
        """Add a token that belongs to the run."""
        if kind == "equals":
            self.sides.append([])
        else:
            self.sides[-1].append(" " if kind == "money" or token == "&" else token)

    def holds_text(self) -> bool:
        """Whether anything but space was taken."""
        return len(self.sides) > 1 or any(not piece.isspace() for piece in self.sides[0][:2])

    def texts(self) -> list[str]:
        """The sides; one too long to read is empty."""
        found = ["".join(side).strip() for side in self.sides]
        return [text if len(text) <= MAX_SIDE_CHARS else "" for text in found]

    def begins_cleanly(self) -> bool:
        """Whether the first side is whole, as far as its surroundings tell."""
        pieces = self.sides[0]
        first = "".join(pieces[:8]).lstrip()
        if _BINARY.match(first):
            return False
        if self.before in _CLEAN or (self.before in ("opening", "dollar") and self.in_formula):
            return True
        if not pieces or not pieces[0].isspace():
            return False
        if self.before == "comma":
            return self.in_formula or _is_compound(first)
        spoken = self.before == "word" and len(self.word) > 1 and self.word.lower() not in _GOVERNS
        return spoken and not self.in_formula and _is_compound(first)

    def ends_cleanly(self, after: str, word: str) -> bool:
        """Whether the last side is whole; `after` is the kind of the token that ended the run."""
        spaced = bool(self.sides[-1]) and self.sides[-1][-1].isspace()
        if after == "stop":
            return not spaced
        if after in _CLEAN or after in ("closing", "comma") or (after == "dollar" and self.in_formula):
            return True
        if after == "text":
            return not _CONTINUES & set(word.lower().split())
        return after == "word" and not self.in_formula and spaced and len(word) > 1 and word.lower() not in _CONTINUES


def _is_compound(side: str) -> bool:
    """Whether a side, found behind a word, is a calculation that does not lean on that word."""
    return side[:1] not in "-\u2212" and _COMPOUND.search(side, 1) is not None


def equations(text: str) -> Iterator[tuple[str, str]]:
    """The two sides of every equation between numbers in the text, in order; a chain gives each of its links."""
    run, in_formula, broken = _Run(), False, False
    for match in _TOKEN.finditer(text):
        kind, token = match.lastgroup or "other", match.group()
        if kind == "words":
            kind, token = "text", match.group("words")
        if kind in _INSIDE:
            if broken and kind not in ("space", "equals"):
                yield from _links(run, "newline", "")
                run = _Run("newline", "", in_formula)
            broken = broken and kind == "space"
            run.take(kind, token)
        elif kind in ("newline", "row") and run.holds_text():
            # An equation goes on in the next line where that begins with an equals sign.
            broken = True
        else:
            yield from _links(run, "newline" if broken else kind, token)
            closes = kind == "closing" or (kind == "dollar" and in_formula)
            in_formula = kind == "opening" or (not closes and (in_formula or kind == "dollar"))
            run, broken = _Run("other" if closes else kind, token if kind == "word" else "", in_formula), False
    yield from _links(run, "newline", "")


def _links(run: _Run, after: str, word: str) -> Iterator[tuple[str, str]]:
    if len(run.sides) < 2:
        return
    texts = run.texts()
    for index, (left, right) in enumerate(pairwise(texts)):
        if not left or not right or (index == 0 and not run.begins_cleanly()):
            continue
        if index < len(texts) - 2 or run.ends_cleanly(after, word):
            yield left, right


def holds(left: str, right: str) -> bool | None:
    """Whether two sides are the same number; None when they are no numbers, or when a verdict would be a guess.

    The caller sets the deadline (`budget.set_deadline`). Never raises on any str.
    """
    if max(len(left), len(right)) > MAX_SIDE_CHARS:
        return None
    try:
        with numeric.EVALUATING:
            one, other = parse(left), parse(right)
            if not (_is_number(one) and _is_number(other)):
                return None
            if _same(one, other):
                return True
            return None if _doubtful(left, right) or _may_be_rounded(left, right, one, other) else False
    except Exception:
        # Unreadable, too large, undefined, too slow, or a defect: none of them refutes an equation.
        return None


def _doubtful(left: str, right: str) -> bool:
    """Whether a mismatch proves nothing: an ambiguous spelling, or 0 = 1, with which people show a contradiction."""
    ambiguous = _AMBIGUOUS.search(left) or _AMBIGUOUS.search(right)
    return bool(ambiguous) or not (_COMPOUND.search(left, 1) or _COMPOUND.search(right, 1))


def _is_number(node: Node) -> bool:
    return not symbols(node) and not isinstance(node, Quantity) and next(leaves(node), None) is node


def _same(one: Node, other: Node) -> bool:
    left, right = exact(one), exact(other)
    return left == right if left is not None and right is not None else same_value(one, other)


def _may_be_rounded(left: str, right: str, one: Node, other: Node) -> bool:
    decimals = [len(match.group(1)) for side in (left, right) if (match := _DECIMAL.fullmatch(side.lstrip("-")))]
    if "." not in left + right:
        return False
    unit = 10.0 ** -min(decimals) if decimals else 0.0
    a, b = numeric.number_of(one), numeric.number_of(other)
    return bool(abs(a - b) <= max(unit, ROUNDING * abs(b)))
