"""The clipped surrogate of policy gradients, the KL estimators, and what is logged of them.

    rho = pi / pi_old          surrogate(rho, A) = -min(rho A, clip(rho, 1 - low, 1 + high) A)
    k3(pi || other) = e^d - d - 1,  d = log other - log pi

k3 is never negative, and its mean over samples of pi is KL(pi || other) (Schulman 2020). Differences are masked
before the exponential: what stands on padding must not overflow. Shapes: N sequences, T tokens, M tokens without
padding.
"""

import torch
from torch import Tensor

from tasks.objectives import Batch


def log_ratio(batch: Batch, other_NT: Tensor) -> Tensor:
    """[N, T] log pi - log other, 0 on padding."""
    return (batch.logprobs - other_NT) * batch.mask


def surrogate(ratio: Tensor, advantages: Tensor, low: float, high: float) -> Tensor:
    """The clipped surrogate as a loss, of any shape."""
    return -torch.minimum(ratio * advantages, ratio.clamp(1 - low, 1 + high) * advantages)


def k3(batch: Batch, other_NT: Tensor) -> Tensor:
    """[N, T] estimate of KL(pi || other), with gradient."""
    minus_NT = -log_ratio(batch, other_NT)
    return minus_NT.exp() - minus_NT - 1


def ratio_metrics(
    batch: Batch, old_NT: Tensor, ratio: Tensor, advantages: Tensor, low: float, high: float
) -> dict[str, Tensor]:
    """How far the policy has gone: ratios, the share whose gradient was clipped away, KL(pi_old || pi).

    `ratio` and `advantages` are [N, T], or [N] where the ratio is one of whole sequences.
    """
    clipped = ((ratio > 1 + high) & (advantages > 0)) | ((ratio < 1 - low) & (advantages < 0))
    gap_NT = log_ratio(batch, old_NT)
    kl_NT = gap_NT.exp() - 1 - gap_NT  # k3 from samples of pi_old
    rows = batch.mask.bool()
    flat = [values[rows] if values.dim() == 2 else values for values in (ratio, clipped.to(ratio.dtype))]
    metrics = {
        "ratio/mean": flat[0],
        "ratio/max": flat[0],
        "clip_fraction": flat[1],
        "kl/old": kl_NT[rows],
        "logps/mean": (batch.logprobs * batch.mask)[rows],
    }
    return {name: tensor.detach() for name, tensor in metrics.items()}
