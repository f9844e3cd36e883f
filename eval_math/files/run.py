"""Grade a file: read, grade, write, count and compare, one batch at a time."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing, nullcontext
from dataclasses import dataclass, field, replace
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eval_math.files.audit import Audit
from eval_math.files.columns import Columns
from eval_math.files.messages import BadInput, GraderFailed, shown
from eval_math.files.read import JsonLines, Parquet, open_table
from eval_math.files.rows import Place, Row, place_in, rows_of
from eval_math.files.summary import Summary
from eval_math.files.write import check_output, output
from eval_math.policy import Policy
from eval_math.verdict import Grade, Reason
from eval_math.workers.pool import grade_many

if TYPE_CHECKING:
    from eval_math.files.read import Batch


@dataclass(frozen=True, slots=True)
class Task:
    """What to grade and how."""

    file: Path
    answer_column: str
    reference_column: str
    out: Path | None = None
    """.parquet or .jsonl; None: count and compare only."""
    policy: Policy = field(default_factory=Policy.reward)
    bare: bool = False
    """The answer column holds answers without prose: nothing is searched for."""
    workers: int | None = None
    deadline: float = 5.0
    prefix: str = ""
    """Before the names of the added columns."""
    limit: int | None = None
    diff: Path | None = None
    examples: int = 10

    @property
    def rules(self) -> Policy:
        """The policy as it is applied."""
        return replace(self.policy, style="bare") if self.bare else self.policy


@dataclass(frozen=True, slots=True)
class Report:
    """What came of it."""

    summary: Summary
    audit: Audit | None


def grade_file(task: Task, progress: Callable[[int, int], None] | None = None) -> Report:
    """Grade the file; `progress` is called with (rows done, rows in all).

    Raises:
        BadInput: the file or the task is wrong, or no gold can be read; nothing is written then.
        OSError, WorkersFailed, GraderFailed: the machine or the grader fails; nothing is written either.
    """
    started = time.perf_counter()
    columns = Columns()
    to_arrow = task.out is not None and task.out.suffix == ".parquet"
    table = open_table(task.file, task.limit, [columns.see] if to_arrow else [])
    place = place_in(table.columns, task.answer_column, task.reference_column, bare=task.bare)
    total = table.num_rows if task.limit is None else min(task.limit, table.num_rows)
    if task.out is not None:
        check_output(task.out, task.file, table.columns, task.prefix)
    audit = None
    if task.diff is not None:
        part = task.limit is not None
        audit = Audit(task.diff, place, task.prefix, total, part=part, most=task.examples)
    summary = Summary(str(task.rules), package_version())
    facts = _facts(task)
    with output(task.out, table, columns, task.prefix, facts) if task.out else nullcontext() as writer:
        for batch, rows, grades in _graded(task, table, place, total):
            if writer is not None:
                writer.write(batch, grades)
            for row, grade in zip(rows, grades, strict=True):
                summary.add(row.response, row.golds, grade)
                if audit is not None:
                    audit.see(row, grade)
            if progress is not None:
                progress(summary.rows, total)
        _check_verdicts(task, summary)
    summary.json_columns = sorted(columns.as_json) if to_arrow else []
    summary.seconds = time.perf_counter() - started
    return Report(summary, audit)


def package_version() -> str:
    """The version of this package, or `unknown` when it is not installed."""
    try:
        return metadata.version("online-dpo-r1")
    except metadata.PackageNotFoundError:
        return "unknown"


def _facts(task: Task) -> dict[str, Any]:
    """What a Parquet file says about its grading."""
    return {
        "policy": str(task.rules),
        "policy_version": task.rules.version,
        "package": package_version(),
        "bare": task.bare,
        "answer_column": task.answer_column,
        "reference_column": task.reference_column,
        "prefix": task.prefix,
    }


def _graded(
    task: Task, table: JsonLines | Parquet, place: Place, total: int
) -> Iterator[tuple[Batch, list[Row], list[Grade]]]:
    """Each batch with its rows and verdicts, in order; batches wait only while a row of theirs is being graded."""
    waiting: deque[tuple[Batch, list[Row]]] = deque()

    def cases() -> Iterator[tuple[str, tuple[str, ...]]]:
        number = 0
        for batch in table.batches():
            batch = batch[: total - number]
            if len(batch) == 0:
                continue
            rows = rows_of(table, batch, place, number + 1)
            waiting.append((batch, rows))
            number += len(rows)
            for row in rows:
                yield row.response or "", row.golds
            if number == total:
                return

    verdicts = grade_many(cases(), task.rules, workers=task.workers, deadline=task.deadline)
    with closing(verdicts):  # type: ignore[type-var]
        grades: list[Grade] = []
        for grade in verdicts:
            grades.append(grade)
            if len(grades) == len(waiting[0][1]):
                yield *waiting.popleft(), grades
                grades = []


def _check_verdicts(task: Task, summary: Summary) -> None:
    """A file in which no row has a verdict was graded against the wrong column, or not at all."""
    if summary.known:
        return
    if summary.reasons[Reason.GRADER_CRASHED.value]:
        raise GraderFailed("the grader failed on every row; please report it with a row of the file")
    row, golds = summary.unreadable[0]
    first = repr(shown(" | ".join(golds))) if golds else "none"
    column = shown(task.reference_column)
    raise BadInput(f"no gold in column {column!r} can be read; row {row} has {first}. {GOLD_ADVICE}")


GOLD_ADVICE = "A gold is the final answer alone, such as 42 or \\frac{1}{2}, without working or sentences."
