"""Likelihood of sampled answers, each weighted by its advantage: the loss of RFT and Online RFT.

    L = - (1 / n) sum_i A_i (1 / |o_i|) sum_t log pi(o_it)        over ALL n answers, right and wrong

Shapes: N sequences, T tokens.
"""

from tasks.objectives import Batch, Loss, Objective
from tasks.objectives._reductions import lengths, sequence_mean


def weighted_likelihood(objective: Objective, batch: Batch) -> Loss:
    """Return the loss above; answers of advantage 0 stay in the denominator."""
    advantage_NT = objective.column(batch, "advantages")
    logprob_N = (batch.logprobs.detach() * batch.mask).sum(-1)
    kept_N = (advantage_NT * batch.mask).sum(-1) / lengths(batch)
    metrics = {"nll_per_token": -logprob_N / lengths(batch), "accepted": (kept_N > 0).to(kept_N.dtype)}
    return Loss(-sequence_mean(advantage_NT * batch.logprobs, batch), metrics)
