"""Grade one response: extract its answer, then decide in stages, cheapest first.

0 no answer   1 same text   2 same after normalising, words, choice letters   3 exact rationals   4
expressions. No stage executes text, uses signals or threads, or keeps state beyond a bounded cache, so
`grade` may run anywhere.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from functools import lru_cache

from eval_math import numeric
from eval_math.budget import OutOfTime, set_deadline
from eval_math.compare import compare
from eval_math.extract import extract, finished_part
from eval_math.normalise import as_words, clean, join_thousands, squeeze
from eval_math.numeric import Undefined
from eval_math.parse import parse
from eval_math.policy import Policy
from eval_math.tree import Node, Num, TooLarge, Unreadable, leaves
from eval_math.verdict import Grade, Reason, verdict_of

IN_PROCESS_SECONDS = 2.0
"""Evaluation of one answer stops here; `grade_many` adds processes that can be killed."""

_STAGES = {Reason.SAME_TEXT: 1, Reason.NORMALISED: 2, Reason.SAME_CHOICE: 2, Reason.RATIONAL_EQUAL: 3}
_CHOICE = re.compile(r"^\(?\s*([A-Ja-j])\s*(?:\)|\.(?!\d))(?!\S)\s*(.*)\Z|^([A-J])\Z", re.DOTALL)
_FONT = re.compile(r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|mbox|bf|rm)\s*\{\s*(\(?[A-J][).]?)\s*\}")
_PROSE = re.compile(r"[A-Za-z][A-Za-z0-9\s.,:;'\"()\-/&!?]{0,199}\Z|\d[\d\s:.,]*[A-Za-z][A-Za-z.\s]{0,30}\Z")
_HALF = Num(Fraction(1, 2))
_DIGITS = re.compile(r"-?\d{1,4000}\Z")


def grade(response: str, gold: str | Sequence[str], policy: Policy) -> Grade:
    """The verdict on a response; several golds mean any of them. Never raises on any str."""
    started = time.perf_counter()
    found = extract(response, policy.style)
    if found is None or not found.text.strip():
        unfinished = found is None and finished_part(response)[2]
        reason = Reason.UNFINISHED if unfinished else Reason.NO_ANSWER
        verdict = _no_answer(reason, golds_of(gold))
    else:
        verdict = grade_answer(found.text, gold, policy)
        verdict = replace(verdict, answer=found.text, span=(found.start, found.end), rule=found.rule)
    return replace(verdict, seconds=time.perf_counter() - started)


def golds_of(gold: str | Sequence[str]) -> tuple[str, ...]:
    """The accepted golds as a tuple."""
    return (gold,) if isinstance(gold, str) else tuple(gold)


def _no_answer(reason: Reason, golds: tuple[str, ...]) -> Grade:
    """A missing answer is wrong whatever the gold is, except that nothing is wrong without a gold."""
    if not any(text.strip() for text in golds):
        reason = Reason.GOLD_UNREADABLE
    return Grade(verdict_of(reason), reason, 0)


def grade_answer(answer: str, gold: str | Sequence[str], policy: Policy) -> Grade:
    """The verdict on an answer that was extracted already; `span` and `rule` stay empty."""
    set_deadline(IN_PROCESS_SECONDS)
    best: Grade | None = None
    for text in golds_of(gold):
        verdict = _against(answer, text, policy)
        if verdict.correct:
            return verdict
        # An unreadable gold might have been the one that matches, so it outweighs a mismatch.
        if best is None or (verdict.correct is None and best.correct is not None):
            best = verdict
    return best or Grade(None, Reason.GOLD_UNREADABLE, 0, answer=answer)


def _against(answer: str, gold: str, policy: Policy) -> Grade:
    try:
        reason, normalised = _decide(answer.strip(), gold.strip(), policy)
    except Exception:
        # A defect in the grader must reach the report as such, and must not stop a run of a million rows.
        reason, normalised = Reason.GRADER_CRASHED, None
    return Grade(verdict_of(reason), reason, _STAGES.get(reason, 4), answer=answer, gold_form=normalised)


def _decide(answer: str, gold: str, policy: Policy) -> tuple[Reason, str | None]:
    if not gold or len(gold) > 4 * policy.max_answer_chars:
        return Reason.GOLD_UNREADABLE, None
    if answer == gold:
        return Reason.SAME_TEXT, gold
    if len(answer) > policy.max_answer_chars:
        return Reason.TOO_LONG, None
    if _DIGITS.match(answer) and _DIGITS.match(gold):
        return (Reason.RATIONAL_EQUAL if int(answer) == int(gold) else Reason.DIFFERENT), gold
    reading = _read_gold(gold)
    reason = _as_text(answer, reading, policy)
    if reason is None:
        reason = _as_math(_without_letter(answer) if policy.choices else answer, reading, policy)
    return reason, reading.squeezed


class _Gold:
    """What the gold is, worked out once for all its responses."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.squeezed = squeeze(clean(text))
        self.words = as_words(text)
        self.letter = _letter(text)
        self.trees: list[Node] = []
        self.too_large = False
        try:
            self.trees.append(parse(text))
        except Unreadable:
            pass
        except TooLarge:
            self.too_large = True
        if self.trees and join_thousands(clean(text)) != clean(text):
            self.trees.append(parse(text, thousands=False))
        self.is_prose = not self.trees and bool(_PROSE.match(self.words))


