r"""Steps of a worked answer and a value for each: rule-based process rewards, as GRPO's process supervision wants.

A step ends where the next begins, so the steps cover the response without gap or overlap, and a token belongs to
the step that holds its last character. The boundaries are stored with the values: whoever maps them to tokens
must not split anew. A step has value 1.0 when every equation between numbers in it holds (`equations.holds`), 0.0
when one fails, None when there was nothing to check; the last step carries the verdict on the answer instead.

DeepSeekMath (arXiv:2402.03300, section 4.1.3) normalises the values of all steps of a group, and a token's
advantage is the sum over the steps that end at or after it. More steps then mean larger advantages at early
tokens, so watch the number of steps while training.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from eval_math.judging.budget import set_deadline
from eval_math.process.equations import equations, holds
from eval_math.verdict import Grade

MAX_STEPS = 256
"""Boundaries beyond this are left out: the last step takes the rest."""
MAX_CHECKS = 256
"""Equations checked per response; later ones are not looked at."""
MAX_SCAN_CHARS = 200_000
"""Equations behind this many characters are not looked at."""
SECONDS = 2.0
"""Processor time for all equations of one response; later ones are not looked at."""

_NUMBERED = re.compile(
    r"(?:^|(?<=\s))(?:\#{1,6}[ \t]+)?\*{0,2}Step[ \t]+\d{1,4}\*{0,2}[ \t]*[:.)]", re.IGNORECASE | re.MULTILINE
)
_LINE = re.compile(r"[^\n]*\n?")
_DISPLAY = re.compile(r"\\\\|\\\[|\\\]|\$\$|\\begin\{|\\end\{")


@dataclass(frozen=True, slots=True)
class Step:
    """One step: response[start:end], and its value."""

    start: int
    """First character."""
    end: int
    """Behind the last character."""
    value: float | None
    """1.0 what was checked holds, 0.0 something fails, None nothing was checked."""


def split(response: str) -> list[tuple[int, int]]:
    """[start, end) of the steps in characters; their texts put together are the response.

    A step begins at "Step n:" and after a blank line; a response without either is split at its lines, except
    inside displayed formulas. An empty response is one empty step.
    """
    starts = {match.start() for match in _NUMBERED.finditer(response)} | set(_paragraphs(response))
    first = len(response) - len(response.lstrip())
    if not any(start > first for start in starts):
        starts = set(_lines(response))
    inner = sorted(start for start in starts if start > first)[: MAX_STEPS - 1]
    edges = [0, *inner, len(response)]
    return list(pairwise(edges))


def _paragraphs(response: str) -> Iterator[int]:
    """Where a line follows a blank one."""
    after_blank = False
    for match in _LINE.finditer(response):
        blank = not match.group().strip()
        if after_blank and not blank:
            yield match.start()
        after_blank = blank


def _lines(response: str) -> Iterator[int]:
    """Where a line begins that is neither blank nor inside a displayed formula."""
    depth, in_dollars = 0, False
    for match in _LINE.finditer(response):
        line = match.group()
        if line.strip() and depth <= 0 and not in_dollars:
            yield match.start()
        for token in _DISPLAY.findall(line):
            if token == "$$":
                in_dollars = not in_dollars
            else:
                depth += {"\\[": 1, "\\begin{": 1, "\\]": -1, "\\end{": -1}.get(token, 0)


def check_steps(response: str) -> tuple[Step, ...]:
    """The steps, each with the value of its equations; needs no verdict. Never raises on any str."""
    set_deadline(SECONDS)
    checks_left = MAX_CHECKS
    found: list[Step] = []
    for start, end in split(response):
        verdicts: list[bool] = []
        text = response[start : min(end, MAX_SCAN_CHARS)] if checks_left else ""
        for left, right in equations(text) if "=" in text else ():
            checks_left -= 1
            verdict = holds(left, right)
            if verdict is not None:
                verdicts.append(verdict)
            if not checks_left:
                break
        found.append(Step(start, end, float(all(verdicts)) if verdicts else None))
    return tuple(found)


def grade_steps(grade: Grade, response: str) -> tuple[Step, ...] | None:
    """The steps with their process rewards, the last one with the verdict; None without a verdict."""
    if grade.correct is None:
        return None
    *earlier, last = check_steps(response)
    return (*earlier, Step(last.start, last.end, float(grade.correct)))
