"""All answers to one prompt, each with its advantage on every token."""

from collections import Counter

from artifacts import Group
from tasks.pairing.advantages import NEED_GROUP, advantages
from tasks.pairing.answers import Graded, pass_rate, reward_of
from tasks.pairing.process import Decode, Steps, process_advantages, steps_of
from tasks.settings import Pairing

ONE_ANSWER = "fewer than two usable answers"
UNIFORM = "equal rewards"
OTHER_TEXT = "answers: text is not that of the tokens"


def groups_of(
    graded: list[Graded],
    pairing: Pairing,
    counts: "Counter[str] | None" = None,
    rate: float | None = None,
    decode: Decode | None = None,
) -> list[Group] | str:
    """The rows of a group, in the order of sampling, or the reason why there are none.

    Where all rewards (of process supervision: of all steps) are equal nothing tells the answers apart; such groups are
    kept (the KL term acts on them) and counted, or dropped with `uniform_groups: drop`.
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
    steps: list[Steps] = []
    if kind == "process":
        graded, steps = _with_steps(graded, decode, counts)
    if len(graded) < (2 if kind in NEED_GROUP else 1):
        return ONE_ANSWER
    rewards = [reward_of(answer) for answer in graded]
    compared = [reward for of_answer in steps for reward in of_answer.rewards] or rewards
    if min(compared) == max(compared):
        if pairing.uniform_groups == "drop":
            return UNIFORM
        counts["kept: groups of equal rewards"] += 1
    lengths = [len(rollout.completion_ids) for rollout, _ in graded]
    scaling = {"ddof": pairing.advantage_ddof, "eps": pairing.advantage_eps}
    if kind == "process":
        found = process_advantages([s.rewards for s in steps], [s.ends for s in steps], lengths, **scaling)
    else:
        right = [bool(grade.correct) for _, grade in graded]
        per_answer = advantages(kind, rewards, right, **scaling)
        found = [[advantage] * length for advantage, length in zip(per_answer, lengths, strict=True)]
    return [_group(answer, advantage, rate) for answer, advantage in zip(graded, found, strict=True)]


def _with_steps(
    graded: list[Graded], decode: Decode | None, counts: "Counter[str]"
) -> tuple[list[Graded], list[Steps]]:
    """The answers whose steps are known, and those steps.

    Raises:
        ValueError: nothing was given that turns tokens into text.
    """
    if decode is None:
        raise ValueError(
            "pair.advantage=process needs the rewards of the steps, and there is no tokenizer that says which tokens "
            "a step ends with; give the task `pair` the model as `tokenizer`"
        )
    found = [(answer, steps_of(answer[0], bool(answer[1].correct), decode)) for answer in graded]
    known = [(answer, steps) for answer, steps in found if steps is not None]
    counts[OTHER_TEXT] += len(found) - len(known)
    return [answer for answer, _ in known], [steps for _, steps in known]


def _group(answer: Graded, advantages: list[float], rate: float | None) -> Group:
    rollout, grade = answer
    return Group(
        prompt_id=rollout.prompt_id,
        sample_index=rollout.sample_index,
        prompt_ids=rollout.prompt_ids,
        completion_ids=rollout.completion_ids,
        logprobs=rollout.logprobs,
        reward=reward_of(answer),
        correct=bool(grade.correct),
        advantages=advantages,
        pass_rate=rate,
    )
