"""What came of a grading: counts by reason and stage, accuracy, the slowest answers, golds nobody can read."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from eval_math.verdict import Grade, Reason

SLOWEST = 10
NAMED = 10
"""Rows with an unreadable gold that are named; the others are counted."""


@dataclass(frozen=True, slots=True)
class Slow:
    """An answer that took long; the same answer to the same gold counts once, at its first row."""

    row: int
    seconds: float
    answer: str
    golds: tuple[str, ...]
    reason: str


@dataclass
class Summary:
    """Counts over the rows so far; rows are numbered from 1."""

    policy: str
    package: str
    rows: int = 0
    right: int = 0
    wrong: int = 0
    no_response: int = 0
    """Rows whose response is null: wrong, like any row without an answer."""
    seconds: float = 0.0
    """Wall time of the grading, reading and writing."""
    reasons: Counter[str] = field(default_factory=Counter)
    stages: Counter[int] = field(default_factory=Counter)
    slowest: list[Slow] = field(default_factory=list)
    unreadable: list[tuple[int, tuple[str, ...]]] = field(default_factory=list)
    json_columns: list[str] = field(default_factory=list)
    """Columns of mixed types, stored as JSON text."""

    def add(self, response: str | None, golds: tuple[str, ...], grade: Grade) -> None:
        """Count the next row."""
        self.rows += 1
        self.right += grade.correct is True
        self.wrong += grade.correct is False
        self.no_response += response is None
        self.reasons[grade.reason.value] += 1
        self.stages[grade.stage] += 1
        if grade.reason is Reason.GOLD_UNREADABLE and len(self.unreadable) < NAMED:
            self.unreadable.append((self.rows, golds))
        if grade.seconds and (len(self.slowest) < SLOWEST or grade.seconds > self.slowest[-1].seconds):
            slow = Slow(self.rows, grade.seconds, grade.answer or "", golds, grade.reason.value)
            if not any((each.answer, each.golds) == (slow.answer, slow.golds) for each in self.slowest):
                self.slowest = sorted([*self.slowest, slow], key=lambda each: -each.seconds)[:SLOWEST]

    @property
    def known(self) -> int:
        """Rows with a verdict."""
        return self.right + self.wrong

    @property
    def accuracy(self) -> float | None:
        """The share of right rows among those with a verdict."""
        return self.right / self.known if self.known else None

    @property
    def standard_error(self) -> float | None:
        """Of the accuracy, if the rows are independent; None for fewer than two."""
        share = self.accuracy
        return math.sqrt(share * (1 - share) / (self.known - 1)) if share is not None and self.known > 1 else None

    @property
    def unknown(self) -> int:
        """Rows without a verdict: the gold or the grader failed, not the response."""
        return self.rows - self.known

    def to_json(self) -> dict[str, Any]:
        """JSON types only."""
        return {
            "policy": self.policy,
            "package": self.package,
            "rows": self.rows,
            "accuracy": self.accuracy,
            "standard_error": self.standard_error,
            "right": self.right,
            "wrong": self.wrong,
            "unknown": self.unknown,
            "no_response": self.no_response,
            "reasons": dict(self.reasons.most_common()),
            "stages": {str(stage): self.stages[stage] for stage in sorted(self.stages)},
            "seconds": round(self.seconds, 3),
            "rows_per_second": round(self.rows / self.seconds, 1) if self.seconds else None,
            "slowest": [
                {"row": each.row, "seconds": round(each.seconds, 6), "reason": each.reason, "answer": each.answer}
                for each in self.slowest
            ],
            "unreadable_golds": [{"row": row, "golds": list(golds)} for row, golds in self.unreadable],
            "json_columns": self.json_columns,
        }
