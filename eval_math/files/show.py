"""The summary and the comparison as tables for a terminal; text of the file is shown escaped, never as markup."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from eval_math.files.messages import counted, listed, shown
from eval_math.files.run import GOLD_ADVICE, Report
from eval_math.verdict import Reason

if TYPE_CHECKING:
    from eval_math.files.audit import Audit
    from eval_math.files.summary import Summary

STAGES = {
    0: "extraction",
    1: "same text",
    2: "normalised text",
    3: "exact numbers",
    4: "expressions",
    5: "computer algebra",
}
WORD = {True: "right", False: "wrong", None: "unknown"}


def parts(report: Report) -> Iterator[Any]:
    """Everything there is to say, as rich renderables."""
    from rich.text import Text

    summary = report.summary
    yield Text(headline(summary))
    yield _counts(summary)
    if summary.slowest:
        yield _slowest(summary)
    yield from (Text(line) for line in notes(summary))
    if report.audit is not None:
        yield from _comparison(report.audit, summary)


def headline(summary: Summary) -> str:
    """Accuracy, rows, speed and policy in one line."""
    error = summary.standard_error
    score = "no verdict"
    if summary.accuracy is not None:
        score = f"accuracy {100 * summary.accuracy:.2f}" + (f" ± {100 * error:.2f}" if error is not None else "") + " %"
    speed = summary.rows / summary.seconds if summary.seconds else 0.0
    return (
        f"{score}: {summary.right} right, {summary.wrong} wrong, {summary.unknown} unknown of {summary.rows} rows "
        f"in {summary.seconds:.1f} s ({speed:.0f} rows/s)\npolicy {summary.policy}, package {summary.package}"
    )


def notes(summary: Summary) -> Iterator[str]:
    """What a person should look at, with advice."""
    if summary.no_response:
        yield f"{counted(summary.no_response, 'row')} without a response (null), counted as wrong."
    unreadable = summary.reasons[Reason.GOLD_UNREADABLE.value]
    if unreadable:
        yield f"{counted(unreadable, 'row')} without a verdict: the gold cannot be read. {GOLD_ADVICE}"
        for row, golds in summary.unreadable:
            yield f"  row {row}: {shown(' | '.join(golds), 100) or '(none)'}"
        if unreadable > len(summary.unreadable):
            yield f"  and {unreadable - len(summary.unreadable)} more"
    crashed = summary.reasons[Reason.GRADER_CRASHED.value]
    if crashed:
        yield f"{counted(crashed, 'row')} without a verdict: the grader failed; please report one of them."
    if 2 * summary.reasons[Reason.NO_ANSWER.value] > summary.rows and "(strict" in summary.policy:
        yield (
            "Most rows have no boxed answer, and this policy takes no other: --policy benchmark also reads unboxed "
            "final answers, --bare takes the whole cell as the answer."
        )
    if summary.json_columns:
        yield f"Columns of mixed types, stored as JSON text: {listed(summary.json_columns)}."


def _counts(summary: Summary) -> Any:
    from rich.table import Table

    table = Table("reason", "rows", "share, %", "", "stage", "rows", "share, %")
    for column in (1, 2, 5, 6):
        table.columns[column].justify = "right"
    left = [(reason, *_share(count, summary.rows)) for reason, count in summary.reasons.most_common()]
    stages = sorted(summary.stages.items())
    right = [(f"{stage} {STAGES.get(stage, '')}", *_share(count, summary.rows)) for stage, count in stages]
    for index in range(max(len(left), len(right))):
        blank = ("", "", "")
        table.add_row(
            *(left[index] if index < len(left) else blank), "", *(right[index] if index < len(right) else blank)
        )
    return table


def _share(count: int, total: int) -> tuple[str, str]:
    return str(count), f"{100 * count / total:.1f}"


def _slowest(summary: Summary) -> Any:
    from rich.table import Table
    from rich.text import Text

    table = Table("row", "seconds", "reason", "answer", title="Slowest answers", title_justify="left")
    for each in summary.slowest:
        table.add_row(str(each.row), f"{each.seconds:.4f}", each.reason, Text(shown(each.answer) or "(none)"))
    return table


def _comparison(audit: Audit, summary: Summary) -> Iterator[Any]:
    from rich.table import Table
    from rich.text import Text

    changed = sum(audit.flips.values())
    old, new = audit.accuracy(), summary.accuracy
    lines = [f"\ncompared with {shown(str(audit.path), 200)}: {changed} of {audit.count} verdicts changed"]
    if old is not None and new is not None:
        lines.append(f"accuracy {100 * old:.2f} -> {100 * new:.2f} %")
    now = (summary.policy, summary.package)
    then = (audit.facts.get("policy"), audit.facts.get("package"))
    if then != now:
        before = f"{shown(str(then[0]))}, package {shown(str(then[1]))}" if any(then) else "not recorded in that file"
        lines.append(f"graded by {before} -> {now[0]}, package {now[1]}")
    if audit.reasons:
        most = ", ".join(f"{shown(a)} -> {b} ({count})" for (a, b), count in audit.reasons.most_common(5))
        lines.append(f"{sum(audit.reasons.values())} kept their verdict for another reason: {most}")
    yield Text("\n".join(lines))
    if not changed:
        return
    table = Table("old", "new", "rows", "share, %")
    for (before, after), count in audit.flips.most_common():
        table.add_row(WORD[before], WORD[after], *_share(count, audit.count))
    yield table
    table = Table("row", "old", "new", "answer", "gold", title="Examples", title_justify="left")
    for each in audit.chosen():
        before = f"{WORD[each.old]}: {shown(each.old_reason)}"
        after = f"{WORD[each.new]}: {each.new_reason}"
        answer = "(none)" if each.answer is None else shown(each.answer, 40)
        table.add_row(str(each.row), Text(before), after, Text(answer), Text(shown(" | ".join(each.golds), 40)))
    yield table
