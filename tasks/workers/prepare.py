"""What is settled about the rows of a training run before its first step: which fit, their advantages, their order."""

from dataclasses import replace

import numpy as np

from tasks.objectives import Objective, Rollouts
from tasks.workers.batches import Rows
from tasks.workers.failure import BadInput
from tasks.workers.sequences import Sequences


def with_final_advantages(
    objective: Objective, sequences: Sequences, reference: list[np.ndarray] | None, old: list[np.ndarray] | None
) -> Sequences:
    """Advantages in which the reference takes part: they can be known only now, and of all rows at once."""
    if "rewards" not in objective.columns or reference is None or sequences.advantages is None:
        return sequences
    assert sequences.rewards is not None
    assert sequences.groups is not None
    rollouts = Rollouts(
        rewards=sequences.rewards,
        advantages=sequences.advantages,
        old_logprobs=sequences.sampler_logprobs if old is None else old,
        ref_logprobs=reference,
        groups=sequences.groups,
    )
    return replace(sequences, advantages=objective.final_advantages(rollouts))


def rows_of(sequences: Sequences, objective: Objective, order: str) -> Rows:
    """What the plan must know of the rows.

    Raises:
        BadInput: an order by difficulty is asked for, but nobody sampled the rows' prompts.
    """
    count, items = len(sequences), sequences.items()
    ranks = None
    if order != "shuffled":
        if sequences.pass_rates is None or np.isnan(sequences.pass_rates).any():
            raise BadInput(
                f"the rows carry no pass rate, which train.order={order} goes by", "use train.order=shuffled"
            )
        sign = -1.0 if order == "easy_first" else 1.0
        ranks = [sign * float(sequences.pass_rates[item[0]]) for item in items]
    return Rows(
        lengths=[sequences.completion_tokens(row) for row in range(count)],
        chosen=[sequences.chosen_tokens(row) for row in range(count)],
        items=items,
        whole_items=objective.whole_groups,
        ranks=ranks,
    )


def short_enough(sequences: Sequences, max_length: int | None) -> tuple[Sequences, int]:
    """Keep the rows whose longest sequence fits; return them and how many were dropped.

    Raises:
        BadInput: no row fits.
    """
    kept = [row for row in range(len(sequences)) if max_length is None or sequences.longest(row) <= max_length]
    if not kept:
        raise BadInput(f"all {len(sequences)} rows are longer than train.max_length={max_length}", "raise it")
    return (sequences if len(kept) == len(sequences) else sequences.take(kept)), len(sequences) - len(kept)
