"""A reference answer, read once for all the responses that are graded against it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Literal, get_args

from eval_math.reading.moments import Moment, moment_of
from eval_math.reading.normalise import as_words, clean, join_thousands, squeeze
from eval_math.reading.parse import parse
from eval_math.reading.tree import Call, Node, Quantity, TooLarge, Unreadable, is_call, symbols
from eval_math.reading.words import is_prose, letter_of, meaning_of

AnswerType = Literal["number", "expression", "set", "tuple", "interval", "choice", "text"]
MAX_GOLD_CHARS = 16_000


class Reading:
    """What one reference says; each aspect is worked out when it is first asked for."""

    def __init__(self, text: str, answer_type: AnswerType | None = None) -> None:
        """Read nothing yet; nothing is ever raised: what cannot be read has no trees."""
        self.text = text
        self.answer_type: AnswerType | None = answer_type

    @cached_property
    def squeezed(self) -> str:
        """The normalised text without spaces."""
        return squeeze(clean(self.text))

    @cached_property
    def words(self) -> str:
        """The text as lower-case words."""
        return as_words(self.text)

    @cached_property
    def letter(self) -> tuple[str, str] | None:
        """The choice letter and what stands behind it."""
        return letter_of(self.text) if self.answer_type in (None, "choice") else None

    @cached_property
    def meaning(self) -> str | None:
        """Yes, no, none, ...: see `words.meaning_of`."""
        return meaning_of(self.text)

    @cached_property
    def moment(self) -> Moment | None:
        """A date or a time of day."""
        return moment_of(self.text) if self.answer_type in (None, "text") else None

    @cached_property
    def trees(self) -> list[Node]:
        """The readings as mathematics."""
        return [] if self.answer_type in ("choice", "text") else _trees(self.text, self.answer_type)

    @cached_property
    def is_prose(self) -> bool:
        """Whether the text is words and no mathematics."""
        return not self.trees and (self.answer_type == "text" or is_prose(self.words))

    @property
    def kind(self) -> str | None:
        """What sort of object the reference is; see `Grade.kind`."""
        if self.letter and not self.letter[1]:
            return "choice"
        if self.trees:
            return _kind(self.trees[0])
        return "text" if self.is_prose or self.meaning else None


@dataclass(frozen=True, slots=True)
class Gold:
    """The accepted references of one problem; matching any one of them is right."""

    texts: tuple[str, ...]
    answer_type: AnswerType | None = None

    @property
    def readings(self) -> tuple[Reading, ...]:
        """The references, read."""
        return tuple(read(text, self.answer_type) for text in self.texts)


def compile_gold(gold: str | Sequence[str] | Gold, answer_type: AnswerType | None = None) -> Gold:
    """Read a reference, or several accepted ones, once.

    `answer_type` settles what the text alone leaves open: (1, 2) is a point or an interval, and D a choice or a name.

    Raises:
        ValueError: unknown answer type.
    """
    if isinstance(gold, Gold):
        return gold
    if answer_type is not None and answer_type not in get_args(AnswerType):
        raise ValueError(f"answer type {answer_type!r}; expected one of {', '.join(get_args(AnswerType))}")
    compiled = Gold((gold,) if isinstance(gold, str) else tuple(gold), answer_type)
    for text in compiled.texts:
        if len(text) <= MAX_GOLD_CHARS:
            read(text.strip(), answer_type)
    return compiled


@lru_cache(maxsize=8192)
def read(text: str, answer_type: AnswerType | None = None) -> Reading:
    """The reading of a reference, from the cache if it was read before."""
    return Reading(text, answer_type)


def _trees(text: str, answer_type: AnswerType | None) -> list[Node]:
    """The readings as mathematics: one, or two where 1,234 may be a number or a list."""
    trees: list[Node] = []
    try:
        trees.append(parse(text))
        if join_thousands(clean(text)) != clean(text) and answer_type != "number":
            trees.append(parse(text, thousands=False))
    except (Unreadable, TooLarge, RecursionError):
        pass
    return [_typed(tree, answer_type) for tree in trees]


def _typed(tree: Node, answer_type: AnswerType | None) -> Node:
    if not isinstance(tree, Call) or not (tree.head.startswith("seq:") or tree.head in ("list", "set")):
        return tree
    if answer_type == "set":
        return Call("set", tree.args)
    if answer_type == "tuple":
        return Call("seq:()", tree.args)
    if answer_type == "interval" and tree.head.startswith("seq:") and len(tree.args) == 2:
        # A union of one interval is compared as a set of reals, so an inequality may answer it.
        return Call("union", (tree,))
    return tree


def _kind(tree: Node) -> str:
    if isinstance(tree, Quantity) or is_call(tree, "percent", "deg", "rad"):
        return "quantity"
    if not isinstance(tree, Call):
        return "expression" if symbols(tree) else "number"
    if tree.head.startswith("rel:"):
        return "equation" if set(tree.head[4:].split(",")) == {"="} else "inequality"
    if tree.head.startswith("seq:"):
        return "tuple" if tree.head == "seq:()" or len(tree.args) != 2 else "interval"
    kinds = {"union": "interval", "intersection": "interval", "minus": "set", "or": "list", "row": "matrix"}
    named = kinds.get(tree.head, tree.head)
    if named in ("list", "set", "interval", "matrix", "cases", "family"):
        return named
    return "expression" if symbols(tree) else "number"
