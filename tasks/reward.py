"""Between `grade` and `pair`, where the config names a reward model: its score joins the rule's reward."""

import logging
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from artifacts import Grade, Ref, TokenScores
from tasks.caching import Run, stage
from tasks.settings import RewardModel

log = logging.getLogger(__name__)


@stage("reward", code=lambda _: ("tasks.reward",))
def reward(grades: Ref[Grade], scored: Ref[TokenScores], blend: RewardModel, run: Run) -> Ref[Grade]:
    """Return the grades with reward = rule_weight * rule + weight * (score - mean) / std; verdicts stay.

    The score of an answer is that after its last token. What has no reward gets none.

    Raises:
        ValueError: the scores are of other rollouts.
    """
    store = run.workspace.store
    with store.writer(Grade, parents=[grades.digest, scored.digest], producer=blend.model_dump(mode="json")) as writer:
        writer.write_many(_blended(store.read(grades, Grade), store.read(scored, TokenScores), blend))
    log.info("%s · reward: %d rewards of the rule joined by a model's", run.label, writer.ref.rows)
    return writer.ref


def _blended(grades: Iterator[Grade], scores: Iterator[Any], blend: RewardModel) -> Iterator[Grade]:
    for grade in grades:
        score = next(scores, None)
        if score is None or score.prompt_id != grade.prompt_id:
            raise ValueError(f"the scores are of other rollouts than the grades: at prompt {grade.prompt_id}")
        if grade.reward is None or not score.values:
            yield grade
            continue
        of_model = (score.values[-1] - blend.mean) / blend.std
        yield replace(grade, reward=blend.rule_weight * grade.reward + blend.weight * of_model)
