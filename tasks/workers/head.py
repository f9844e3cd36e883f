"""The language model's head without its logits: log p(label), and KL to a reference, a slice of vocabulary at a time.

The head computes what the trainer needs inside its own `forward`, in the model's, so that ZeRO-3 gathers its weight for
it. Forward keeps the hidden states, one logsumexp per token and a few slices of logits; backward makes the rest again.

    log p_m = z_m[label] - lse_m
    KL_m    = sum_v q (log q - log p),   q of the reference        dKL/dz = p - q

Shapes: M tokens, E hidden, V vocabulary.
"""

from collections import deque
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from tasks.workers.failure import BadInput

SLICE, CPU_SLICE = 2**26, 2**19
"""Logits of one slice; the backward pass holds about three such tensors, in float32. On a CPU they fit its cache, and
stay below what `tasks.distributed` has the allocator give back."""
KEPT = 2**24
"""Logits that may stay between the passes (64 MiB): a small vocabulary's need not be made again."""
ALIGNED = 64
"""A slice's width is a multiple of this, if it is not less: a CPU multiplies matrices of other widths more slowly."""


class TokenHead(nn.Linear):
    """An output embedding that answers with [1, M, 1] log p(label), or with [1, M, 2] and the KL beside it.

    It replaces the class of the model's own head: parameters, names and ties stay. `labels` is set before each forward
    pass of the model; `reference` = ([M, E] hidden states, [V, E] weight) if the KL is wanted.
    """

    labels: Tensor
    reference: tuple[Tensor, Tensor] | tuple[None, None] = (None, None)
    answer: Tensor
    """The last one, to see whether the model has passed it on unchanged."""

    def forward(self, input: Tensor) -> Tensor:
        """[1, M, E] hidden states at the places where the labels are predicted."""
        logprob_M, kl_M = _TokenLogprob.apply(input[0], self.weight, self.labels, *self.reference)  # type: ignore[misc]
        columns = [logprob_M] if self.reference[0] is None else [logprob_M, kl_M]
        self.answer = torch.stack(columns, -1)[None]
        return self.answer


def token_head(model: Any) -> TokenHead:
    """Turn the model's head into a `TokenHead`.

    Raises:
        BadInput: the head is not a plain matrix.
    """
    head = model.get_output_embeddings()
    if not isinstance(head, nn.Linear) or head.bias is not None:
        raise BadInput(f"the head of {type(model).__name__} is not a matrix alone, which training needs")
    if not isinstance(head, TokenHead):
        head.__class__ = TokenHead
    return head  # type: ignore[return-value]


class _TokenLogprob(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, labels: Tensor, ref_hidden: Tensor | None, ref_weight: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        lse, chosen, logits = _logsumexp(hidden, weight, labels, KEPT if any(ctx.needs_input_grad) else 0)
        ctx.kept = logits
        kl, ref_lse = torch.zeros_like(lse), None
        if ref_hidden is not None and ref_weight is not None:
            ref_lse, _, _ = _logsumexp(ref_hidden, ref_weight, labels)
            for part in _slices(hidden, weight):
                ref_logp = _logits(ref_hidden, ref_weight[part]) - ref_lse[:, None]
                kl += (ref_logp.exp() * (ref_logp - _logits(hidden, weight[part]) + lse[:, None])).sum(-1)
        ctx.save_for_backward(hidden, weight, labels, lse, ref_hidden, ref_weight, ref_lse)
        return chosen - lse, kl

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        hidden, weight, labels, lse, ref_hidden, ref_weight, ref_lse = ctx.saved_tensors
        grad_logprob, grad_kl = (grad[:, None] for grad in grads)
        # One slice of the vocabulary owns its rows of the weight's gradient: a single matrix product, summed in
        # float32 by the hardware, where slices of tokens would add up rounded parts.
        grad_weight = torch.empty_like(weight) if ctx.needs_input_grad[1] else None
        grad_hidden = torch.zeros_like(hidden, dtype=lse.dtype)
        for part in _slices(hidden, weight):
            logits = ctx.kept.popleft() if ctx.kept else _logits(hidden, weight[part])  # taken, so changed only once
            probabilities = logits.sub_(lse[:, None]).exp_()
            slope = probabilities * (grad_kl - grad_logprob)
            if ref_lse is not None:
                slope -= grad_kl * _logits(ref_hidden, ref_weight[part]).sub_(ref_lse[:, None]).exp_()
            inside = ((labels >= part.start) & (labels < part.stop)).nonzero()[:, 0]
            slope[inside, labels[inside] - part.start] += grad_logprob[inside, 0]
            slope = slope.to(weight.dtype)
            grad_hidden += slope @ weight[part]
            if grad_weight is not None:
                torch.mm(slope.T, hidden, out=grad_weight[part])
        return grad_hidden.to(hidden.dtype), grad_weight, None, None, None


def _logsumexp(hidden: Tensor, weight: Tensor, labels: Tensor, keep: int = 0) -> tuple[Tensor, Tensor, deque[Tensor]]:
    """[M] log sum_v exp z_v, [M] z[label], and the first slices of z, as many as have `keep` numbers."""
    lse: Tensor | None = None
    kept: deque[Tensor] = deque()
    chosen = torch.zeros(len(hidden), dtype=_sums(hidden), device=hidden.device)
    for part in _slices(hidden, weight):
        logits = _logits(hidden, weight[part])
        inside = ((labels >= part.start) & (labels < part.stop)).nonzero()[:, 0]
        chosen[inside] = logits[inside, labels[inside] - part.start]
        if keep >= 0 and (keep := keep - logits.numel()) >= 0:
            kept.append(logits)
        own = logits.logsumexp(-1)
        lse = own if lse is None else torch.logaddexp(lse, own)
    assert lse is not None
    return lse, chosen, kept


def _slices(hidden: Tensor, weight: Tensor) -> Iterator[slice]:
    size = CPU_SLICE if hidden.device.type == "cpu" else SLICE
    width = max(1, size // max(1, len(hidden)))
    width -= width % ALIGNED if width > ALIGNED else 0
    for start in range(0, len(weight), width):
        yield slice(start, min(start + width, len(weight)))


def _logits(hidden: Tensor, weight: Tensor) -> Tensor:
    """[M, part of V]: the product in the weights' precision, as the model has it, then float32."""
    return (hidden @ weight.T).to(_sums(hidden))


def _sums(hidden: Tensor) -> torch.dtype:
    return torch.promote_types(hidden.dtype, torch.float32)
