"""Stage 2: a verdict and a reward for each rollout, by rule."""

import logging
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import eval_math
from artifacts import Grade, Prompt, Ref, Rollout
from eval_math import rewards
from tasks.caching import Run, stage
from tasks.settings import Grading
from tasks.verdicts import graded

log = logging.getLogger(__name__)

VERDICT = {True: "right", False: "wrong", None: "unknown"}


def _code(inputs: dict[str, Any]) -> tuple[str, ...]:
    """The modules a grade depends on, with that of a user's own reward."""
    module, colon, _ = inputs["grading"].reward.partition(":")
    own = (module,) if colon else ()
    return ("tasks.grade", "tasks.verdicts", "eval_math", "eval_math.rewards", *own)


@stage("grade", code=_code)
def grade(rollouts: Ref[Rollout], prompts: Ref[Prompt], grading: Grading, seed: int, run: Run) -> Ref[Grade]:
    """Grade every rollout against its prompt's reference answers; the order is kept.

    A reference that cannot be read gives no verdict and no reward (None), never a wrong one.
    """
    store = run.workspace.store
    counts: Counter[str] = Counter()
    judged = graded(
        rollouts,
        prompts,
        eval_math.Policy.reward(),
        rewards.load(grading.reward, grading.reward_options),
        store,
        workers=run.machine.grade_workers,
        deadline=grading.deadline,
    )
    grades = _counted(judged, counts)
    if grading.shuffle:
        grades = _shuffled(grades, seed)
    producer = {"grading": grading.model_dump(mode="json")}
    with store.writer(Grade, parents=[rollouts.digest, prompts.digest], producer=producer) as writer:
        writer.write_many(grades)
        writer.summary.update({"rollouts": rollouts.rows, **counts})
    log.info(
        "%s · grade: %d rollouts -> %d right, %d wrong, %d without a verdict",
        run.label, rollouts.rows, counts["right"], counts["wrong"], counts["unknown"],
    )  # fmt: skip
    return writer.ref


def _counted(judged: Iterator[tuple[Rollout, Grade]], counts: "Counter[str]") -> Iterator[Grade]:
    for rollout, verdict in judged:
        counts[VERDICT[verdict.correct]] += 1
        counts[f"reason/{verdict.reason}"] += 1
        counts["tokens"] += len(rollout.completion_ids)
        counts["truncated"] += rollout.finish_reason == "length"
        yield verdict


def _shuffled(grades: Iterator[Grade], seed: int) -> Iterator[Grade]:
    """Hand the verdicts out anew, over all rollouts: same verdicts, no information."""
    rows = list(grades)
    verdicts = rows.copy()
    random.Random(seed).shuffle(verdicts)
    for row, other in zip(rows, verdicts, strict=True):
        yield replace(other, prompt_id=row.prompt_id, sample_index=row.sample_index)
