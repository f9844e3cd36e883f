"""The page of one iteration in Prefect: did it get better, what was there to learn, how far it moved, what it took.

It is made of what is recorded anyway, after everything else is done, and only where a flow run can show it. Names come
from configs and files: they are text and nothing else.
"""

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from artifacts import ArtifactError, Checkpoint, Ref, Rollout, Score, plain_json
from eval_math import metrics
from flows import report
from flows.mirror.campaign import Mirror
from flows.steps import Steps
from flows.tables import percent
from tasks import announce, records
from tasks.announce import harmless
from tasks.display import duration
from tasks.results import load_result
from tasks.train import curve_of
from tasks.workspace import Workspace

log = logging.getLogger(__name__)

BAR = 30
"""Characters of the longest bar."""
DRIFT = ("kl/", "sampler_gap", "entropy", "logps/", "clip")
"""How the names of metrics begin that say how far the policy has moved, or the trainer from the sampler."""

NOT_LEFT = ("prompts", "kept")
"""How the names of counts begin that are of what was used."""

Generations = dict[str, dict[str, Any]]
"""Decoding -> references of its answers and their grades."""


@dataclass(frozen=True)
class Done:
    """What an iteration has made."""

    number: int
    start: Checkpoint
    """The policy that it has sampled."""
    rollouts: Ref[Rollout]
    grades: Ref[Any]
    rows: Ref[Any]
    policy: Checkpoint
    scores: Ref[Score]


def publish(steps: Steps, done: Done, mirror: Mirror) -> None:
    """Show the iteration in Prefect, with a link to its run in MLflow. No failure of this leaves it."""
    if not announce.in_flow():
        return
    name = steps.config.name
    try:
        text = markdown(steps, done, mirror.address(done.number))
    except Exception as error:  # the iteration is done; a page about it must not undo that
        log.warning("iteration %d of %s has no page in Prefect: %s", done.number, name, error)
        return
    title = f"{harmless(name)} · iteration {done.number}"
    announce.page(name, "iteration", str(done.number), markdown=text, description=title)


def markdown(steps: Steps, done: Done, tracked: str | None) -> str:
    """The page; `tracked` is the address of the iteration's run in MLflow."""
    config = steps.config
    parts = [
        f"# {harmless(config.name)} · iteration {done.number}",
        f"Objective {harmless(config.objective['name'])}, started from {harmless(config.model)}.",
        "## Accuracy",
        _accuracy(steps, done),
        "## Rows",
        *_rows(steps.run.workspace, done),
        "## Drift",
        _drift(done.policy),
        "## Time",
        _time(steps.run.events),
        f"Policy: {harmless(done.policy.path)}",
        f"MLflow: [the run of this iteration]({tracked})" if tracked else "",
        f"The whole campaign on one page: `odr report {config.name}` when it has finished.",
    ]
    return "\n\n".join(part for part in parts if part)


def _accuracy(steps: Steps, done: Done) -> str:
    store = steps.run.workspace.store
    before = _before(steps, done)
    now = {(score.benchmark, score.metric): score for score in store.read(done.scores, Score)}
    then = {(score.benchmark, score.metric): score for score in store.read(before, Score)} if before else {}
    changes = _changes(steps.run.workspace, done.scores, before)
    lines: list[tuple[str, ...]] = []
    for (bench, metric), score in now.items():
        greedy = metric == "greedy"
        if not greedy and not metric.startswith("mean@"):
            continue
        old = then.get((bench, metric))
        cut = now[bench, "truncated/greedy" if greedy else "truncated"].value
        lines.append(
            (harmless(bench), metric, f"{score.num_problems:,}", _percent(old) if old else "", _percent(score),
             changes.get(f"{bench}/{'greedy' if greedy else 'sampled'}", ""), f"{100 * cut:.1f}")
        )  # fmt: skip
    head = (
        "benchmark",
        "metric",
        "problems",
        "before, %",
        "after, %",
        "change, points (paired)",
        "cut at the limit, %",
    )
    return _table(head, lines) + ("" if before else "\n\nThe policy before this iteration was not evaluated here.")


