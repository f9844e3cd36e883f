"""RAFT: supervised fine-tuning on the model's own best answers.

Dong et al. 2023, arXiv:2304.06767, algorithm 1. Per prompt draw K answers from the policy of the
iteration's start, keep the best by reward (here: right ones), and maximise their likelihood:

    L  = - (1 / N_tok) sum_{i selected} sum_t log pi(o_it | q_i, o_i<t)
    GC = 1[o_i selected] on every token

The selection is the stage `pair` (`accepted_per_prompt`); this file is the loss on what it kept.
Wrong answers teach nothing, which is why entropy falls faster than with DPO. Shapes: N rows, T tokens.
"""

from dataclasses import dataclass

from tasks.objectives import Batch, Loss, Objective


@dataclass(frozen=True, kw_only=True)
class Raft(Objective):
    """Token-mean likelihood of accepted answers; no reference policy."""

    rows = "accepted"

    def loss(self, batch: Batch) -> Loss:
        """Return the negative log-likelihood per token of the accepted answers of the step."""
        logprob_N = (batch.logprobs * batch.mask).sum(-1)
        value = -(logprob_N * batch.weights).sum() / batch.num_tokens
        per_token_N = logprob_N.detach() / batch.mask.sum(-1).clamp(min=1)
        return Loss(value, {"logps/accepted": logprob_N.detach(), "nll_per_token": -per_token_N})
