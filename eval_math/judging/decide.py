"""Decide between one answer and one reference, in stages; see `grade` for their numbers."""

from __future__ import annotations

import re
from fractions import Fraction

from eval_math.algebra import fallback
from eval_math.judging import numeric
from eval_math.judging.budget import OutOfTime, patience, set_deadline
from eval_math.judging.compare import compare
from eval_math.judging.exact import exact
from eval_math.judging.gold import Reading
from eval_math.judging.numeric import Undefined
from eval_math.judging.regions import is_span
from eval_math.judging.relations import definition
from eval_math.policy import Policy
from eval_math.reading.moments import moment_of, same_moment
from eval_math.reading.normalise import as_words, clean, join_thousands, squeeze
from eval_math.reading.parse import parse
from eval_math.reading.tree import Call, Node, Num, Quantity, TooLarge, Unreadable, is_call, leaves, symbols, walk
from eval_math.reading.words import letter_of, meaning_of
from eval_math.verdict import RIGHT, Reason

IN_PROCESS_SECONDS = 0.6
"""Processor time for one answer; `grade_many` adds processes that can be killed. Honest answers take milliseconds."""
ALGEBRA_SECONDS = 4.0
"""Wall time for computer algebra on one answer, on top; honest questions take less than 0.1 s."""
_HALF = Num(Fraction(1, 2))
_DIGITS = re.compile(r"-?\d{1,4000}\Z")
_POLYNOMIAL = frozenset({"add", "mul", "neg", "pow", "rel:="})
_MISFIT = (Reason.WRONG_COUNT, Reason.WRONG_KIND, Reason.HEDGED)


def decide(answer: str, gold: Reading, policy: Policy) -> tuple[Reason, int]:
    """The reason for the verdict on a stripped answer, and the stage that decided; SAME_TEXT was tested before."""
    if not policy.relative_tolerance and _DIGITS.match(answer) and _DIGITS.match(gold.text):
        return (Reason.RATIONAL_EQUAL if int(answer) == int(gold.text) else Reason.DIFFERENT), 3
    reason = _as_text(answer, gold, policy)
    if reason is not None:
        return reason, 2
    if not gold.trees:
        return Reason.GOLD_UNREADABLE, 2
    return _as_math(_without_letter(answer) if policy.choices else answer, gold, policy)


def _without_letter(answer: str) -> str:
    """`14` for `(D) 14`; the answer itself when there is no value behind the letter."""
    choice = letter_of(answer)
    return choice[1] if choice and choice[1] else answer


def _as_text(answer: str, gold: Reading, policy: Policy) -> Reason | None:
    """A verdict by text alone, or None when the answer has to be read as mathematics."""
    if policy.choices and gold.letter and not gold.letter[1]:
        # Beside (C), a lone c is the letter; beside c, it may be a variable.
        choice = letter_of(clean(answer).upper() if len(clean(answer)) == 1 and len(gold.text) > 1 else answer)
        if choice:
            return Reason.SAME_CHOICE if choice[0] == gold.letter[0] else Reason.DIFFERENT
    if squeeze(clean(answer)) == gold.squeezed:
        return Reason.NORMALISED
    if gold.meaning and (meaning := meaning_of(answer)):
        return Reason.NORMALISED if meaning == gold.meaning else Reason.DIFFERENT
    if gold.moment and (moment := moment_of(answer)) and (moment.half_known or gold.moment.half_known or moment.date):
        return Reason.NORMALISED if same_moment(moment, gold.moment) else Reason.DIFFERENT
    # Letters of formulas keep their case (a is not A); only words are compared without it.
    if gold.words and (gold.is_prose or "\\text" in gold.text) and as_words(answer) == gold.words:
        return Reason.NORMALISED
    if gold.is_prose and _parts(answer) == _parts(gold.text):
        return Reason.NORMALISED
    worded = gold.is_prose or gold.meaning or gold.letter
    return Reason.DIFFERENT if worded and not gold.trees else None


def _parts(text: str) -> list[str]:
    """The things that a list in words names, in alphabetical order."""
    return sorted(part for part in re.split(r",? and |[,;] ?", as_words(text)) if part)


def _as_math(answer: str, gold: Reading, policy: Policy) -> tuple[Reason, int]:
    try:
        with numeric.EVALUATING:
            reason, tree = _compared(answer, gold, policy)
            stage = 3 if _is_rational(tree) and _is_rational(gold.trees[0]) else 4
            undecided = reason is not None and reason not in RIGHT and _is_open(tree, gold.trees[0])
    except OutOfTime:
        return _blame(gold, Reason.TIMEOUT, policy), 4
    except (TooLarge, RecursionError):
        return _blame(gold, Reason.TOO_LARGE, policy), 4
    except Unreadable:
        return _blame(gold, Reason.UNREADABLE_ANSWER, policy), 4
    if reason is None:
        proven = _algebra(tree, gold.trees[0])
        if proven is None:
            return _blame(gold, Reason.DIFFERENT, policy), 5
        return (Reason.SYMBOLIC_EQUAL if proven else Reason.DIFFERENT), 5
    if undecided:
        return (Reason.SYMBOLIC_EQUAL if _algebra(tree, gold.trees[0]) else reason), 5
    return reason, stage


def _is_rational(node: Node) -> bool:
    """Whether the node is a rational number, perhaps with a unit."""
    value = node.value if isinstance(node, Quantity) else node
    return not symbols(value) and exact(value) is not None


def _compared(answer: str, gold: Reading, policy: Policy) -> tuple[Reason | None, Node]:
    """The comparison of the trees, with 1,234 read as a list where one number does not fit; None: undecided."""
    tree = parse(answer)
    if gold.answer_type == "tuple" and is_span(tree):
        return Reason.WRONG_KIND, tree
    try:
        reason = compare(tree, gold.trees[0], policy)
        if reason in _MISFIT and join_thousands(clean(answer)) != clean(answer):
            reason = compare(parse(answer, thousands=False), gold.trees[0], policy)
        if reason in _MISFIT and len(gold.trees) > 1:
            reason = compare(parse(answer, thousands=False), gold.trees[1], policy)
    except Undefined:
        return None, tree
    return reason, tree


def _is_open(answer: Node, gold: Node) -> bool:
    """Whether both are equations between variables, of which one is no polynomial.

    An equation never answers for its solution: that is the task. Polynomials were compared as multiples before.
    """
    curves = all(is_call(node, "rel:=") and len(symbols(node)) > 1 for node in (answer, gold))
    solved = all(definition(node) is not None for node in (answer, gold))
    return curves and not solved and not (_is_polynomial(answer) and _is_polynomial(gold))


def _is_polynomial(node: Node) -> bool:
    return all(
        not isinstance(part, Call) or part.head in _POLYNOMIAL or (part.head == "div" and not symbols(part.args[1]))
        for part in walk(node)
    )


def _algebra(answer: Node, gold: Node) -> bool | None:
    if is_call(gold, "cases", "family", "free") or (seconds := patience()) <= 0:
        return None
    return fallback.ask(answer, gold, seconds)


def _blame(gold: Reading, reason: Reason, policy: Policy) -> Reason:
    """`reason` if the gold can be worked with, so that the answer is at fault; else GOLD_UNREADABLE."""
    set_deadline(IN_PROCESS_SECONDS / 2)
    try:
        with numeric.EVALUATING:
            for value in leaves(gold.trees[0]):
                compare(_HALF, value, policy)
    except (OutOfTime, TooLarge, Undefined, Unreadable, RecursionError):
        return Reason.GOLD_UNREADABLE
    return reason
