"""From problems to training rows: what every iteration sampled, what was right, what became rows, what was dropped."""

from dataclasses import dataclass
from typing import Any

from flows.page.answers import Answers
from flows.page.source import Source

ROWS = {"pairs": "pairs", "accepted": "accepted answers", "groups": "answers in groups"}
"""What people call each kind of training row."""


@dataclass(frozen=True)
class Yield:
    """Of one iteration; a count is None where nothing was recorded of it."""

    iteration: int
    prompts: int | None
    rollouts: int
    right: int
    wrong: int
    unknown: int
    kind: str
    rows: int
    per_prompt: float | None
    """Rows for each problem asked."""
    dropped: dict[str, int]
    """By reason: of problems; those that begin with "answers:" or "pairs:" count these."""
    reasons: dict[str, int]
    """Of the verdicts."""


def yields_of(source: Source, answers: list[Answers | None]) -> list[Yield]:
    """Of every iteration that made rows."""
    found = (_of(source, row, seen) for row, seen in zip(source.iterations, answers, strict=True) if "rows" in row)
    return [item for item in found if item is not None]


def _of(source: Source, row: dict[str, Any], seen: Answers | None) -> Yield:
    summaries = row.get("summaries", {})
    graded, paired = summaries.get("grades", {}), summaries.get("rows", {})
    counts = {word: graded.get(word, 0) for word in ("right", "wrong", "unknown")}
    if not any(counts.values()) and seen:
        counts = {"right": seen.verdicts[True], "wrong": seen.verdicts[False], "unknown": seen.verdicts[None]}
    prompts = paired.get("prompts") or (len(seen.by_prompt) if seen else None)
    dropped = {name: n for name, n in paired.items() if name != "prompts" and not name.startswith("kept")}
    sampled = source.manifest(row["rollouts"]) if "rollouts" in row else None
    left_out = sampled.summary.get("dropped", {}) if sampled else {}
    dropped |= {f"before sampling: {name.replace('_', ' ')}": n for name, n in left_out.items() if n}
    return Yield(
        iteration=row["iteration"],
        prompts=prompts,
        rollouts=row["rollouts"]["rows"] if "rollouts" in row else sum(counts.values()),
        **counts,
        kind=ROWS.get(str(row["rows"]["kind"]), "rows"),
        rows=row["rows"]["rows"],
        per_prompt=row["rows"]["rows"] / prompts if prompts else None,
        dropped=dropped,
        reasons={name.removeprefix("reason/"): n for name, n in graded.items() if name.startswith("reason/")},
    )