def _changes(workspace: Workspace, after: Ref[Score], before: Ref[Score] | None) -> dict[str, str]:
    """By decoding, over the problems that both policies have answered."""
    found: dict[str, str] = {}
    older = _generations(workspace, before) if before else {}
    for name, refs in _generations(workspace, after).items():
        now = report.verdicts(workspace, refs)
        then = report.verdicts(workspace, older[name]) if name in older else {}
        shared = [problem for problem in now if problem in then]
        if shared:  # the error is exact; only the interval, which is not shown, is resampled
            pair = [now[p] for p in shared], [then[p] for p in shared]
            change = metrics.paired_difference(*pair, num_resamples=40)
            noise = "" if abs(change.value) > 1.96 * change.standard_error else ", within noise"
            found[name] = f"{100 * change.value:+.1f} ± {100 * change.standard_error:.1f}{noise}"
    return found


def _percent(score: Score) -> str:
    return percent(score.value, score.standard_error)


def _generations(workspace: Workspace, scores: Ref[Any]) -> Generations:
    return workspace.store.manifest(scores).summary["generations"]


def _before(steps: Steps, done: Done) -> Ref[Score] | None:
    """The scores of the policy that this iteration began with, if the last ones of that label are of it."""
    workspace = steps.run.workspace
    label = f"iteration {done.number - 1}" if done.number > 1 else "base"
    try:
        key = records.read(workspace.key_record(steps.config.name, f"{label} evaluate")).key
        kept = plain_json.parse((workspace.cache / key).read_bytes())["result"]
        scores = load_result(kept.encode(), workspace)
    except (OSError, ValueError, LookupError, ArtifactError):
        return None
    assert isinstance(scores, Ref)
    found = _generations(workspace, scores)
    answers = [workspace.store.manifest(Ref.from_json(refs["rollouts"])) for refs in found.values()]
    return scores if all(item.producer["policy"] == done.start.digest for item in answers) else None


def _rows(workspace: Workspace, done: Done) -> Iterator[str]:
    graded, paired = (workspace.store.manifest(ref).summary for ref in (done.grades, done.rows))
    answers = done.rollouts.rows
    by_prompt = report.verdicts(workspace, {"grades": done.grades.to_json()})
    counts = {"right": graded.get("right"), "wrong": graded.get("wrong"), "no verdict": graded.get("unknown")}
    counts |= {"cut at the limit": graded.get("truncated")}
    verdicts = ", ".join(f"{n:,} {name} ({100 * n / answers:.1f} %)" for name, n in counts.items() if n is not None)
    yield f"{len(by_prompt):,} problems, {answers:,} answers: {verdicts}."
    left = ", ".join(f"{harmless(name)} {n:,}" for name, n in paired.items() if n and not name.startswith(NOT_LEFT))
    share = done.rows.rows / max(1, len(by_prompt))
    yield f"{done.rows.rows:,} {harmless(done.rows.kind)}, {share:.2f} for each problem; not used: {left or 'none'}."
    yield "Pass rate: problems by how many of their answers are right."
    yield _histogram(found.count(True) for found in by_prompt.values())


def _histogram(right: Iterable[int]) -> str:
    counts = Counter(right)
    most = max(counts.values())
    lines = [
        (str(n), f"{counts[n]:,}", "█" * round(BAR * counts[n] / most) or "▏" * bool(counts[n]))
        for n in range(max(counts) + 1)
    ]
    return _table(("right", "problems", ""), lines)


def _drift(policy: Checkpoint) -> str:
    curve = curve_of(policy)
    lines: list[tuple[str, ...]] = []
    for name in dict.fromkeys(name for point in curve for name in point if name.startswith(DRIFT)):
        values = [point[name] for point in curve if name in point]
        tail = values[-max(1, len(values) // 10) :]
        lines.append((harmless(name), f"{values[0]:.4g}", f"{sum(tail) / len(tail):.4g}"))
    head = ("metric", "first step", "last tenth of the steps")
    return _table(head, lines) if lines else "Nothing was recorded."


def _time(events: Sequence[dict[str, Any]]) -> str:
    lines = [
        (harmless(f"{event['label']} · {event['stage']}"), "cached" if event["cached"] else duration(event["seconds"]),
         duration(sum(child["start_up"] for child in event["children"])))
        for event in events
    ]  # fmt: skip
    return _table(("stage", "time", "of which start-up"), lines)


def _table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    rows = [head, ["---"] * len(head), *lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
