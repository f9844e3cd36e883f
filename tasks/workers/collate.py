"""The tensors of one micro-batch: a packed stream, and beside it what the loss wants, padded.

Shapes: N sequences, T tokens of the longest completion.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tasks.workers.batches import MicroBatch
from tasks.workers.dealing import blocks_of
from tasks.workers.packing import pack, padded
from tasks.workers.sequences import Sequences


def collate(sequences: Sequences, micro: MicroBatch, *, share: bool = True) -> dict[str, Any]:
    """`packed`, `mask` [N, T], a [N, T] tensor of each column, and what is known of each sequence [N].

    `old_logprobs` are the sampler's where no column takes their place; `share=False` repeats prompts.
    """
    indices = [i for row in micro.rows for i in sequences.of_row(row)]
    packed = pack([sequences.prompts[i] for i in indices], [sequences.completions[i] for i in indices], share=share)

    def placed(values: list[np.ndarray]) -> Tensor:
        """[N, T]; 0 where there are none, as for demonstrations, which nobody sampled."""
        if any(len(values[i]) != len(sequences.completions[i]) for i in indices):
            return torch.zeros_like(packed.mask)
        flat = np.concatenate([values[i] for i in indices]).astype(np.float32)
        return padded(torch.from_numpy(flat), packed.mask)

    sampled = placed(sequences.sampler_logprobs)
    return {
        "packed": packed,
        "mask": packed.mask,
        "sampler_logprobs": sampled,
        "old_logprobs": sampled,
        **{name: placed(values) for name, values in sequences.columns.items()},
        "weights": torch.full((len(indices),), micro.weight),
        **_per_sequence(sequences, micro, indices),
        "num_items": float(micro.num_items),
        "num_sequences": float((micro.num_rows or micro.num_items) * sequences.per_row),
        "num_tokens": float(micro.num_tokens),
        "num_chosen_tokens": float(micro.num_chosen_tokens),
        "rows": micro.rows,
    }


def stretches(sequences: Sequences, rows: list[int], micro_tokens: int) -> Iterator[list[int]]:
    """Rows of one forward pass after the other, for scoring: those of a prompt together, the costliest first."""
    taken = sequences.take(rows)
    answers = [taken.completion_tokens(row) for row in range(len(taken))]
    prompts = [taken.prompt_tokens(row) for row in range(len(taken))]
    members: list[int] = []
    cost = 0
    for block in blocks_of(([row] for row in range(len(taken))), answers, prompts, taken.prompt_numbers, micro_tokens):
        if members and cost + block.cost > micro_tokens:
            yield members
            members, cost = [], 0
        members += [rows[row] for row in block.rows]
        cost += block.cost
    if members:
        yield members


def _per_sequence(sequences: Sequences, micro: MicroBatch, indices: list[int]) -> dict[str, Tensor]:
    """`right`, `rewards`, `groups` [N]; groups are numbered from 0 in this micro-batch."""
    rows = list(micro.rows)
    right = np.ones(len(indices), dtype=bool) if sequences.right is None else sequences.right[indices]
    rewards = np.zeros(len(indices)) if sequences.rewards is None else sequences.rewards[rows]
    groups = np.arange(len(indices)) if sequences.groups is None else sequences.groups[rows]
    _, numbered = np.unique(groups, return_inverse=True)
    return {
        "right": torch.from_numpy(right),
        "rewards": torch.from_numpy(rewards).float(),
        "groups": torch.from_numpy(numbered),
    }
