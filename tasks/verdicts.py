"""Rollouts against reference answers, streamed: what `grade` and `evaluate` share."""

from collections.abc import Iterator

import eval_math
from artifacts import Grade, Prompt, Ref, Rollout, Store
from eval_math.rewards import Reward


def graded(
    rollouts: Ref[Rollout],
    prompts: Ref[Prompt],
    policy: eval_math.Policy,
    reward: Reward,
    store: Store,
    *,
    workers: int | None,
    deadline: float,
) -> Iterator[tuple[Rollout, Grade]]:
    """Yield each rollout with its grade, in the table's order; memory does not grow with the table."""

    def cases() -> Iterator[tuple[str, list[str]]]:
        questions = store.read(prompts, Prompt)
        prompt = next(questions)
        for rollout in store.read(rollouts, Rollout):
            while prompt.prompt_id != rollout.prompt_id:  # both tables are in prompt order
                prompt = next(questions)
            yield rollout.text, prompt.answers

    verdicts = eval_math.grade_many(cases(), policy, workers=workers, deadline=deadline)
    for rollout, verdict in zip(store.read(rollouts, Rollout), verdicts, strict=True):
        yield (
            rollout,
            Grade(
                prompt_id=rollout.prompt_id,
                sample_index=rollout.sample_index,
                correct=verdict.correct,
                reward=reward(verdict, rollout.text),
                reason=verdict.reason.value,
                answer=verdict.answer,
            ),
        )
