"""From a table of rows to the micro-batches of each optimizer step, exactly and repeatably.

The plan is made once, for all processes, from row lengths and a seed. A row (a pair is one row) is never
split; every epoch visits every row once; each micro-batch carries the item and token count of its whole
step, so gradients are normalised exactly whatever the number of processes or micro-batches.

Shapes: N sequences (2 per pair), L tokens of the longest sequence, T positions whose token may be trained on.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class MicroBatch:
    """The rows of one forward pass of one process."""

    rows: tuple[int, ...]
    weight: float
    """1, or 0 for a filler that keeps the processes in step."""
    num_items: int
    """Rows of the whole optimizer step."""
    num_tokens: int
    """Completion tokens of the whole optimizer step."""


@dataclass(frozen=True, slots=True)
class Plan:
    """All micro-batches, in the order [step][accumulation][process]."""

    micro_batches: list[MicroBatch]
    accumulation: int
    """Forward passes per process and optimizer step."""
    num_steps: int


def plan(lengths: Sequence[int], *, batch_size: int, micro_batch: int, processes: int, epochs: int, seed: int) -> Plan:
    """Deal rows with these completion lengths (tokens) into optimizer steps of `batch_size` rows.

    The last step of an epoch may be smaller. Inside a step rows of similar length share a forward pass, which
    costs nothing (the step's gradient is a sum) and saves padding.
    """
    batch_size = min(batch_size, len(lengths))
    accumulation = -(-batch_size // (micro_batch * processes))
    parts = accumulation * processes
    micro_batches: list[MicroBatch] = []
    for epoch in range(epochs):
        order = np.random.default_rng([seed, epoch]).permutation(len(lengths))
        for start in range(0, len(order), batch_size):
            step = sorted((int(i) for i in order[start : start + batch_size]), key=lambda i: (lengths[i], i))
            tokens = sum(lengths[i] for i in step)
            for part in np.array_split(np.array(step), parts):
                rows, weight = (tuple(part.tolist()), 1.0) if len(part) else ((step[0],), 0.0)
                micro_batches.append(MicroBatch(rows, weight, len(step), tokens))
    return Plan(micro_batches, accumulation, len(micro_batches) // parts)


@dataclass(frozen=True, slots=True)
class Sequences:
    """The token ids of all rows: one (prompt, completion, sampler log-probs) per answer."""

    prompts: list[np.ndarray]
    completions: list[np.ndarray]
    sampler_logprobs: list[np.ndarray]
    """Empty arrays where nothing was sampled (demonstrations)."""
    per_row: int
    """2 for pairs (chosen, rejected), 1 otherwise."""

    @classmethod
    def of(cls, table: pa.Table) -> "Sequences":
        """Take the ids out of a Pair or Accepted table, as they were sampled."""
        pairs = "chosen_ids" in table.column_names
        names = [("chosen_ids", "chosen_logprobs"), ("rejected_ids", "rejected_logprobs")]
        columns = names if pairs else [("completion_ids", "logprobs")]
        prompts = _arrays(table, "prompt_ids")
        completions, logprobs = (
            [array for row in zip(*(_arrays(table, pair[i]) for pair in columns), strict=True) for array in row]
            for i in range(2)
        )
        return cls([p for p in prompts for _ in columns], completions, logprobs, len(columns))

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.prompts) // self.per_row

    def take(self, rows: list[int]) -> "Sequences":
        """These rows only, in this order."""
        chosen = [i for row in rows for i in self.of_row(row)]
        prompts, completions, logprobs = (
            [part[i] for i in chosen] for part in (self.prompts, self.completions, self.sampler_logprobs)
        )
        return Sequences(prompts, completions, logprobs, self.per_row)

    def of_row(self, row: int) -> range:
        """Indices of the sequences of one row."""
        return range(row * self.per_row, (row + 1) * self.per_row)

    def completion_tokens(self, row: int) -> int:
        """Completion tokens of one row."""
        return sum(len(self.completions[i]) for i in self.of_row(row))

    def longest(self, row: int) -> int:
        """Tokens of the longest sequence of one row, prompt included."""
        return max(len(self.prompts[i]) + len(self.completions[i]) for i in self.of_row(row))


def _arrays(table: pa.Table, column: str) -> list[np.ndarray]:
    chunks = [chunk for chunk in table.column(column).chunks if len(chunk)]
    arrays: list[np.ndarray] = []
    for chunk in chunks:
        values = chunk.values.to_numpy(zero_copy_only=False)
        offsets = chunk.offsets.to_numpy()
        arrays += [values[a:b] for a, b in pairwise(offsets)]
    return arrays


def collate(
    sequences: Sequences, micro: MicroBatch, reference: Sequence[np.ndarray] | None, pad_id: int
) -> dict[str, Tensor | float | tuple[int, ...]]:
    """Right-pad the sequences of a micro-batch.

    `input_ids`, `attention_mask` are [N, L]; `mask`, `sampler_logprobs` and `ref_logprobs` are [N, T] over the
    last T positions of the labels, T = L - shortest prompt.
    """
    indices = [i for row in micro.rows for i in sequences.of_row(row)]
    lengths = [len(sequences.prompts[i]) + len(sequences.completions[i]) for i in indices]
    first = min(len(sequences.prompts[i]) for i in indices)
    size, width = max(lengths), max(lengths) - first
    ids_NL = torch.full((len(indices), size), pad_id, dtype=torch.long)
    attention_NL = torch.zeros(len(indices), size, dtype=torch.long)
    mask_NT, sampler_NT, ref_NT = (torch.zeros(len(indices), width) for _ in range(3))
    for n, i in enumerate(indices):
        prompt, completion = sequences.prompts[i], sequences.completions[i]
        ids_NL[n, : lengths[n]] = torch.from_numpy(np.concatenate([prompt, completion]).astype(np.int64))
        attention_NL[n, : lengths[n]] = 1
        place = slice(len(prompt) - first, lengths[n] - first)
        mask_NT[n, place] = 1
        if len(sequences.sampler_logprobs[i]):
            sampler_NT[n, place] = torch.from_numpy(sequences.sampler_logprobs[i].copy())
        if reference is not None:
            ref_NT[n, place] = torch.from_numpy(reference[i])
    return {
        "input_ids": ids_NL,
        "attention_mask": attention_NL,
        "mask": mask_NT,
        "sampler_logprobs": sampler_NT,
        "ref_logprobs": ref_NT,
        "weights": torch.full((len(indices),), micro.weight),
        "num_items": float(micro.num_items),
        "num_tokens": float(micro.num_tokens),
        "rows": micro.rows,
    }
