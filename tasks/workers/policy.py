"""Log-probabilities of given tokens under a causal language model.

Shapes: N sequences, L tokens, T scored positions (the last T labels), V vocabulary.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from tasks.workers.batches import MicroBatch, collate
from tasks.workers.sequences import Sequences

# Elements of a float32 copy of the logits that may live at once (512 MiB).
LOGIT_BUDGET = 2**27


def token_logprobs(model: Any, input_ids: Tensor, attention_mask: Tensor, width: int) -> Tensor:
    """[N, T] log p(label) in nats and float32, for the last T = `width` labels of each sequence.

    The head runs on those positions only. The float32 softmax is done a few rows at a time and recomputed in
    the backward pass, so its memory does not grow with the batch.
    """
    logits_NTV = model(
        input_ids=input_ids, attention_mask=attention_mask, use_cache=False, logits_to_keep=width + 1
    ).logits[:, :-1]
    labels_NT = input_ids[:, -width:]
    rows = max(1, LOGIT_BUDGET // (logits_NTV.shape[1] * logits_NTV.shape[2]))
    if rows >= len(labels_NT):
        return _gather(logits_NTV, labels_NT)
    parts = [
        checkpoint(_gather, logits_NTV[i : i + rows], labels_NT[i : i + rows], use_reentrant=False)
        for i in range(0, len(labels_NT), rows)
    ]
    return torch.cat(parts)  # type: ignore[arg-type]


def _gather(logits_NTV: Tensor, labels_NT: Tensor) -> Tensor:
    return logits_NTV.float().log_softmax(-1).gather(-1, labels_NT[..., None]).squeeze(-1)


@torch.inference_mode()
def score(
    model: Any, sequences: Sequences, rows: list[int], micro_batch: int, pad_id: int
) -> Iterator[tuple[int, np.ndarray]]:
    """Yield (sequence index, [T] log-probs of its completion) for the given rows, longest first.

    Longest first, so that a batch that does not fit fails at once.
    """
    device = next(model.parameters()).device
    ordered = sorted(rows, key=lambda row: (-sequences.longest(row), row))
    for start in range(0, len(ordered), micro_batch):
        micro = MicroBatch(tuple(ordered[start : start + micro_batch]), 1.0, 1, 1)
        batch: dict[str, Any] = collate(sequences, micro, None, pad_id)
        mask_NT = batch["mask"].bool()
        logprobs_NT = token_logprobs(
            model, batch["input_ids"].to(device), batch["attention_mask"].to(device), mask_NT.shape[1]
        ).cpu()
        indices = [i for row in micro.rows for i in sequences.of_row(row)]
        for n, i in enumerate(indices):
            yield i, logprobs_NT[n][mask_NT[n]].numpy()
