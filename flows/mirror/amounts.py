"""How much a campaign has sampled and trained by an iteration: the axes on which algorithms can be compared fairly."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from artifacts import Checkpoint, Ref, Store, checkpoints, plain_json
from artifacts.durable import write_atomically
from tasks.pairing.lengths import ANSWERS


@dataclass(frozen=True)
class Amounts:
    """Of one iteration, or of several together."""

    steps: int = 0
    """Optimizer steps of the policy."""
    sampled_tokens: int = 0
    """Of the answers sampled for training."""
    trained_tokens: int = 0
    """Of the answers trained on, once for each time they were."""

    def __add__(self, other: "Amounts") -> "Amounts":
        return Amounts(
            self.steps + other.steps,
            self.sampled_tokens + other.sampled_tokens,
            self.trained_tokens + other.trained_tokens,
        )


def amounts_of(store: Store, grades: Ref[Any], rows: Ref[Any], policy: Checkpoint) -> Amounts:
    """Of one iteration. A policy that training has not written counts as trained on nothing.

    Raises:
        ArtifactError: one of them is gone.
    """
    sampled = int(store.manifest(grades).summary.get("tokens", 0))
    facts = checkpoints.facts(policy)
    if "training" not in facts:
        return Amounts(0, sampled, 0)
    training = facts["training"]
    tokens, units = _answers(store, rows, training["max_length"])
    passes = float(training["epochs"])
    if facts.get("stopped"):  # before its end, as `train.max_kl` asks
        passes *= facts["steps"] / max(1, training["epochs"] * math.ceil(units / training["batch_size"]))
    return Amounts(int(facts["steps"]), sampled, round(tokens * passes))


def _answers(store: Store, rows: Ref[Any], max_length: int | None) -> tuple[int, int]:
    """Tokens of all answers that fit, and how many rows, or groups of rows, a batch counts."""
    names, tokens, units, prompts = ANSWERS[rows.kind], 0, 0, set[str]()
    for batch in store.batches(rows, ("prompt_id", "prompt_ids", *names)):
        lengths = [_lengths(batch, name) for name in names]
        longest = _lengths(batch, "prompt_ids") + np.max(lengths, axis=0)
        fits = longest <= (max_length or math.inf)
        tokens += int(np.sum(np.sum(lengths, axis=0)[fits]))
        units += int(fits.sum())
        if rows.kind == "groups":
            prompts.update(batch.column("prompt_id").to_pylist())
    return tokens, len(prompts) or units


def _lengths(batch: pa.RecordBatch, column: str) -> np.ndarray:
    values: pa.ListArray = batch.column(column)  # type: ignore[assignment]
    return values.value_lengths().to_numpy(zero_copy_only=False)


class Ledger:
    """The amounts of a campaign's iterations, in a small file: an iteration alone must know what came before it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def of(self, number: int, policy: str) -> Amounts | None:
        """Of one iteration, if it was noted and made this policy (a digest)."""
        entry = self._read().get(str(number))
        return _amounts(entry) if entry and entry["policy"] == policy else None

    def before(self, number: int) -> Amounts | None:
        """Of all iterations before this one; None if one of them is unknown."""
        entries = self._read()
        earlier = [entries.get(str(n)) for n in range(1, number)]
        return sum((_amounts(entry) for entry in earlier if entry), Amounts()) if all(earlier) else None

    def note(self, number: int, policy: str, amounts: Amounts) -> None:
        """Keep an iteration's amounts."""
        entries = {**self._read(), str(number): {"policy": policy, **asdict(amounts)}}
        self._path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(self._path, json.dumps(entries, indent=1).encode())

    def _read(self) -> dict[str, Any]:
        """A file that is damaged is as good as none: passing the iterations again fills it."""
        try:
            entries = plain_json.parse(self._path.read_bytes())
            for entry in entries.values():
                _amounts(entry)
        except (OSError, ValueError, LookupError, TypeError, AttributeError):
            return {}
        return entries


def _amounts(entry: Mapping[str, Any]) -> Amounts:
    return Amounts(int(entry["steps"]), int(entry["sampled_tokens"]), int(entry["trained_tokens"]))
