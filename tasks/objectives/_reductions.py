"""How a loss per token or per sequence becomes the step's scalar, exactly, whatever the micro-batches.

    TOK    sum over tokens    / completion tokens of the step
    SEQ    sum of token means / answers of the step
    CONST  sum over tokens    / (answers of the step * a constant length)

Each micro-batch divides its own sum by the count of the whole step, so the parts add up. Shapes: N sequences, P pairs,
T tokens.
"""

from torch import Tensor

from tasks.objectives import Batch


def lengths(batch: Batch) -> Tensor:
    """[N] completion tokens of each sequence."""
    return batch.mask.sum(-1).clamp(min=1)


def token_mean(loss_NT: Tensor, batch: Batch) -> Tensor:
    """TOK."""
    return ((loss_NT * batch.mask).sum(-1) * batch.weights).sum() / batch.num_tokens


def sequence_mean(loss_NT: Tensor, batch: Batch) -> Tensor:
    """SEQ."""
    return over_sequences((loss_NT * batch.mask).sum(-1) / lengths(batch), batch)


def constant_mean(loss_NT: Tensor, batch: Batch, length: float) -> Tensor:
    """CONST."""
    return over_sequences((loss_NT * batch.mask).sum(-1) / length, batch)


def over_sequences(loss_N: Tensor, batch: Batch) -> Tensor:
    """Mean over the answers of the step."""
    return (loss_N * batch.weights).sum() / batch.num_sequences


def over_pairs(loss_P: Tensor, batch: Batch) -> Tensor:
    """Mean over the pairs of the step."""
    return (loss_P * batch.weights[0::2]).sum() / batch.num_items
