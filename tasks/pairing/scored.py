"""What frozen models said of the rows, against the objective that is to train on them."""

from collections.abc import Mapping
from itertools import islice
from typing import Any

from artifacts import Ref, Store, TokenScores
from tasks.objectives import COLUMNS, SCORED, Column, Objective
from tasks.settings import Training


def scored_columns(objective: Objective, training: Training) -> list[Column]:
    """The columns that the stage `score` has to make; recorded log-probabilities need no further pass."""
    recorded = {
        "old_logprobs": training.old_logprobs == "recorded",
        "ref_logprobs": training.reference_logprobs == "recorded",
    }
    return [column for column in SCORED if column in objective.columns and not recorded.get(column, False)]


def check_scored(
    store: Store,
    rows: Ref[Any],
    objective: Objective,
    training: Training,
    scored: Mapping[str, Ref[TokenScores]],
    reference: str | None,
) -> None:
    """Refuse columns that are missing, or were made of other rows or by another reference than `reference`, a digest.

    Raises:
        ValueError: says which column and which stage makes it.
    """
    for column in scored_columns(objective, training):
        if column not in scored:
            raise ValueError(f"{objective.name} needs {COLUMNS[column]}; make them with the task `score`")
    for column, ref in scored.items():
        for batch in islice(store.batches(ref, ("scored_rows", "model")), 1):
            of_rows, model = (batch.column(name)[0].as_py() for name in ("scored_rows", "model"))
            if of_rows != rows.digest:
                raise ValueError(
                    f"the column {column} was made of the rows {of_rows[:12]}, and these are {rows.digest[:12]}; make "
                    "it of these with the task `score`"
                )
            if column == "ref_logprobs" and model != reference:
                raise ValueError(
                    f"the column ref_logprobs is of checkpoint {model[:12]}, and the reference policy is "
                    f"{str(reference)[:12]}; make it of that one with the task `score`"
                )
