"""What is settled about the rows of a training run before its first step: which fit, their columns, their order."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from tasks.objectives import COLUMNS, Objective, Rollouts
from tasks.workers.batches import Rows
from tasks.workers.failure import BadInput
from tasks.workers.sequences import Sequences

AGAIN = "the scores are of other rows: refresh the stage `score`"


def with_scores(sequences: Sequences, scored: Mapping[str, Sequence[np.ndarray]]) -> Sequences:
    """Join what frozen models have said of each token.

    Raises:
        BadInput: the scores are not of these sequences.
    """
    for name, values in scored.items():
        if len(values) != len(sequences.prompts):
            raise BadInput(f"{name} scores {len(values)} answers, the rows hold {len(sequences.prompts)}", AGAIN)
        for i, (found, tokens) in enumerate(zip(values, sequences.completions, strict=True)):
            if len(found) != len(tokens):
                row = sequences.name(i // sequences.per_row)
                raise BadInput(f"{name} has {len(found)} numbers for the {len(tokens)} tokens of {row}", AGAIN)
    return replace(sequences, columns={**sequences.columns, **{name: list(values) for name, values in scored.items()}})


def with_recorded_reference(objective: Objective, sequences: Sequences, reference_logprobs: str) -> Sequences:
    """The sampler's log-probabilities as those of the reference, where the config says that it is the same policy.

    Raises:
        BadInput: the rows were not sampled.
    """
    needed = "ref_logprobs" in objective.columns and "ref_logprobs" not in sequences.columns
    if not needed or reference_logprobs != "recorded":
        return sequences
    if any(len(a) != len(b) for a, b in zip(sequences.sampler_logprobs, sequences.completions, strict=True)):
        raise BadInput(
            "nobody sampled the rows, so no log-probability is recorded", "train.reference_logprobs=recompute"
        )
    return replace(sequences, columns={**sequences.columns, "ref_logprobs": sequences.sampler_logprobs})


def with_final_columns(objective: Objective, sequences: Sequences) -> Sequences:
    """Columns that are made of all rows at once, such as advantages in which the reference takes part.

    Raises:
        BadInput: a column that the objective needs is still missing.
    """
    columns = sequences.columns
    if objective.rows == "groups" and type(objective).final_columns is not Objective.final_columns:
        assert sequences.rewards is not None
        assert sequences.groups is not None
        rollouts = Rollouts(
            rewards=sequences.rewards,
            advantages=columns["advantages"],
            old_logprobs=columns.get("old_logprobs", sequences.sampler_logprobs),
            ref_logprobs=columns.get("ref_logprobs"),
            values=columns.get("values"),
            dpo_logprobs=columns.get("dpo_logprobs"),
            dpo_ref_logprobs=columns.get("dpo_ref_logprobs"),
            groups=sequences.groups,
        )
        columns = {**columns, **objective.final_columns(rollouts)}
    there = {*columns, "old_logprobs", "rewards", "ref_kl"}
    if missing := [COLUMNS[name] for name in objective.columns if name not in there]:
        raise BadInput(f"{objective.name} needs {', '.join(missing)}, and the job brings none")
    return replace(sequences, columns=columns)


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
        prompts=[sequences.prompt_tokens(row) for row in range(count)],
        numbers=sequences.prompt_numbers,
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
