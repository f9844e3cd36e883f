"""Right answers to imitate."""

import random
from collections import Counter

from artifacts import Accepted
from tasks.pairing.answers import Graded, pass_rate, reward_of
from tasks.settings import Pairing


def accepted_of(
    graded: list[Graded],
    pairing: Pairing,
    rng: random.Random,
    counts: "Counter[str] | None" = None,
    rate: float | None = None,
) -> list[Accepted]:
    """Right answers of one prompt, at most `accepted_per_prompt`: drawn by `rng`, or the best by reward.

    Repeats count as often as they were sampled, unless `distinct`: a common way of being right weighs more.
    """
    counts = Counter() if counts is None else counts
    rate = pass_rate(graded) if rate is None else rate
    right = [answer for answer in graded if answer[1].correct]
    if pairing.distinct:
        once = list({tuple(answer[0].completion_ids): answer for answer in right}.values())
        counts["answers: repeats"] += len(right) - len(once)
        right = once
    drawn = rng.sample(right, min(len(right), pairing.accepted_per_prompt or len(right)))
    if pairing.accept == "best":
        drawn = sorted(rng.sample(right, len(right)), key=reward_of, reverse=True)[: len(drawn)]
    counts["answers: right, beyond accepted_per_prompt"] += len(right) - len(drawn)
    return [
        Accepted(
            prompt_id=rollout.prompt_id,
            sample_index=rollout.sample_index,
            prompt_ids=rollout.prompt_ids,
            completion_ids=rollout.completion_ids,
            logprobs=rollout.logprobs,
            pass_rate=rate,
        )
        for rollout, _ in sorted(drawn, key=lambda answer: answer[0].sample_index)
    ]
