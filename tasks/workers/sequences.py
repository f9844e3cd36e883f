"""The token ids of a table of rows, and what stands beside them, as arrays.

Shapes: P prompt tokens, C completion tokens of one sequence.
"""

from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Sequences:
    """One (prompt, completion, sampler log-probs) per answer; the answers of one row lie next to each other."""

    prompts: list[np.ndarray]
    """[P] each"""
    completions: list[np.ndarray]
    """[C] each"""
    sampler_logprobs: list[np.ndarray]
    """[C] each; empty where nothing was sampled (demonstrations)."""
    per_row: int
    """2 for pairs (chosen, rejected), 1 otherwise."""
    right: np.ndarray | None = None
    """[sequences] whether the answer is right (chosen); None: all are."""
    names: list[str] | None = None
    """[rows] for messages: the prompt's id and which of its samples."""
    prompt_keys: np.ndarray | None = None
    """[rows] equal where the prompts are; None: each row has its own."""
    pass_rates: np.ndarray | None = None
    """[rows] of the row's prompt; NaN where nobody sampled."""
    groups: np.ndarray | None = None
    """[rows] the group a row belongs to; None: each row stands for itself."""
    rewards: np.ndarray | None = None
    """[rows] of groups."""
    columns: dict[str, list[np.ndarray]] = field(default_factory=dict)
    """Per-token columns by name, [C] for each sequence: advantages of groups, and what frozen models have scored."""

    @classmethod
    def of(cls, table: pa.Table) -> "Sequences":
        """Take the ids out of a Pair, Accepted or Group table, as they were sampled."""
        pairs = "chosen_ids" in table.column_names
        names = [("chosen_ids", "chosen_logprobs"), ("rejected_ids", "rejected_logprobs")]
        columns = names if pairs else [("completion_ids", "logprobs")]
        prompts = arrays(table, "prompt_ids")
        completions, logprobs = (
            [array for row in zip(*(arrays(table, pair[i]) for pair in columns), strict=True) for array in row]
            for i in range(2)
        )
        repeated = [p for p in prompts for _ in columns]
        return cls(repeated, completions, logprobs, len(columns), **_beside(table, pairs))

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.prompts) // self.per_row

    def take(self, rows: list[int]) -> "Sequences":
        """These rows only, in this order."""
        chosen = [i for row in rows for i in self.of_row(row)]

        def picked(part: Any, places: list[int]) -> Any:
            return part if part is None else [part[i] for i in places] if isinstance(part, list) else part[places]

        of_sequence = ("prompts", "completions", "sampler_logprobs", "right")
        of_row = ("names", "prompt_keys", "pass_rates", "groups", "rewards")
        return replace(
            self,
            columns={name: picked(values, chosen) for name, values in self.columns.items()},
            **{name: picked(getattr(self, name), chosen) for name in of_sequence},
            **{name: picked(getattr(self, name), rows) for name in of_row},
        )

    def of_row(self, row: int) -> range:
        """Indices of the sequences of one row."""
        return range(row * self.per_row, (row + 1) * self.per_row)

    def items(self) -> list[list[int]]:
        """Rows of each item, which is what an optimizer step takes whole: a row, or all rows of a group."""
        if self.groups is None:
            return [[row] for row in range(len(self))]
        found: dict[int, list[int]] = {}
        for row, group in enumerate(self.groups.tolist()):
            found.setdefault(group, []).append(row)
        return list(found.values())

    @property
    def prompt_numbers(self) -> list[int]:
        """Of each row, a number that rows of the same prompt share."""
        return list(range(len(self))) if self.prompt_keys is None else self.prompt_keys.tolist()

    def name(self, row: int) -> str:
        """The row as its reader knows it."""
        return f"row {row}" if self.names is None else self.names[row]

    def prompt_tokens(self, row: int) -> int:
        """Prompt tokens of one row, whose answers share them."""
        return len(self.prompts[row * self.per_row])

    def completion_tokens(self, row: int) -> int:
        """Completion tokens of one row."""
        return sum(len(self.completions[i]) for i in self.of_row(row))

    def chosen_tokens(self, row: int) -> int:
        """Completion tokens of its first sequence: of a pair, those of the chosen answer."""
        return len(self.completions[row * self.per_row])

    def longest(self, row: int) -> int:
        """Tokens of the longest sequence of one row, prompt included."""
        return max(len(self.prompts[i]) + len(self.completions[i]) for i in self.of_row(row))


def _beside(table: pa.Table, pairs: bool) -> dict[str, Any]:
    """The columns beside the tokens that this kind of table has."""
    ids = table.column("prompt_id").to_pylist()
    samples = ("chosen_index", "rejected_index") if pairs else ("sample_index",)
    indices = zip(*(table.column(name).to_pylist() for name in samples), strict=True)
    _, prompt_keys = np.unique(np.array(ids), return_inverse=True)
    found: dict[str, Any] = {
        "names": [f"{prompt}[{', '.join(map(str, each))}]" for prompt, each in zip(ids, indices, strict=True)],
        "prompt_keys": prompt_keys,
    }
    if pairs:
        found["right"] = np.tile([True, False], len(table))
    if "pass_rate" in table.column_names:
        found["pass_rates"] = np.array(table.column("pass_rate").to_pylist(), dtype=np.float64)
    if "advantages" in table.column_names:
        found["groups"] = prompt_keys
        found["right"] = np.array(table.column("correct").to_pylist(), dtype=bool)
        found["rewards"] = np.array(table.column("reward").to_pylist(), dtype=np.float64)
        found["columns"] = {"advantages": arrays(table, "advantages")}
    return found


def arrays(table: pa.Table, column: str) -> list[np.ndarray]:
    """A column of lists as one array per row, without a Python object per number."""
    chunks = [chunk for chunk in table.column(column).chunks if len(chunk)]
    arrays: list[np.ndarray] = []
    for chunk in chunks:
        values = chunk.values.to_numpy(zero_copy_only=False)
        offsets = chunk.offsets.to_numpy()
        arrays += [values[a:b] for a, b in pairwise(offsets)]
    return arrays
