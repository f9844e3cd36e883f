r"""Grade one response: extract its answer, then decide in stages, cheapest first.

0 no answer   1 same text   2 same after normalising, words, choice letters   3 exact rationals   4 expressions
5 computer algebra, in a process of its own. No stage executes text, uses signals, or keeps state beyond a bounded
cache, so `grade` may run in any thread. It is not symmetric: the gold says what was asked for.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from eval_math.extraction.extract import extract, finished_part
from eval_math.judging.budget import set_deadline, set_patience
from eval_math.judging.decide import ALGEBRA_SECONDS, IN_PROCESS_SECONDS, decide
from eval_math.judging.gold import MAX_GOLD_CHARS, AnswerType, Gold, read
from eval_math.policy import Policy
from eval_math.reading.normalise import clean, squeeze
from eval_math.verdict import Grade, Reason, verdict_of

Golds = str | Sequence[str] | Gold
"""One reference, several accepted ones, or what `compile_gold` made of them."""


def grade(response: str, gold: Golds, policy: Policy) -> Grade:
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


def golds_of(gold: Golds) -> tuple[str, ...]:
    """The accepted golds as a tuple."""
    return gold.texts if isinstance(gold, Gold) else (gold,) if isinstance(gold, str) else tuple(gold)


def _no_answer(reason: Reason, golds: tuple[str, ...]) -> Grade:
    """A missing answer is wrong whatever the gold is, except that nothing is wrong without a gold."""
    if not any(text.strip() for text in golds):
        reason = Reason.GOLD_UNREADABLE
    return Grade(verdict_of(reason), reason, 0)


def grade_answer(answer: str, gold: Golds, policy: Policy) -> Grade:
    """The verdict on an answer that was extracted already; `span` and `rule` stay empty."""
    started = time.perf_counter()
    set_deadline(IN_PROCESS_SECONDS)
    set_patience(ALGEBRA_SECONDS)
    answer_type = gold.answer_type if isinstance(gold, Gold) else None
    best: Grade | None = None
    for text in golds_of(gold):
        verdict = _against(answer, text, answer_type, policy)
        # An unreadable gold might have been the one that matches, so it outweighs a mismatch.
        if best is None or verdict.correct or (verdict.correct is None and best.correct is not None):
            best = verdict
        if verdict.correct:
            break
    best = best or Grade(None, Reason.GOLD_UNREADABLE, 0, answer=answer)
    return replace(best, seconds=time.perf_counter() - started)


def _against(answer: str, gold: str, answer_type: AnswerType | None, policy: Policy) -> Grade:
    answer, gold = answer.strip(), gold.strip()
    try:
        if not gold or len(gold) > MAX_GOLD_CHARS:
            return Grade(None, Reason.GOLD_UNREADABLE, 1, answer=answer)
        reading = read(gold, answer_type)
        if answer == gold:
            reason, stage = Reason.SAME_TEXT, 1
        elif len(answer) > policy.max_answer_chars:
            reason, stage = Reason.TOO_LONG, 1
        else:
            reason, stage = decide(answer, reading, policy)
        found = Grade(verdict_of(reason), reason, stage, answer=answer)
        if reason in (Reason.SAME_TEXT, Reason.TOO_LONG):
            return found
        return replace(found, kind=reading.kind, answer_form=squeeze(clean(answer)), gold_form=reading.squeezed)
    except MemoryError:
        return Grade(False, Reason.OUT_OF_MEMORY, 4, answer=answer)
    except Exception:
        # A defect in the grader must reach the report as such, and must not stop a run of a million rows.
        return Grade(None, Reason.GRADER_CRASHED, 4, answer=answer)
