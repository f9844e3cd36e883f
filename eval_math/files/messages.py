"""What is said to a person: errors they can put right, hostile text made harmless, the nearest name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class BadInput(ValueError):
    """The file or the command is wrong; the message is one sentence that says what to change."""


class GraderFailed(RuntimeError):
    """No row got a verdict, and it is not the file's fault."""


def shown(text: str, width: int = 60) -> str:
    """The text on one line and within the width, with control, format and other invisible characters escaped.

    Model text may hold terminal commands and characters that reverse what a reader sees.
    """
    cut = text[: width + 1]
    line = "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in cut)
    return line if len(line) <= width and len(text) <= width else line[: width - 1] + "…"


def nearest(word: str, known: Iterable[str]) -> str:
    """The end of a sentence about an unknown name: `; did you mean 'x'?`, or a full stop."""
    near = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean {shown(near[0])!r}?" if near else "."


def counted(number: int, noun: str) -> str:
    """`1 row`, `2 rows`."""
    return f"{number} {noun}" + ("s" if number != 1 else "")


def listed(names: Iterable[str], most: int = 20) -> str:
    """The names in a row, the first ones when there are many."""
    every = [shown(name) for name in names]
    return ", ".join(every[:most]) + (f" and {len(every) - most} more" if len(every) > most else "")
