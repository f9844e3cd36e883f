"""What a change of grader changes: two gradings of the same rows, row by row.

Before verdicts are compared, response and gold of each row are: a difference between two files that are not
the same rows would say nothing about the grader.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eval_math.files.messages import BadInput, counted, listed, shown
from eval_math.files.read import open_table
from eval_math.files.rows import Place, Row, rows_of
from eval_math.verdict import Grade

Verdict = bool | None


@dataclass(frozen=True, slots=True)
class Old:
    """A row of the other file."""

    row: Row
    correct: Verdict
    reason: str


@dataclass(frozen=True, slots=True)
class Change:
    """A row whose verdict changed."""

    row: int
    old: Verdict
    new: Verdict
    old_reason: str
    new_reason: str
    answer: str | None
    golds: tuple[str, ...]


class Audit:
    """The comparison with one other output of this command."""

    def __init__(self, path: Path, place: Place, prefix: str, num_rows: int, *, part: bool, most: int) -> None:
        """Open the other file and check all that can be checked before grading; `part`: it may have more rows.

        Raises:
            BadInput: it is no output of this command, or has another number of rows.
        """
        self.path = path
        self.table = open_table(path)
        self.facts = self.table.facts or {}
        prefix = self.facts.get("prefix", prefix)
        self.names = [prefix + name for name in ("correct", "reason")]
        missing = [name for name in (*self.names, *place.columns) if name not in self.table.columns]
        if missing:
            raise BadInput(
                f"--diff {path} has no column {missing[0]!r}; expected an output of this command made with the same "
                f"--answer-column and --reference-column. It has: {listed(self.table.columns)}"
            )
        if self.table.num_rows < num_rows or (self.table.num_rows > num_rows and not part):
            raise BadInput(
                f"--diff {path} has {counted(self.table.num_rows, 'row')}, the input {num_rows}; grade one file twice"
            )
        self.place = place
        self.most = most
        self.flips: Counter[tuple[Verdict, Verdict]] = Counter()
        self.reasons: Counter[tuple[str, str]] = Counter()
        self.examples: dict[tuple[Verdict, Verdict], list[Change]] = {}
        self.count = 0
        self.old: Counter[Verdict] = Counter()
        self.rest = self._rows()

    def see(self, row: Row, grade: Grade) -> None:
        """Compare the next row.

        Raises:
            BadInput: the other file's row is not the same response and gold.
        """
        self.count += 1
        other = next(self.rest)
        for what, mine, its in (("response", row.response, other.row.response), ("gold", row.golds, other.row.golds)):
            if mine != its:
                raise BadInput(
                    f"--diff {self.path}, row {self.count}: its {what} is {shown(str(its))}, the input's is "
                    f"{shown(str(mine))}; these are not the same rows in the same order"
                )
        self.old[other.correct] += 1
        if other.correct is grade.correct:
            if other.reason != grade.reason.value:
                self.reasons[other.reason, grade.reason.value] += 1
            return
        flip = (other.correct, grade.correct)
        self.flips[flip] += 1
        kept = self.examples.setdefault(flip, [])
        if len(kept) < self.most:
            reasons = (other.reason, grade.reason.value)
            kept.append(Change(self.count, *flip, *reasons, grade.answer, row.golds))

    def chosen(self) -> list[Change]:
        """Up to `most` examples, taken from every kind of change in turn, in the order of the rows."""
        taken: list[Change] = []
        for rank in range(self.most):
            taken += [kept[rank] for kept in self.examples.values() if rank < len(kept)]
        return sorted(taken[: self.most], key=lambda each: each.row)

    def accuracy(self) -> float | None:
        """Of the other file, over its known verdicts."""
        known = self.old[True] + self.old[False]
        return self.old[True] / known if known else None

    def to_json(self) -> dict[str, Any]:
        """JSON types only."""
        return {
            "other": str(self.path),
            "other_policy": self.facts.get("policy"),
            "other_package": self.facts.get("package"),
            "other_accuracy": self.accuracy(),
            "changed": sum(self.flips.values()),
            "flips": [{"old": old, "new": new, "rows": count} for (old, new), count in self.flips.most_common()],
            "other_reason_only": sum(self.reasons.values()),
            "reasons": [{"old": old, "new": new, "rows": count} for (old, new), count in self.reasons.most_common()],
            "examples": [
                {
                    "row": each.row, "old": each.old, "new": each.new, "old_reason": each.old_reason,
                    "new_reason": each.new_reason, "answer": each.answer, "golds": list(each.golds),
                }
                for each in self.chosen()
            ],
        }  # fmt: skip

    def _rows(self) -> Iterator[Old]:
        number = 0
        for batch in self.table.batches([*self.names, *self.place.columns]):
            rows = rows_of(self.table, batch, self.place, number + 1)
            correct, reasons = (self.table.cells(batch, name) for name in self.names)
            for row, verdict, reason in zip(rows, correct, reasons, strict=True):
                number += 1
                if verdict not in (True, False, None) or not isinstance(reason, str):
                    raise BadInput(
                        f"--diff {self.path}, row {number}: {self.names[0]} is {shown(str(verdict))}; expected true, "
                        "false or null, as this command writes them"
                    )
                yield Old(row, verdict, reason)
