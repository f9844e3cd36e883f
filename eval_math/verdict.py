"""What a grading says: the verdict, the reason a person understands, and where the answer stood."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Reason(StrEnum):
    """Why a verdict came out as it did; the value is stable and may be stored."""

    SAME_TEXT = "same_text"
    """Answer and gold are the same characters."""
    NORMALISED = "normalised"
    """The same after removing spacing, wrappers and letter case of words."""
    SAME_CHOICE = "same_choice"
    """The same letter of a multiple-choice question."""
    RATIONAL_EQUAL = "rational_equal"
    """The same rational number, computed exactly."""
    NUMBERS_EQUAL = "numbers_equal"
    """The same number to more than 40 digits at two precisions."""
    ROUNDED = "rounded"
    """Equal within the rounding or the tolerance that the policy allows."""
    IDENTITY = "identity"
    """The same expression: equal trees, or equal at every test point."""
    MEMBERS_EQUAL = "members_equal"
    """The same tuple, set, interval or matrix, member by member."""
    SAME_SOLUTIONS = "same_solutions"
    """Equations or inequalities with the same solutions."""
    SYMBOLIC_EQUAL = "symbolic_equal"
    """Equal by computer algebra, in a process of its own, where no cheaper stage could decide."""

    DIFFERENT = "different"
    """Both were read and they differ."""
    WRONG_COUNT = "wrong_count"
    """More or fewer values than the gold has."""
    HEDGED = "hedged"
    """Two alternatives for one question, such as "5 or 7"; right is not enough among others."""
    WRONG_KIND = "wrong_kind"
    """Another kind of object: a number for an interval, or the like."""
    WRONG_ENDPOINT = "wrong_endpoint"
    """An interval whose ends are open where they should be closed, or the reverse."""
    UNIT_CONFLICT = "unit_conflict"
    """Both carry a unit, and the units cannot be converted into each other."""
    NO_ANSWER = "no_answer"
    """No final answer was found, or it was empty."""
    UNFINISHED = "unfinished"
    """The response ends inside its <think> part."""
    UNREADABLE_ANSWER = "unreadable_answer"
    """The answer is not a form this grader reads, while the gold is."""
    TOO_LONG = "too_long"
    """The answer is longer than any reasonable one."""
    TOO_LARGE = "too_large"
    """The answer's value is beyond the limits on digits and exponents."""
    TIMEOUT = "timeout"
    """The answer took longer than the deadline."""
    OUT_OF_MEMORY = "out_of_memory"
    """The answer needed more memory than a worker may use."""

    GOLD_UNREADABLE = "gold_unreadable"
    """No verdict: the reference answer cannot be read."""
    GRADER_CRASHED = "grader_crashed"
    """No verdict: the grader failed, which is not the response's fault."""


RIGHT = frozenset(
    {
        Reason.SAME_TEXT,
        Reason.NORMALISED,
        Reason.SAME_CHOICE,
        Reason.RATIONAL_EQUAL,
        Reason.NUMBERS_EQUAL,
        Reason.ROUNDED,
        Reason.IDENTITY,
        Reason.MEMBERS_EQUAL,
        Reason.SAME_SOLUTIONS,
        Reason.SYMBOLIC_EQUAL,
    }
)
UNKNOWN = frozenset({Reason.GOLD_UNREADABLE, Reason.GRADER_CRASHED})


def verdict_of(reason: Reason) -> bool | None:
    """True, False or None: the verdict that follows from the reason alone."""
    if reason in UNKNOWN:
        return None
    return reason in RIGHT


@dataclass(frozen=True, slots=True)
class Grade:
    """The verdict on one response."""

    correct: bool | None
    """None: no verdict could be reached, and it is not the response's fault. Never read as False."""
    reason: Reason
    stage: int
    """0 extraction, 1 same text, 2 normalised text, 3 exact numbers, 4 expressions, 5 computer algebra."""
    kind: str | None = None
    """What the gold is: number, quantity, expression, equation, inequality, interval, tuple, set, list, matrix,
    choice or text. None: the gold was not looked at, or could not be read."""
    answer: str | None = None
    """The final answer as it stands in the response."""
    span: tuple[int, int] | None = None
    """Where it stands: response[start:end]."""
    rule: str | None = None
    """Which extraction rule found it: boxed, answer_tag, hashes, marker, last_formula, last_number, bare."""
    answer_form: str | None = None
    """The answer after normalisation, where normalising was needed."""
    gold_form: str | None = None
    """The reference that decided, likewise."""
    seconds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """A dict of JSON types; `from_json` restores it."""
        row = asdict(self)
        row["reason"] = self.reason.value
        row["span"] = list(self.span) if self.span else None
        return row

    @classmethod
    def from_json(cls, row: dict[str, Any]) -> Grade:
        """The Grade that `to_json` wrote; raises ValueError on an unknown reason."""
        span = row.get("span")
        changed = {"reason": Reason(row["reason"]), "span": (span[0], span[1]) if span else None}
        return cls(**{**row, **changed})
