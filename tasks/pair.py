"""Stage 3: graded rollouts become training rows: pairs for DPO, accepted answers for RAFT."""

import logging
import random
from collections import Counter
from collections.abc import Iterator
from typing import Any

from artifacts import Accepted, Grade, Pair, Ref, Rollout
from tasks.caching import Run, stage
from tasks.objectives import RowKind
from tasks.settings import Pairing

log = logging.getLogger(__name__)

Graded = tuple[Rollout, Grade]


class NoRows(ValueError):
    """Nothing to train on: the message says why and what to change."""


@stage("pair", code=lambda _: ("tasks.pair",))
def pair(rollouts: Ref[Rollout], grades: Ref[Grade], pairing: Pairing, rows: RowKind, seed: int, run: Run) -> Ref[Any]:
    """Return the table of `rows` made of these rollouts, every prompt or answer that is left out counted.

    Raises:
        NoRows: no prompt yields a row.
    """
    store = run.workspace.store
    counts: Counter[str] = Counter()
    build, row_type = (pairs_of, Pair) if rows == "pairs" else (accepted_of, Accepted)
    producer = {"pairing": pairing.model_dump(mode="json"), "seed": seed}

    def built() -> Iterator[Any]:
        verdicts = store.read(grades, Grade)
        for group in store.grouped(rollouts, Rollout):
            counts["prompts"] += 1
            graded = [(rollout, _grade_of(rollout, next(verdicts, None))) for rollout in group]
            found = build(usable(graded, pairing, counts), pairing, random.Random(f"{seed}:{group[0].prompt_id}"))
            if not found:
                counts[why_none(graded)] += 1
            yield from found

    with store.writer(
        row_type, parents=[rollouts.digest, grades.digest], producer=producer, allow_empty=True
    ) as writer:
        writer.write_many(built())
        writer.summary.update(counts)
    dropped = ", ".join(f"{name} {number}" for name, number in sorted(counts.items()) if name != "prompts")
    log.info(
        "%s · pair: %d prompts -> %d %s (dropped: %s)",
        run.label,
        counts["prompts"],
        writer.ref.rows,
        rows,
        dropped,
    )
    if not writer.ref.rows:
        raise NoRows(_advice(rows, counts, str(run.workspace.root / "store" / rollouts.path), dropped))
    return writer.ref


def _grade_of(rollout: Rollout, grade: Grade | None) -> Grade:
    """The grade that stands at a rollout's place, if it is that rollout's."""
    if grade is None or (grade.prompt_id, grade.sample_index) != (rollout.prompt_id, rollout.sample_index):
        raise ValueError(
            f"the grades are of other rollouts: expected one of prompt {rollout.prompt_id}, sample "
            f"{rollout.sample_index}, found {grade}; grade these rollouts"
        )
    return grade


def usable(graded: list[Graded], pairing: Pairing, counts: "Counter[str]") -> list[Graded]:
    """Answers that may become rows: with a reward, and finished unless the config says otherwise."""
    kept: list[Graded] = []
    for rollout, grade in graded:
        if grade.reward is None or grade.correct is None:
            counts["answers: no verdict"] += 1
        elif pairing.drop_truncated and rollout.finish_reason == "length":
            counts["answers: truncated"] += 1
        else:
            kept.append((rollout, grade))
    return kept


def pairs_of(graded: list[Graded], pairing: Pairing, rng: random.Random) -> list[Pair]:
    """Best against worst, second best against second worst, ...: no answer twice, ties drawn by `rng`.

    Chosen is always right and rejected always wrong, whatever the reward: a boxed wrong answer that a reward
    prefers to an unboxed one would otherwise be taught.
    """
    shuffled = rng.sample(graded, len(graded))
    right = sorted((g for g in shuffled if g[1].correct), key=_reward, reverse=True)
    wrong = sorted((g for g in shuffled if not g[1].correct), key=_reward)
    best_and_worst = list(zip(right, wrong, strict=False))[: pairing.pairs_per_prompt]
    return [_pair(chosen, rejected) for chosen, rejected in best_and_worst if _reward(chosen) > _reward(rejected)]


def accepted_of(graded: list[Graded], pairing: Pairing, rng: random.Random) -> list[Accepted]:
    """Right answers of one prompt, at most `accepted_per_prompt`, drawn by `rng`.

    Repeats count as often as they were sampled, unless `distinct`: a common way of being right weighs more.
    """
    right = [rollout for rollout, grade in graded if grade.correct]
    if pairing.distinct:
        right = list({tuple(rollout.completion_ids): rollout for rollout in right}.values())
    kept = rng.sample(right, min(len(right), pairing.accepted_per_prompt or len(right)))
    return [
        Accepted(
            prompt_id=rollout.prompt_id,
            sample_index=rollout.sample_index,
            prompt_ids=rollout.prompt_ids,
            completion_ids=rollout.completion_ids,
            logprobs=rollout.logprobs,
        )
        for rollout in sorted(kept, key=lambda rollout: rollout.sample_index)
    ]


def why_none(graded: list[Graded]) -> str:
    """Why a prompt gave no row."""
    verdicts = {grade.correct for _, grade in graded}
    if verdicts == {True}:
        return "all right"
    if verdicts == {False}:
        return "all wrong"
    if verdicts == {None}:
        return "no verdict"
    return "no usable contrast"


def _reward(graded: Graded) -> float:
    reward = graded[1].reward
    assert reward is not None  # `usable` has taken the others out
    return reward


def _pair(chosen: Graded, rejected: Graded) -> Pair:
    return Pair(
        prompt_id=chosen[0].prompt_id,
        prompt_ids=chosen[0].prompt_ids,
        chosen_index=chosen[0].sample_index,
        rejected_index=rejected[0].sample_index,
        chosen_ids=chosen[0].completion_ids,
        rejected_ids=rejected[0].completion_ids,
        chosen_logprobs=chosen[0].logprobs,
        rejected_logprobs=rejected[0].logprobs,
        chosen_reward=_reward(chosen),
        rejected_reward=_reward(rejected),
    )


def _advice(rows: RowKind, counts: "Counter[str]", rollouts: str, dropped: str) -> str:
    if counts["all right"] > counts["all wrong"]:
        change = "the prompts are too easy: use harder ones, or raise sample.temperature"
    elif counts["all wrong"]:
        change = (
            "the prompts are too hard or the answer format is not met: look at some rollouts, set template.suffix, "
            "raise sample.max_tokens or sample.samples_per_prompt, or warm up first"
        )
    else:
        change = "raise sample.max_tokens, or check the reference answers"
    return (
        f"no {rows} from {counts['prompts']} prompts (dropped: {dropped}): {change}. The rollouts are kept: {rollouts}"
    )
