"""What the losses on pairs share: sequence log-ratios and what is logged of them.

    u(o) = sum_t [log pi(o_t) - log pi_ref(o_t)]          averaged: u(o) / |o|

Shapes: N = 2P sequences, chosen and rejected in turn, T tokens.
"""

from torch import Tensor

from tasks.objectives import Batch, Objective
from tasks.objectives._reductions import lengths


def sequence_logprobs(batch: Batch, *, averaged: bool = False) -> Tensor:
    """[N] log pi of each answer, or its mean per token."""
    logprob_N = (batch.logprobs * batch.mask).sum(-1)
    return logprob_N / lengths(batch) if averaged else logprob_N


def log_ratios(objective: Objective, batch: Batch, *, averaged: bool = False) -> Tensor:
    """[N] u of each answer."""
    reference = objective.column(batch, "ref_logprobs")
    ratio_N = sequence_logprobs(batch) - (reference * batch.mask).sum(-1)
    return ratio_N / lengths(batch) if averaged else ratio_N


def divergences(objective: Objective, batch: Batch) -> Tensor:
    """[N] KL(pi_ref || pi) summed over the tokens of each answer, with gradient."""
    return (objective.column(batch, "ref_kl") * batch.mask).sum(-1)


def divergence_metrics(divergence_N: Tensor) -> dict[str, Tensor]:
    """Of both sides: TDPO is to keep them near each other."""
    return {"kl/chosen": divergence_N[0::2].detach(), "kl/rejected": divergence_N[1::2].detach()}


def preference_metrics(batch: Batch, reward_N: Tensor) -> dict[str, Tensor]:
    """Implied rewards, and the log-probabilities whose fall for chosen answers is DPO's known weakness."""
    chosen_P, rejected_P = reward_N[0::2], reward_N[1::2]
    margin_P = chosen_P - rejected_P
    logprob_N = sequence_logprobs(batch)
    metrics = {
        "rewards/chosen": chosen_P,
        "rewards/rejected": rejected_P,
        "rewards/margins": margin_P,
        "rewards/accuracies": (margin_P > 0).to(margin_P.dtype),
        "logps/chosen": logprob_N[0::2],
        "logps/rejected": logprob_N[1::2],
    }
    return {name: tensor.detach() for name, tensor in metrics.items()}
