"""Which answers and which prompts may become rows, and why the others may not."""

import math
from collections import Counter

from artifacts import Grade, Rollout
from tasks.settings import Pairing

Graded = tuple[Rollout, Grade]

OUT_OF_BAND = "pass rate outside the band"


def usable(graded: list[Graded], pairing: Pairing, counts: "Counter[str]") -> list[Graded]:
    """Answers that may become rows: with a reward, and finished unless the config says otherwise.

    Raises:
        ValueError: a reward is not a number.
    """
    kept: list[Graded] = []
    for rollout, grade in graded:
        if grade.reward is None or grade.correct is None:
            counts["answers: no verdict"] += 1
        elif not math.isfinite(grade.reward):
            raise ValueError(
                f"the reward of prompt {rollout.prompt_id}, sample {rollout.sample_index} is {grade.reward}: a reward "
                "is a finite number, or None where there is no verdict; mend the function named by grade.reward"
            )
        elif pairing.drop_truncated and rollout.finish_reason == "length":
            counts["answers: truncated"] += 1
        else:
            kept.append((rollout, grade))
    return kept


def reward_of(graded: Graded) -> float:
    """The reward of a usable answer."""
    assert graded[1].reward is not None
    return graded[1].reward


def pass_rate(graded: list[Graded]) -> float | None:
    """Share of right answers among those with a verdict; None without any. Cut answers count, as wrong."""
    verdicts = [grade.correct for _, grade in graded if grade.correct is not None]
    return sum(verdicts) / len(verdicts) if verdicts else None


def in_band(rate: float | None, pairing: Pairing) -> bool:
    """Whether a prompt is of the difficulty that is asked for."""
    return rate is None or pairing.min_pass_rate <= rate <= pairing.max_pass_rate


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
