"""From an answer's text to its tree: lists, tuples, intervals, sets, relations, matrices, quantities."""

from __future__ import annotations

import re
from fractions import Fraction
from itertools import permutations

from eval_math.reading.cursor import END
from eval_math.reading.normalise import as_words, clean, join_thousands
from eval_math.reading.qualifiers import Declared, strip
from eval_math.reading.spellings import rewrite, rewrite_words
from eval_math.reading.tables import Parser
from eval_math.reading.tokens import tokenise
from eval_math.reading.tree import Call, Node, Num, Sym, Unreadable, symbols

MAX_PERMUTED = 4
_NUMERAL = re.compile(
    r"\(?\s*+(?:\\(?:text|mathrm|mathtt)\s*+\{)?\s*+(?=[0-9A-Z]*[A-Z])([0-9A-Z]{2,40})\s*+\}?\s*+\)?\s*+_\s*+\{?\s*+"
    r"(?:\\text\{)?(\d{2})\}?\s*+\}?\Z"
)


def numeral_of(text: str) -> Node | None:
    """A numeral with letters for digits and its base, such as A3F_{16}; None for anything else."""
    match = _NUMERAL.match(text)
    return Call("based", (Sym(match[1]), Num(Fraction(int(match[2]))))) if match else None


def parse(text: str, *, thousands: bool = True) -> Node:
    """The tree of an answer.

    `thousands` decides whether a top-level 1,234 is one number or a list of two.

    Raises:
        Unreadable: not a form this grader reads.
        TooLarge: nested too deeply, or a literal beyond the caps.
    """
    text = rewrite(clean(text))
    text = rewrite_words(as_words(text)) or text
    if (numeral := numeral_of(text)) is not None:
        return numeral
    tokens, declared = strip(tokenise(join_thousands(text) if thousands else text))
    parser = Parser(tokens)
    node = parser.items()
    if parser.peek() is not END:
        raise Unreadable(f"{parser.peek().text[:20]!r} after the answer")
    if declared.permuted:
        node = _permuted(node)
    return _declaring(node, declared)


def _declaring(node: Node, declared: Declared) -> Node:
    """The node with the names that its text declares; those of integers go first, for they make it a family."""
    names = symbols(node)
    for head, said in (("family", declared.whole), ("free", declared.free)):
        if found := sorted(said & names):
            return Call(head, (node, *map(Sym, found)))
    return node


def _permuted(node: Node) -> Node:
    """All orders of a tuple, each once."""
    if not isinstance(node, Call) or not node.head.startswith("seq:") or len(node.args) > MAX_PERMUTED:
        raise Unreadable("permutations of what is no short tuple")
    return Call("list", tuple(Call(node.head, order) for order in dict.fromkeys(permutations(node.args))))
