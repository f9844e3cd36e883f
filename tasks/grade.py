"""Stage 2: a verdict and a reward for each rollout, by rule."""

import logging
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import eval_math
from artifacts import Grade, Prompt, Ref, Rollout, Store, read_part
from tasks.caching import Run, stage
from tasks.settings import Grading
from tasks.verdicts import Rule, finished_parts, graded

log = logging.getLogger(__name__)

VERDICT = {True: "right", False: "wrong", None: "unknown"}


def rule_of(grading: Grading) -> Rule:
    """What decides the grade of an answer; the shuffle comes after."""
    return Rule(eval_math.Policy.reward(), grading.reward, grading.reward_options, grading.deadline)


@stage("grade", code=lambda inputs: ("tasks.grade", *rule_of(inputs["grading"]).code))
def grade(rollouts: Ref[Rollout], prompts: Ref[Prompt], grading: Grading, seed: int, run: Run) -> Ref[Grade]:
    """Grade every rollout against its prompt's reference answers; one part of grades per part of rollouts.

    Parts that were graded while others were sampled, or by an attempt that was killed, are not graded again. A
    reference that cannot be read gives no verdict and no reward (None), never a wrong one.
    """
    store = run.workspace.store
    workers = run.machine.grade_workers
    parts = finished_parts(rollouts, prompts, rule_of(grading), run.workspace, run.workdir, workers, run.label)
    counts = _counts(rollouts, parts, store)
    producer = {"grading": grading.model_dump(mode="json")}
    with store.writer(Grade, parents=[rollouts.digest, prompts.digest], producer=producer) as writer:
        if grading.shuffle:
            writer.write_many(_shuffled(parts, seed))
        else:
            for part in parts:
                writer.adopt(part)
        writer.summary.update({"rollouts": rollouts.rows, **counts})
    log.info(
        "%s · grade: %d rollouts -> %d right, %d wrong, %d without a verdict",
        run.label, rollouts.rows, counts["right"], counts["wrong"], counts["unknown"],
    )  # fmt: skip
    return writer.ref


def _counts(rollouts: Ref[Rollout], parts: Sequence[Path], store: Store) -> Counter[str]:
    counts: Counter[str] = Counter()
    for rollout, verdict in graded(rollouts, parts, store):
        counts[VERDICT[verdict.correct]] += 1
        counts[f"reason/{verdict.reason}"] += 1
        counts["tokens"] += len(rollout.completion_ids)
        counts["truncated"] += rollout.finish_reason == "length"
    return counts


def _shuffled(parts: Sequence[Path], seed: int) -> Iterator[Grade]:
    """Hand the verdicts out anew, over all rollouts: same verdicts, no information."""
    rows = [row for part in parts for row in read_part(part, Grade)]
    verdicts = rows.copy()
    random.Random(seed).shuffle(verdicts)
    for row, other in zip(rows, verdicts, strict=True):
        yield replace(other, prompt_id=row.prompt_id, sample_index=row.sample_index)
