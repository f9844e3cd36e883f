"""All answers to one prompt, each with its advantage on every token."""

from collections import Counter

from artifacts import Group
from tasks.pairing.advantages import NEED_CONTRAST, advantages
from tasks.pairing.answers import Graded, pass_rate, reward_of
from tasks.settings import Pairing

ONE_ANSWER = "fewer than two usable answers"
UNIFORM = "equal rewards"


def groups_of(
    graded: list[Graded], pairing: Pairing, counts: "Counter[str] | None" = None, rate: float | None = None
) -> list[Group] | str:
    """The rows of a group, in the order of sampling, or the reason why there are none.

    Where all rewards are equal nothing tells the answers apart; such groups are kept (the KL term acts on them) and
    counted, or dropped with `uniform_groups: drop`.
    """
    counts = Counter() if counts is None else counts
    rate = pass_rate(graded) if rate is None else rate
    kind = pairing.advantage
    if kind is None:
        raise ValueError("pair.advantage is not set: groups need to know what to make of the rewards")
    if pairing.distinct:
        once = list({tuple(rollout.completion_ids): (rollout, grade) for rollout, grade in graded}.values())
        counts["answers: repeats"] += len(graded) - len(once)
        graded = once
    if len(graded) < (2 if kind in NEED_CONTRAST else 1):
        return ONE_ANSWER
    rewards = [reward_of(answer) for answer in graded]
    if min(rewards) == max(rewards):
        if pairing.uniform_groups == "drop":
            return UNIFORM
        counts["kept: groups of equal rewards"] += 1
    right = [bool(grade.correct) for _, grade in graded]
    found = advantages(kind, rewards, right, ddof=pairing.advantage_ddof, eps=pairing.advantage_eps)
    return [_group(answer, advantage, rate) for answer, advantage in zip(graded, found, strict=True)]


def _group(answer: Graded, advantage: float, rate: float | None) -> Group:
    rollout, grade = answer
    return Group(
        prompt_id=rollout.prompt_id,
        sample_index=rollout.sample_index,
        prompt_ids=rollout.prompt_ids,
        completion_ids=rollout.completion_ids,
        logprobs=rollout.logprobs,
        reward=reward_of(answer),
        correct=bool(grade.correct),
        advantages=[advantage] * len(rollout.completion_ids),
        pass_rate=rate,
    )
