"""A few answers of the last iteration, right, wrong and ungradable, of as many different reasons as there are."""

# pyarrow ships no types, so strict checking would only report what it cannot know.
# pyright: basic

from dataclasses import dataclass
from typing import Any

from artifacts import Prompt, Ref
from flows.page.inert import shortened
from flows.page.source import Source

EACH = 4
VERDICTS: tuple[tuple[str, bool | None], ...] = (("right", True), ("wrong", False), ("without a verdict", None))
REST = ("prompt_id", "sample_index", "text", "finish_reason")
SHORT = 400
"""Characters of what stands beside an answer: the problem, and the answer that was found."""


@dataclass(frozen=True)
class Example:
    """One answer with its grade; every text is shortened, and still the model's own."""

    prompt_id: str
    sample_index: int
    question: str
    references: str
    text: str
    answer: str | None
    reason: str
    finish_reason: str


def examples_of(source: Source) -> tuple[str, dict[str, list[Example]]]:
    """(where they are from, examples by verdict); of the last benchmark answers if the campaign has no iteration."""
    row = source.last
    if "rollouts" in row and "grades" in row:
        return f"training answers of iteration {row['iteration']}", source.attempt(_examples, source, row) or {}
    for generation, refs in row.get("generations", {}).items():
        return f"answers to {generation}", source.attempt(_examples, source, refs) or {}
    return "", {}


def _examples(source: Source, refs: dict[str, Any]) -> dict[str, list[Example]]:
    grades = source.workspace.store.table(Ref.from_json(refs["grades"]), ["correct", "reason", "answer"])
    correct, reasons = grades["correct"].to_pylist(), grades["reason"].to_pylist()
    chosen = {name: _spread(correct, reasons, verdict) for name, verdict in VERDICTS}
    wanted = sorted(index for indices in chosen.values() for index in indices)
    rollouts = _rows(source, Ref.from_json(refs["rollouts"]), wanted)
    problems = _problems(source, refs["grades"], {row["prompt_id"] for row in rollouts.values()})

    def example(index: int) -> Example:
        row = rollouts[index]
        problem, answer = problems.get(row["prompt_id"]), grades["answer"][index].as_py()
        return Example(
            prompt_id=shortened(row["prompt_id"], 80),
            sample_index=row["sample_index"],
            question=shortened(problem.question, SHORT) if problem else "",
            references=shortened(" or ".join(problem.answers), SHORT) if problem else "",
            text=shortened(row["text"]),
            answer=None if answer is None else shortened(answer, SHORT),
            reason=shortened(reasons[index], 80),
            finish_reason=row["finish_reason"],
        )

    return {name: [example(index) for index in indices] for name, indices in chosen.items()}


def _spread(correct: list[bool | None], reasons: list[str], verdict: bool | None) -> list[int]:
    """Rows with this verdict: reasons in turn, the frequent ones first, and of each from all over the table."""
    by_reason: dict[str, list[int]] = {}
    for index, (found, reason) in enumerate(zip(correct, reasons, strict=True)):
        if found is verdict:
            by_reason.setdefault(reason, []).append(index)
    queues = sorted(by_reason.values(), key=len, reverse=True)
    turns = [[queue[len(queue) * turn // EACH] for queue in queues] for turn in range(EACH)]
    return list(dict.fromkeys(index for turn in turns for index in turn))[:EACH]


def _rows(source: Source, rollouts: Ref[Any], wanted: list[int]) -> dict[int, dict[str, Any]]:
    """Rows by their place in the table; the batches without any of them are passed over."""
    found: dict[int, dict[str, Any]] = {}
    start = 0
    for batch in source.workspace.store.batches(rollouts, list(REST)):
        for index in wanted:
            if start <= index < start + batch.num_rows:
                found[index] = batch.slice(index - start, 1).to_pylist()[0]
        start += batch.num_rows
    return found


def _problems(source: Source, grades: dict[str, Any], names: set[str]) -> dict[str, Prompt]:
    """The problems of these names; none if the table that the grades were made against is gone."""
    manifest = source.manifest(grades)
    table = source.parent(manifest, Prompt.KIND) if manifest else None
    if table is None:
        return {}
    return {row.prompt_id: row for row in source.workspace.store.read(table, Prompt) if row.prompt_id in names}
