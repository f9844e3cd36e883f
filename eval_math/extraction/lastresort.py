r"""The answer of a response that marks none: what its last sentence ends with, be it bold, a formula or a number.

A number in the middle of unfinished text is no answer, so the text has to end like a text.
"""

from __future__ import annotations

import re
from collections import deque
from typing import NamedTuple

FORMULA = re.compile(
    r"\$\$([^$]{1,2000})\$\$|\$([^$\n]{1,2000})\$|\\\(((?:[^\\]|\\[^()]){1,2000})\\\)"
    r"|\\\[((?:[^\\]|\\[^\[\]]){1,2000})\\\]"
)
_NUMBER = re.compile(r"(?<![\w.])[-\u2212]?\$?(?:\d[\d,]*(?:\.\d+)?|\.\d+)(?:\s?/\s?\d+(?!\w|\.\d))?\s?%?")
_BOLD = re.compile(r"\*\*([^*\n]{1,100})\*\*")
_HEADING = re.compile(r"answer|solution|step|note|conclusion", re.IGNORECASE)
# "$54 for three days. 54 / 3 = 18. He pays $18" holds money, no formula.
_PROSE = re.compile(r"\.\s+[A-Z]|(?:(?<!\\)\b[A-Za-z]{2,}\s+){3}|[=+*/\\]\s*\Z")
_BOUNDARY = re.compile(r"(?<=[.!?\u3002])\s+|\n")
_OPEN_END = re.compile(r"(?:[,;:=+/(\\]|\b(?:then|and|or|so|but|the|is|are|of|to|a|we|if|because))\s*\Z")


class Found(NamedTuple):
    """text[start:end] and the rule that found it."""

    start: int
    end: int
    rule: str


def last_resort(part: str) -> Found | None:
    """The last formula, bold text or number, if the text ends soon after it."""
    end = len(part.rstrip())
    if end == 0 or _OPEN_END.search(part, max(0, end - 40), end):
        return None
    formula = _last_formula(part)
    sentence = _start_of_last_sentence(part, end, formula)
    for bold in reversed(list(_BOLD.finditer(part, sentence, end))):
        if not _HEADING.search(bold[1]):
            return Found(bold.start(1), bold.end(1), "bold")
    number = next(iter(deque(_NUMBER.finditer(part, sentence, end), maxlen=1)), None)
    if formula and formula.end >= sentence and (number is None or number.start() < formula.end):
        return formula
    return Found(number.start(), number.end(), "last_number") if number else None


def _last_formula(part: str) -> Found | None:
    found = None
    for match in FORMULA.finditer(part):
        group = next(index for index in (1, 2, 3, 4) if match.group(index) is not None)
        if group > 2 or not _PROSE.search(match.group(group)):
            found = Found(match.start(group), match.end(group), "last_formula")
    return found


def _start_of_last_sentence(part: str, end: int, formula: Found | None) -> int:
    """Where the last sentence begins; a formula at the very end belongs to it however many lines it has."""
    starts = [match.end() for match in _BOUNDARY.finditer(part, max(0, end - 2000), end) if match.end() < end]
    start = starts[-1] if starts else 0
    if formula and formula.start < start and not part[formula.end : end].strip("$ \n.)\\]*"):
        return formula.start
    return start
