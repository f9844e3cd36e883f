"""`odr show`: one finished campaign on the terminal."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

from rich.table import Table
from rich.text import Text

from artifacts import Grade, Ref, Rollout
from flows import report
from flows.tables import results_table
from flows.terminal import clean
from tasks.workspace import Workspace


def show_campaign(workspace: Workspace, name: str, examples: int) -> Iterator[Any]:
    """Results, time by stage, files, and some answers."""
    facts = report.read(workspace, name)
    yield results_table(facts)
    yield time_table(facts)
    for row in facts["iterations"]:
        yield f"iteration {row['iteration']}: {row['policy']['path']}"
    if examples:
        for generation, refs in facts["iterations"][-1]["generations"].items():
            yield f"\n{generation}"
            yield from _examples(workspace, refs, examples)


def time_table(facts: dict[str, Any]) -> Table:
    """Seconds of each stage; of its children's start-up; and what remains of an iteration for everything else."""
    table = Table("iteration", "stage", "seconds", "in children", "of which start-up", "cached", title="Time")
    for row in facts["iterations"]:
        name = str(row["iteration"]) if row["iteration"] else "base"
        for stage in row["stages"]:
            inside = sum(child["seconds"] for child in stage["children"])
            start_up = sum(child["start_up"] for child in stage["children"])
            table.add_row(
                name, f"{stage['label']} {stage['stage']}", f"{stage['seconds']:.1f}", f"{inside:.1f}",
                f"{start_up:.1f}", "yes" if stage["cached"] else "",
            )  # fmt: skip
    return table


def _examples(workspace: Workspace, refs: dict[str, Any], count: int) -> Iterator[Text]:
    rollouts = workspace.store.read(Ref.from_json(refs["rollouts"]), Rollout)
    grades = workspace.store.read(Ref.from_json(refs["grades"]), Grade)
    for rollout, grade in islice(zip(rollouts, grades, strict=True), count):
        # Model text is data: `Text` prints it as it is, without markup or control characters.
        yield Text(f"[{grade.correct}, {grade.reason}, {rollout.finish_reason}] {clean(rollout.text)}")
