"""The command `grade`: of `odr`, and of `python -m eval_math` for people who use nothing else of this project.

Exit codes: 0 done; 1 the machine or the grader failed; 2 the file or the command is wrong.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from eval_math.files.messages import BadInput, GraderFailed
from eval_math.files.policies import policy_named
from eval_math.files.run import Report, Task, grade_file
from eval_math.workers.processes import WorkersFailed


def grade(
    file: Annotated[Path, typer.Argument(help="JSONL or Parquet, of any shape and size.", show_default=False)],
    answer_column: Annotated[
        str, typer.Option(help="Column of the responses: texts or chats. `column.field` reaches inside.")
    ],
    reference_column: Annotated[
        str, typer.Option(help="Column of the golds: a text, a number, or a list of accepted answers.")
    ],
    out: Annotated[Path | None, typer.Option(help="Graded rows, .parquet or .jsonl. Default: only count.")] = None,
    policy: Annotated[str, typer.Option(help="reward (boxed answers only), benchmark, or benchmark:NAME.")] = "reward",
    bare: Annotated[bool, typer.Option("--bare", help="The column holds answers without prose.")] = False,
    diff: Annotated[Path | None, typer.Option(help="Another output of this command: show what changed.")] = None,
    examples: Annotated[int, typer.Option(min=0, help="Changed verdicts to show with --diff.")] = 10,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first rows.")] = None,
    workers: Annotated[int | None, typer.Option(min=0, help="Processes; 0: none. Default: by the machine.")] = None,
    deadline: Annotated[float, typer.Option(help="Longest time for one answer, seconds.")] = 5.0,
    prefix: Annotated[str, typer.Option(help="Before the names of the new columns.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="The summary as one JSON object.")] = False,
) -> None:
    """Grade a file of answers: its rows, plus correct, reason, stage and answer, in the same order.

    A row whose gold cannot be read has no verdict (null) and is named in the summary; only a file without any
    readable gold is an error. Needs no model, no GPU, no server.

    Example: odr grade answers.jsonl --answer-column response --reference-column gold --out grades.parquet
    """
    with _sentences():
        if not deadline > 0:
            raise BadInput(f"--deadline {deadline}: expected seconds above 0")
        task = Task(
            file, answer_column, reference_column, out, policy_named(policy), bare, workers, deadline, prefix, limit,
            diff, examples,
        )  # fmt: skip
        with _progress() as progress:
            report = grade_file(task, progress)
        if as_json:
            _print_json(report)
        else:
            _print_tables(report, out)


@contextmanager
def _sentences() -> Iterator[None]:
    """One sentence and an exit code instead of a traceback."""
    try:
        yield
    except (BadInput, GraderFailed, WorkersFailed, OSError) as error:
        if os.environ.get("ODR_TRACEBACK") or isinstance(error, BrokenPipeError):
            raise
        print(f"error: {error}", file=sys.stderr)  # noqa: T201 - plain text, wrapped by nobody
        raise typer.Exit(2 if isinstance(error, BadInput) else 1) from error


@contextmanager
def _progress() -> Iterator[Callable[[int, int], None] | None]:
    """A bar on a terminal, nothing in a pipe."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        row = bar.add_task("reading", total=None)
        yield lambda done, total: bar.update(row, description="grading", completed=done, total=total)


def _print_json(report: Report) -> None:
    found = report.summary.to_json()
    if report.audit is not None:
        found["diff"] = report.audit.to_json()
    print(json.dumps(found))  # noqa: T201 - escapes every character beyond ASCII, so nothing reaches the terminal raw


def _print_tables(report: Report, out: Path | None) -> None:
    from rich.console import Console
    from rich.text import Text

    from eval_math.files.show import parts

    console = Console(width=None if sys.stdout.isatty() else 140)
    for part in parts(report):
        console.print(part, soft_wrap=isinstance(part, Text))
    if out is not None:
        console.print(f"written to {out}", markup=False, highlight=False, soft_wrap=True)
