"""From a table of rows to the micro-batches of each optimizer step, exactly and repeatably.

The plan is made once, for all processes, from row lengths and a seed. An item (a pair, an answer, or a group of
answers) is never split over optimizer steps; every epoch visits every item once; each micro-batch carries the counts
of its whole step, so gradients are normalised exactly whatever the number of processes or micro-batches. DeepSpeed
wants equally many micro-batches in every step: as many as the fullest step needs within `micro_tokens`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tasks.workers.dealing import Block, blocks_of, deal, parts_needed


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
    prompts: Sequence[int] | None = None
    """Prompt tokens of each row; None: none."""
    numbers: Sequence[int] | None = None
    """Which prompt each row has; None: each its own."""
    items: Sequence[Sequence[int]] | None = None
    """Rows of each item, which have one prompt; None: each row is one."""
    whole_items: bool = False
    """All rows of an item share a forward pass."""
    ranks: Sequence[float] | None = None
    """[items] the items of an epoch come in this order, ties by seed; None: shuffled."""


def plan(
    rows: Rows | Sequence[int], *, batch_size: int, micro_tokens: int, processes: int, epochs: int, seed: int
) -> Plan:
    """Deal rows (or their lengths alone) into optimizer steps of `batch_size` items.

    The last step of an epoch may be smaller. Inside a step rows of one prompt share a forward pass as far as
    `micro_tokens` allows, and the forward passes take about equally many tokens.
    """
    rows = rows if isinstance(rows, Rows) else Rows(lengths=rows)
    items = rows.items or [[row] for row in range(len(rows.lengths))]
    prompts, numbers = rows.prompts or [0] * len(rows.lengths), rows.numbers or range(len(rows.lengths))
    batch_size = min(batch_size, len(items))
    steps: list[list[Block]] = []
    sizes: list[int] = []
    for epoch in range(epochs):
        order = _order(rows, len(items), [seed, epoch])
        for start in range(0, len(order), batch_size):
            taken = [items[i] for i in order[start : start + batch_size]]
            steps.append(blocks_of(taken, rows.lengths, prompts, numbers, micro_tokens, whole=rows.whole_items))
            sizes.append(len(taken))
    parts = parts_needed(steps, micro_tokens, processes)
    micro_batches = [
        micro for blocks, size in zip(steps, sizes, strict=True) for micro in _dealt(rows, blocks, parts, size)
    ]
    return Plan(micro_batches, parts // processes, len(steps))


def _order(rows: Rows, num_items: int, seed: list[int]) -> list[int]:
    shuffled = [int(i) for i in np.random.default_rng(seed).permutation(num_items)]
    return shuffled if rows.ranks is None else sorted(shuffled, key=rows.ranks.__getitem__)


def _dealt(rows: Rows, blocks: list[Block], parts: int, num_items: int) -> list[MicroBatch]:
    """One micro-batch per part; a part that gets nothing takes the cheapest rows of the step with weight 0."""
    step = [row for block in blocks for row in block.rows]
    tokens = sum(rows.lengths[row] for row in step)
    chosen = sum(rows.chosen[row] for row in step) if rows.chosen else 0
    filler = blocks[-1].rows if rows.whole_items else (min(blocks[-1].rows, key=rows.lengths.__getitem__),)
    found: list[MicroBatch] = []
    for part in deal(blocks, parts):
        members, weight = (tuple(row for block in part for row in block.rows), 1.0) if part else (filler, 0.0)
        found.append(MicroBatch(members, weight, num_items, tokens, len(step), chosen))
    return found
