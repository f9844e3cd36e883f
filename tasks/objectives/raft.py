"""RAFT: supervised fine-tuning on the model's own best answers.

Dong et al. 2023, arXiv:2304.06767, algorithm 1. Per prompt draw K answers from the policy of the
iteration's start, keep the best by reward (here: right ones), and maximise their likelihood:

    L  = - (1 / N) sum_{i selected} sum_t log pi(o_it | q_i, o_i<t)      N tokens of the selected answers
    GC = 1[o_i selected] on every token

The selection is the stage `pair` (`accepted_per_prompt`, `accept`); this file is the loss on what it kept.
Wrong answers teach nothing, which is why entropy falls faster than with DPO. Shapes: N sequences, T tokens.
"""

from dataclasses import dataclass

from tasks.objectives import About, Batch, Loss, Objective
from tasks.objectives._reductions import lengths, token_mean


@dataclass(frozen=True, kw_only=True)
class Raft(Objective):
    """Token-mean likelihood of accepted answers; no reference policy."""

    rows = "accepted"
    about = About("best of K from pi", "rule", "1[selected]", "1/N", "2304.06767 alg. 1")

    def loss(self, batch: Batch) -> Loss:
        """Return the negative log-likelihood per token of the accepted answers of the step."""
        logprob_N = (batch.logprobs.detach() * batch.mask).sum(-1)
        metrics = {"logps/accepted": logprob_N, "nll_per_token": -logprob_N / lengths(batch)}
        return Loss(-token_mean(batch.logprobs, batch), metrics)