@lru_cache(maxsize=4096)
def _read_gold(text: str) -> _Gold:
    return _Gold(text)


def _letter(text: str) -> tuple[str, str] | None:
    """(letter, rest) of a multiple-choice answer such as `(D)`, `D.` or `(D) 14`."""
    match = _CHOICE.match(clean(_FONT.sub(r"\1 ", text)))
    return ((match.group(1) or match.group(3)).upper(), (match.group(2) or "").strip()) if match else None


def _without_letter(answer: str) -> str:
    """`14` for `(D) 14`; the answer itself when there is no value behind the letter."""
    choice = _letter(answer)
    return choice[1] if choice and choice[1] else answer


def _as_text(answer: str, gold: _Gold, policy: Policy) -> Reason | None:
    """A verdict by text alone, or None when the answer has to be read as mathematics."""
    if policy.choices and gold.letter and not gold.letter[1]:
        choice = _letter(answer.upper() if len(answer) == 1 and len(gold.text) > 1 else answer)
        if choice:
            return Reason.SAME_CHOICE if choice[0] == gold.letter[0] else Reason.DIFFERENT
    if squeeze(clean(answer)) == gold.squeezed:
        return Reason.NORMALISED
    # Letters of formulas keep their case (a is not A); only words are compared without it.
    if gold.words and (gold.is_prose or "\\text" in gold.text) and as_words(answer) == gold.words:
        return Reason.NORMALISED
    return Reason.DIFFERENT if gold.is_prose or (gold.letter and not gold.trees) else None


def _as_math(answer: str, gold: _Gold, policy: Policy) -> Reason:
    if not gold.trees:
        return Reason.GOLD_UNREADABLE
    try:
        with numeric.EVALUATING:
            return _compared(answer, gold, policy)
    except OutOfTime:
        return _blame(gold, Reason.TIMEOUT, policy)
    except TooLarge:
        return _blame(gold, Reason.TOO_LARGE, policy)
    except Undefined:
        return _blame(gold, Reason.DIFFERENT, policy)
    except Unreadable:
        return _blame(gold, Reason.UNREADABLE_ANSWER, policy)


def _compared(answer: str, gold: _Gold, policy: Policy) -> Reason:
    """The comparison of the trees, with 1,234 read as a list where one number does not fit."""
    misfit = (Reason.WRONG_COUNT, Reason.WRONG_KIND)
    reason = compare(parse(answer), gold.trees[0], policy)
    if reason in misfit and join_thousands(clean(answer)) != clean(answer):
        reason = compare(parse(answer, thousands=False), gold.trees[0], policy)
    if reason in misfit and len(gold.trees) > 1:
        reason = compare(parse(answer, thousands=False), gold.trees[1], policy)
    return reason


def _blame(gold: _Gold, reason: Reason, policy: Policy) -> Reason:
    """`reason` if the gold can be worked with, so that the answer is at fault; else GOLD_UNREADABLE."""
    set_deadline(IN_PROCESS_SECONDS)
    try:
        with numeric.EVALUATING:
            for value in leaves(gold.trees[0]):
                compare(_HALF, value, policy)
    except (OutOfTime, TooLarge, Undefined, Unreadable):
        return Reason.GOLD_UNREADABLE
    return reason
