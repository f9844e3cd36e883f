"""Rows against the objective that is to train on them, before any child starts."""

from typing import Any

import numpy as np
import pyarrow as pa

from artifacts import Ref, Store
from tasks.objectives import Objective
from tasks.settings import Training

COLUMNS = {
    "pairs": ("prompt_id", "chosen_reward", "rejected_reward"),
    "accepted": ("prompt_id",),
    "groups": ("prompt_id", "sample_index", "reward", "completion_ids", "logprobs", "advantages"),
}


def check_rows(store: Store, rows: Ref[Any], objective: Objective, training: Training, has_reference: bool) -> None:
    """Refuse rows that this objective cannot be trained on; a batch of rows is in memory at a time.

    Raises:
        ValueError: another kind of rows, a column without values, equal rewards in a pair, a number that is none.
    """
    if rows.kind != objective.rows:
        raise ValueError(
            f"{objective.name} trains on {objective.rows}, found {rows.kind}; make {objective.rows} of the graded "
            "rollouts with the task `pair`"
        )
    if objective.needs_reference and not has_reference:
        raise ValueError(
            f"{objective.name} needs reference log-probabilities, and there is no reference policy; `train` makes them "
            "when it is given one: set reference=previous or reference=initial"
        )
    for batch in store.batches(rows, COLUMNS[objective.rows]):
        if objective.rows == "pairs":
            _check_pairs(batch)
        elif objective.rows == "groups":
            _check_groups(batch, objective, training)


def _check_pairs(batch: pa.RecordBatch) -> None:
    chosen, rejected = (_numbers(batch, f"{side}_reward") for side in ("chosen", "rejected"))
    for place in np.flatnonzero(~(chosen > rejected))[:1]:  # NaN is above nothing
        raise ValueError(
            f"a pair of prompt {batch.column('prompt_id')[int(place)]} has reward {chosen[place]:g} for the chosen "
            f"answer, which must be the greater one, and {rejected[place]:g} for the rejected one; make the pairs "
            "again with the task `pair`"
        )


def _check_groups(batch: pa.RecordBatch, objective: Objective, training: Training) -> None:
    rewards = _numbers(batch, "reward")
    for place in np.flatnonzero(~np.isfinite(rewards))[:1]:
        raise ValueError(
            f"the reward of {_answer(batch, place)} is {rewards[place]}: rewards are made by the task `grade`, and "
            "what has none becomes no row"
        )
    tokens = _lengths(batch, "completion_ids")
    needed = [("advantages", "advantages", "pair")]
    if "old_logprobs" in objective.columns and training.old_logprobs == "recorded":
        needed.append(("logprobs", "the sampler's log-probabilities", "sample"))
    for column, name, task in needed:
        for place in np.flatnonzero(_lengths(batch, column) != tokens)[:1]:
            raise ValueError(
                f"{objective.name} needs {name} on every token, and {_answer(batch, place)} has "
                f"{_lengths(batch, column)[place]} for {tokens[place]} tokens; they are made by the task `{task}`"
            )
        if not np.isfinite(batch.column(column).flatten().to_numpy(zero_copy_only=False)).all():
            raise ValueError(f"{name} of a group are not all finite numbers; they are made by the task `{task}`")


def _answer(batch: pa.RecordBatch, place: Any) -> str:
    return f"prompt {batch.column('prompt_id')[int(place)]}, sample {batch.column('sample_index')[int(place)]}"


def _numbers(batch: pa.RecordBatch, column: str) -> np.ndarray:
    return batch.column(column).to_numpy(zero_copy_only=False)


def _lengths(batch: pa.RecordBatch, column: str) -> np.ndarray:
    values: pa.ListArray = batch.column(column)  # type: ignore[assignment]
    return values.value_lengths().to_numpy(zero_copy_only=False)
