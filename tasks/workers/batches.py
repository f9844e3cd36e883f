"""From a table of rows to the micro-batches of each optimizer step, exactly and repeatably.

The plan is made once, for all processes, from row lengths and a seed. An item (a pair, an answer, or a group of
answers) is never split over optimizer steps; every epoch visits every item once; each micro-batch carries the counts
of its whole step, so gradients are normalised exactly whatever the number of processes or micro-batches.

Shapes: N sequences (2 per pair), L tokens of the longest sequence, T positions whose token may be trained on.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from tasks.workers.sequences import Sequences


@dataclass(frozen=True, slots=True)
class MicroBatch:
    """The rows of one forward pass of one process."""

    rows: tuple[int, ...]
    weight: float
    """1, or 0 for a filler that keeps the processes in step."""
    num_items: int
    """Pairs, answers or groups of the whole optimizer step."""
    num_tokens: int
    """Completion tokens of the whole optimizer step."""
    num_rows: int = 0
    """Rows of the whole optimizer step; 0: as many as items."""
    num_chosen_tokens: int = 0
    """Completion tokens of the chosen answers of the whole optimizer step."""


@dataclass(frozen=True, slots=True)
class Plan:
    """All micro-batches, in the order [step][accumulation][process]."""

    micro_batches: list[MicroBatch]
    accumulation: int
    """Forward passes per process and optimizer step."""
    num_steps: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """What a plan must know of the rows."""

    lengths: Sequence[int]
    """Completion tokens of each row."""
    chosen: Sequence[int] | None = None
    """Those of its chosen answer."""
    items: Sequence[Sequence[int]] | None = None
    """Rows of each item; None: each row is one."""
    whole_items: bool = False
    """All rows of an item share a forward pass."""
    ranks: Sequence[float] | None = None
    """[items] the items of an epoch come in this order, ties by seed; None: shuffled."""


def plan(
    rows: Rows | Sequence[int], *, batch_size: int, micro_batch: int, processes: int, epochs: int, seed: int
) -> Plan:
    """Deal rows (or their lengths alone) into optimizer steps of `batch_size` items.

    The last step of an epoch may be smaller. Inside a step rows of similar length share a forward pass, which
    costs nothing (the step's gradient is a sum) and saves padding.
    """
    rows = rows if isinstance(rows, Rows) else Rows(lengths=rows)
    items = rows.items or [[row] for row in range(len(rows.lengths))]
    batch_size = min(batch_size, len(items))
    steps: list[list[tuple[int, ...]]] = []
    for epoch in range(epochs):
        order = _order(rows, len(items), [seed, epoch])
        for start in range(0, len(order), batch_size):
            steps.append(_blocks(rows, [items[i] for i in order[start : start + batch_size]]))
    most = max(len(blocks) for blocks in steps)
    accumulation = -(-most // (micro_batch * processes))
    parts = accumulation * processes
    micro_batches = [
        micro
        for number, blocks in enumerate(steps)
        for micro in _dealt(rows, blocks, parts, _items_of(number, len(items), batch_size))
    ]
    return Plan(micro_batches, accumulation, len(steps))


def _order(rows: Rows, num_items: int, seed: list[int]) -> list[int]:
    shuffled = [int(i) for i in np.random.default_rng(seed).permutation(num_items)]
    return shuffled if rows.ranks is None else sorted(shuffled, key=rows.ranks.__getitem__)


def _items_of(step: int, num_items: int, batch_size: int) -> int:
    """Items of an optimizer step; the last of an epoch takes the rest."""
    per_epoch = -(-num_items // batch_size)
    return min(batch_size, num_items - (step % per_epoch) * batch_size)


def _blocks(rows: Rows, items: list[Sequence[int]]) -> list[tuple[int, ...]]:
    """The rows of a step in blocks that share a forward pass, short ones first."""
    blocks = [tuple(item) for item in items] if rows.whole_items else [(row,) for item in items for row in item]
    return sorted(blocks, key=lambda block: (sum(rows.lengths[row] for row in block), block))


def _dealt(rows: Rows, blocks: list[tuple[int, ...]], parts: int, num_items: int) -> list[MicroBatch]:
    """One micro-batch per part; a part that gets nothing takes the shortest block with weight 0."""
    step = [row for block in blocks for row in block]
    tokens = sum(rows.lengths[row] for row in step)
    chosen = sum(rows.chosen[row] for row in step) if rows.chosen else 0
    found: list[MicroBatch] = []
    for part in np.array_split(np.arange(len(blocks)), parts):
        dealt, weight = ([blocks[i] for i in part], 1.0) if len(part) else ([blocks[0]], 0.0)
        members = tuple(row for block in dealt for row in block)
        found.append(MicroBatch(members, weight, num_items, tokens, len(step), chosen))
    return found


def collate(
    sequences: Sequences,
    micro: MicroBatch,
    reference: Sequence[np.ndarray] | None,
    pad_id: int,
    old: Sequence[np.ndarray] | None = None,
) -> dict[str, Tensor | float | tuple[int, ...]]:
    """Right-pad the sequences of a micro-batch.

    `input_ids`, `attention_mask` are [N, L]; `mask` and what is named after log-probs or advantages is [N, T] over the
    last T positions of the labels, T = L - shortest prompt. `old` replaces the sampler's log-probs in the ratio.
    """
    indices = [i for row in micro.rows for i in sequences.of_row(row)]
    lengths = [len(sequences.prompts[i]) + len(sequences.completions[i]) for i in indices]
    first = min(len(sequences.prompts[i]) for i in indices)
    size, width = max(lengths), max(lengths) - first
    ids_NL = torch.full((len(indices), size), pad_id, dtype=torch.long)
    attention_NL = torch.zeros(len(indices), size, dtype=torch.long)
    mask_NT = torch.zeros(len(indices), width)
    places = [slice(len(sequences.prompts[i]) - first, lengths[n] - first) for n, i in enumerate(indices)]
    for n, i in enumerate(indices):
        ids = np.concatenate([sequences.prompts[i], sequences.completions[i]]).astype(np.int64)
        ids_NL[n, : lengths[n]] = torch.from_numpy(ids)
        attention_NL[n, : lengths[n]] = 1
        mask_NT[n, places[n]] = 1

    def placed(values: Sequence[np.ndarray] | None) -> Tensor:
        """[N, T] per-token values on the places of the completions, 0 elsewhere."""
        found_NT = torch.zeros_like(mask_NT)
        for n, i in enumerate(indices):
            if values is not None and len(values[i]):
                found_NT[n, places[n]] = torch.from_numpy(np.array(values[i], dtype=np.float32))
        return found_NT

    return {
        "input_ids": ids_NL,
        "attention_mask": attention_NL,
        "mask": mask_NT,
        "sampler_logprobs": placed(sequences.sampler_logprobs),
        "old_logprobs": placed(sequences.sampler_logprobs if old is None else old),
        "ref_logprobs": placed(reference),
        "advantages": placed(sequences.advantages),
        "weights": torch.full((len(indices),), micro.weight),
        **_per_sequence(sequences, micro, indices),
        "num_items": float(micro.num_items),
        "num_sequences": float((micro.num_rows or micro.num_items) * sequences.per_row),
        "num_tokens": float(micro.num_tokens),
        "num_chosen_tokens": float(micro.num_chosen_tokens),
        "rows": micro.rows,
    }


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
