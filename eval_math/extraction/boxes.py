r"""The boxes of a response: \boxed{}, \fbox{}, nested, several in a row, bare (\boxed 5), or never closed."""

from __future__ import annotations

import re
from collections import deque
from typing import NamedTuple

MAX_UNCLOSED_CHARS = 400
MAX_BETWEEN = 100
MAX_JOINED = 200
"""Boxes of one answer; more than a list may have members, so that no longer list passes for a shorter one."""
_BRACES = re.compile(r"\\{1,4}(?:boxed|fbox|framebox)\s*\{|\\[\\{}]|[{}]")
_BARE_BOX = re.compile(r"\\(?:boxed|fbox)\s+([A-Za-z0-9.+-]{1,40})")
_NAME = r"(?:[A-Za-z](?:_\{?\w{1,3}\}?)?\s*=\s*)?"
_AND = r"(?:,|;|and|or(?: maybe| perhaps| possibly)?|\\text\s?\{\s*(?:and|or)\s*\}|,\s*(?:and|or))"
_JOIN = re.compile(rf"[\s$.]*{_AND}[\s$]*{_NAME}(?:\\text\s?\{{\s*or\s*\}})?\Z")
_CONDITION = re.compile(r"[\s$]*+(?:[,;]\s*+)?(?:(?:and|or|but)\s++)?(?:if|when|for)\b[^.]*\Z")
_CUT = re.compile(r"\$|\\\)|\\\]|\n")


class Box(NamedTuple):
    """The inside of a box, text[start:end], and where its command begins."""

    command: int
    start: int
    end: int


def final_boxes(part: str) -> list[Box]:
    """The last box, or the last few that are joined by commas and "and"; empty when there is none."""
    boxes, unclosed = _boxes(part)
    if unclosed is not None and (not boxes or boxes[-1].end < unclosed.command):
        end = _end_of_unclosed(part, unclosed.start)
        return [unclosed._replace(end=end)] if end else [boxes[-1]] if boxes else []
    if not boxes:
        bare = deque(_BARE_BOX.finditer(part), maxlen=1)
        return [Box(each.start(), each.start(1), each.end(1)) for each in bare]
    joined = [boxes.pop()]
    while boxes and len(joined) < MAX_JOINED and _belong_together(part[boxes[-1].end + 1 : joined[-1].command]):
        joined.append(boxes.pop())
    return joined[::-1] if len(joined) > 1 else [_innermost(part, joined[0])]


def _belong_together(between: str) -> bool:
    """Whether the text between two boxes makes them one answer: "and", "or maybe", or "and if n is odd"."""
    return bool(len(between) < MAX_BETWEEN and (_JOIN.match(between) or _CONDITION.match(between)))


def _innermost(part: str, box: Box) -> Box:
    r"""The box inside, when nothing but it is inside: \boxed{\boxed{5}}."""
    inside = part[box.start : box.end]
    nested, _ = _boxes(inside)
    if nested and not inside[: nested[-1].command].strip() and not inside[nested[-1].end + 1 :].strip():
        return Box(box.command, box.start + nested[-1].start, box.start + nested[-1].end)
    return box


def _boxes(part: str) -> tuple[list[Box], Box | None]:
    """The outermost complete boxes, and the last one that is never closed."""
    stack: list[Box | None] = []
    boxes: list[Box] = []
    for match in _BRACES.finditer(part):
        token = match.group()
        if token[0] == "\\" and token[-1] == "{" and len(token) > 2:
            stack.append(Box(match.start(), match.end(), 0))
        elif token == "{":
            stack.append(None)
        elif token == "}" and stack:
            opened = stack.pop()
            if opened is not None:
                while boxes and boxes[-1].command > opened.command:
                    boxes.pop()
                boxes.append(opened._replace(end=match.start()))
    return boxes, next((opened for opened in reversed(stack) if opened is not None), None)


def _end_of_unclosed(part: str, start: int) -> int:
    """Where a box that lacks its brace ends, if something shows that the answer was complete; else 0."""
    cut = _CUT.search(part, start, start + MAX_UNCLOSED_CHARS)
    if cut:
        return cut.start()
    tail = part[start:].rstrip()
    complete = tail.endswith(("}", ".")) and len(tail) <= MAX_UNCLOSED_CHARS
    return start + len(tail) if complete else 0
