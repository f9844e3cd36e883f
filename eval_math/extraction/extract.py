"""Find the final answer of a response: what it is, where it stands, and by which rule.

The last complete box wins. Without a box the lenient style goes on to `<answer>` tags, GSM8K's `####`,
phrases like "the answer is", and at last the final formula or number. Every scan is linear in the text:
looping model output reaches hundreds of kilobytes.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass

from eval_math.policy import Style

MAX_SCAN_CHARS = 400_000
"""Only the end of a longer response is searched; the final answer stands at the end."""

_BRACES = re.compile(r"\\+(?:boxed|fbox|framebox)\s*\{|\\[\\{}]|[{}]")
_BARE_BOX = re.compile(r"\\(?:boxed|fbox)\s+([A-Za-z0-9.+-]{1,40})")
_JOIN = re.compile(r"[\s$.]*(?:,|;|and|or|\\text\s?\{\s*(?:and|or)\s*\}|,\s*(?:and|or))[\s$]*\Z")
_TAG_OPEN, _TAG_CLOSE = "<answer>", "</answer>"
_HASHES = re.compile(r"####[ \t]*([^\n]{1,4000})")
_MARKER = re.compile(
    r"(?:final answer|the answer|answer|result)\s*(?:is|are|equals|[:=\uff1a])+\s*"
    r"(?:equal to\b|therefore\b|thus\b|then\b|option\b|choice\b)?[:\uff1a]?"
    r"|(?:\u7b54\u6848)\s*(?:\u662f|\u4e3a|[:\uff1a])",
    re.IGNORECASE,
)
_SENTENCE_END = re.compile(r"\.(?=\s|\Z)|\n|;|\bI hope\b|\bbecause\b|\bsince\b|\bwhich\b|\bwhere\b|\u3002")
_FORMULA = re.compile(
    r"\$\$([^$]{1,2000})\$\$|\$([^$\n]{1,2000})\$|\\\(((?:[^\\]|\\[^()]){1,2000})\\\)"
    r"|\\\[((?:[^\\]|\\[^\[\]]){1,2000})\\\]"
)
_NUMBER = re.compile(r"(?<![\w.])[-\u2212]?\$?(?:\d[\d,]*(?:\.\d+)?|\.\d+)(?:\s?/\s?\d+(?![\w.]))?\s?%?")


@dataclass(frozen=True, slots=True)
class Extraction:
    """One final answer: `text == response[start:end]` unless two boxes were joined to one list."""

    text: str
    start: int
    end: int
    rule: str
    """boxed, answer_tag, hashes, marker, last_formula or last_number."""


def finished_part(text: str) -> tuple[int, int, bool]:
    """(start, end, unfinished): the part of the text outside its thinking.

    A closed `</think>` hides everything before it, also when the opening tag was part of the prompt;
    an open `<think>` hides everything after it.
    """
    start = text.rfind("</think>")
    start = start + len("</think>") if start >= 0 else 0
    open_at = text.find("<think>", start)
    if open_at >= 0:
        return start, open_at, True
    return start, len(text), False


def extract(text: str, style: Style = "lenient") -> Extraction | None:
    """The final answer, or None when there is none under this style; never raises on any str."""
    start, end, _ = finished_part(text)
    start = max(start, end - MAX_SCAN_CHARS)
    part = text[start:end]
    found = _boxed(part)
    if found is None and style == "lenient":
        found = _tagged(part) or _hashes(part) or _marked(part) or _last_resort(part)
    if found is None:
        return None
    return Extraction(found.text, found.start + start, found.end + start, found.rule)


def _boxed(part: str) -> Extraction | None:
    boxes = _complete_boxes(part)
    if not boxes:
        bare = _last(_BARE_BOX, part)
        return _trimmed(part, bare.start(1), bare.end(1), "boxed") if bare else None
    last = boxes.pop()
    texts, start, end = [part[last[1] : last[2]]], last[1], last[2]
    while boxes and last[0] - boxes[-1][2] < 40 and _JOIN.match(part, boxes[-1][2] + 1, last[0]):
        last = boxes.pop()
        texts.append(part[last[1] : last[2]])
        start = last[1]
    if len(texts) > 1:
        return Extraction(", ".join(text.strip() for text in reversed(texts)), start, end, "boxed")
    inner = _trimmed(part, last[1], last[2], "boxed")
    nested = _complete_boxes(inner.text)
    if nested and nested[-1][0] == 0 and nested[-1][2] == len(inner.text) - 1:
        return _trimmed(part, inner.start + nested[-1][1], inner.start + nested[-1][2], "boxed")
    return inner


def _complete_boxes(part: str) -> list[tuple[int, int, int]]:
    """(command start, content start, content end) of the last few outermost complete boxes."""
    stack: list[tuple[int, int] | None] = []
    boxes: list[tuple[int, int, int]] = []
    for match in _BRACES.finditer(part):
        token = match.group()
        if token[0] == "\\" and token[-1] == "{" and len(token) > 2:
            stack.append((match.start(), match.end()))
        elif token == "{":
            stack.append(None)
        elif token == "}" and stack:
            opened = stack.pop()
            if opened is not None:
                while boxes and boxes[-1][0] > opened[0]:
                    boxes.pop()
                boxes.append((opened[0], opened[1], match.start()))
    return boxes


def _tagged(part: str) -> Extraction | None:
    close = part.rfind(_TAG_CLOSE)
    if close < 0:
        return None
    begin = part.rfind(_TAG_OPEN, 0, close)
    return None if begin < 0 else _trimmed(part, begin + len(_TAG_OPEN), close, "answer_tag")


def _hashes(part: str) -> Extraction | None:
    at = part.rfind("####")
    match = _HASHES.match(part, at) if at >= 0 else None
    return _trimmed(part, match.start(1), match.end(1), "hashes") if match else None


def _marked(part: str) -> Extraction | None:
    match = _last(_MARKER, part)
    if match is None:
        return None
    start = match.end()
    while start < len(part) and part[start] in " \t\n*:":
        start += 1
    formula = _FORMULA.match(part, start)
    if formula and (rest := _SENTENCE_END.search(part, formula.end())) and rest.start() - formula.end() > 0:
        return _trimmed(part, start, rest.start(), "marker")
    if formula:
        return _trimmed(part, start, formula.end(), "marker")
    ended = _SENTENCE_END.search(part, start)
    found = _trimmed(part, start, ended.start() if ended else len(part), "marker")
    return found if found.text and len(found.text) <= 4000 else None


def _last_resort(part: str) -> Extraction | None:
    formula, number = _last(_FORMULA, part), _last(_NUMBER, part)
    if formula and (number is None or number.start() < formula.end()):
        group = next(index for index in (1, 2, 3, 4) if formula.group(index) is not None)
        return _trimmed(part, formula.start(group), formula.end(group), "last_formula")
    return _trimmed(part, number.start(), number.end(), "last_number") if number else None


def _last(pattern: re.Pattern[str], part: str) -> re.Match[str] | None:
    found = deque(pattern.finditer(part), maxlen=1)
    return found.pop() if found else None


def _trimmed(part: str, start: int, end: int, rule: str) -> Extraction:
    while start < end and (part[start].isspace() or part[start] == "*"):
        start += 1
    while end > start and (part[end - 1].isspace() or part[end - 1] == "*"):
        end -= 1
    return Extraction(part[start:end], start, end, rule)
