"""Find the final answer of a response: what it is, where it stands, and by which rule.

The last complete box wins. Without a box the lenient style goes on to `<answer>` tags, GSM8K's `####`,
phrases like "the answer is", and at last the final formula or number. Every scan is linear in the text:
looping model output reaches hundreds of kilobytes.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass

from eval_math.extraction.boxes import final_boxes
from eval_math.extraction.lastresort import FORMULA, last_resort
from eval_math.policy import Style

MAX_SCAN_CHARS = 400_000
"""Only the end of a longer response is searched; the final answer stands at the end."""

_TAG_OPEN, _TAG_CLOSE = "<answer>", "</answer>"
_HASHES = re.compile(r"####[ \t]*([^\n]{1,4000})")
_MARKER = re.compile(
    r"(?:final answer|the answer|answer|result|(?:correct|right) (?:option|choice)|(?<![\w\\])A(?=:))\s*"
    r"(?:is|are|equals|(?:must|should|has to|would) be|[:=\uff1a])+\s*"
    r"(?:equal to\b|therefore\b|thus\b|then\b|option\b|choice\b)?[:\uff1a]?"
    r"|(?:\u7b54\u6848|\u9009\u9879)\s*(?:\u662f|\u4e3a|[:\uff1a])"
    r"|(?:antwort|respuesta|risposta|resposta|r[\u00e9e]ponse|l\u00f6sung|soluci[\u00f3o]n|ergebnis)(?: \w+){0,2}\s*"
    r"(?:ist|lautet|est|es|vaut|\u00e8|\u00e9|[:=])(?!\w)\s*:?",
    re.IGNORECASE,
)
_LONE_NUMBER = re.compile(r"(?<![\w.])-?\d[\d,]*(?:\.\d+)?(?![\w.]|\s*[/^*+=])")
_SENTENCE_END = re.compile(r"\.(?=\s|\Z)|\n|;|\s\(?(?:I hope|because|since|which|where)\b|\u3002")
# A base model that goes on with a question of its own invention; what it answered before counts.
_ANSWERED = re.compile(r"\\boxed|####")
_NEXT_QUESTION = re.compile(
    r"\n[ \t]*(?:#{1,6}[ \t]*)?(?:Question|Problem|Q|Human|User|Instruction|\u95ee\u9898)\s*\d*\s*[:\uff1a]"
)


@dataclass(frozen=True, slots=True)
class Extraction:
    """One final answer: `text == response[start:end]` unless two boxes were joined to one list."""

    text: str
    start: int
    end: int
    rule: str
    """boxed, answer_tag, hashes, marker, bold, last_formula, last_number, or bare."""


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
    if not text[start:].strip() and (began := text.find("<think>")) > 0:
        # The answer stands before the thinking, which only checks it.
        return 0, began, False
    return start, len(text), False


def extract(text: str, style: Style = "lenient") -> Extraction | None:
    """The final answer, or None when there is none under this style; never raises on any str."""
    if style == "bare":
        whole = text.strip()
        start = text.find(whole)
        return Extraction(whole, start, start + len(whole), "bare") if whole else None
    start, end, _ = finished_part(text)
    start = max(start, end - MAX_SCAN_CHARS)
    part = _first_answered(text[start:end])
    found = _boxed(part)
    if found is None and style == "lenient":
        found = _tagged(part) or _hashes(part) or _marked(part) or _last_resort(part)
    if found is None:
        return None
    return Extraction(found.text, found.start + start, found.end + start, found.rule)


def _first_answered(part: str) -> str:
    """The part up to a further question that follows an answer."""
    if not _NEXT_QUESTION.search(part):
        return part
    answers = [match.start() for pattern in (_ANSWERED, _MARKER) if (match := pattern.search(part))]
    question = _NEXT_QUESTION.search(part, min(answers)) if answers else None
    return part[: question.start()] if question else part


def _boxed(part: str) -> Extraction | None:
    boxes = final_boxes(part)
    if not boxes:
        return None
    if len(boxes) == 1:
        return _trimmed(part, boxes[0].start, boxes[0].end, "boxed")
    texts = [part[box.start : box.end].strip() for box in boxes]
    return Extraction(", ".join(texts), boxes[0].start, boxes[-1].end, "boxed")


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
    formula = FORMULA.match(part, start)
    if formula and (rest := _SENTENCE_END.search(part, formula.end())) and rest.start() - formula.end() > 0:
        return _trimmed(part, start, rest.start(), "marker")
    if formula:
        return _trimmed(part, start, formula.end(), "marker")
    ended = _SENTENCE_END.search(part, start)
    found = _trimmed(part, start, ended.start() if ended else len(part), "marker")
    numbers = list(_LONE_NUMBER.finditer(found.text))
    if len(numbers) == 1 and len(found.text.split()) > 4 and "\\" not in found.text and "$" not in found.text:
        # "The answer is that he runs 104 miles a year": a sentence with one number in it.
        return Extraction(
            numbers[0].group(), found.start + numbers[0].start(), found.start + numbers[0].end(), "marker"
        )
    return found if found.text and len(found.text) <= 4000 else None


def _last_resort(part: str) -> Extraction | None:
    found = last_resort(part)
    return _trimmed(part, found.start, found.end, found.rule) if found else None


def _last(pattern: re.Pattern[str], part: str) -> re.Match[str] | None:
    found = deque(pattern.finditer(part), maxlen=1)
    return found.pop() if found else None


def _trimmed(part: str, start: int, end: int, rule: str) -> Extraction:
    while start < end and (part[start].isspace() or part[start] == "*"):
        start += 1
    while end > start and (part[end - 1].isspace() or part[end - 1] == "*"):
        end -= 1
    return Extraction(part[start:end], start, end, rule)
