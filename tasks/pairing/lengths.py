"""Rows against the context of the model that is to train on them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from artifacts import Ref, Store

ANSWERS = {
    "pairs": ("chosen_ids", "rejected_ids"),
    "accepted": ("completion_ids",),
    "groups": ("completion_ids",),
}


def check_lengths(store: Store, rows: Ref[Any], model: Path, max_length: int | None) -> None:
    """Refuse rows that the model cannot read to their end, unless `max_length` drops them.

    Raises:
        ValueError: names the longest such row, and what to set.
    """
    context = _context(model)
    if context is None or (max_length is not None and max_length <= context):
        return
    answers = ANSWERS[rows.kind]
    for batch in store.batches(rows, ("prompt_id", "prompt_ids", *answers)):
        tokens = _lengths(batch, "prompt_ids") + np.max([_lengths(batch, name) for name in answers], axis=0)
        kept = tokens if max_length is None else np.where(tokens <= max_length, tokens, 0)
        worst = int(kept.argmax()) if len(kept) else 0
        if len(kept) and kept[worst] > context:
            raise ValueError(
                f"a row of prompt {batch.column('prompt_id')[worst].as_py()} has {kept[worst]} tokens, and the context "
                f"of {model} holds {context}; lower sample.max_tokens, or set train.max_length={context}, which drops "
                "such rows and counts them"
            )


def _context(model: Path) -> int | None:
    """Tokens that the model's positions reach to; None when its config does not say."""
    config = json.loads((model / "config.json").read_text(encoding="utf-8"))
    found = config.get("text_config", config).get("max_position_embeddings")
    return found if isinstance(found, int) else None


def _lengths(batch: pa.RecordBatch, column: str) -> np.ndarray:
    values: pa.ListArray = batch.column(column)  # type: ignore[assignment]
    return values.value_lengths().to_numpy(zero_copy_only=False)
