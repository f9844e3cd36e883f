"""SFT: maximum likelihood on given answers.

Shao et al. 2024 (DeepSeekMath), arXiv:2402.03300, appendix A.1.1, with the token mean taken over the
optimizer step instead of per answer, as language-model pre-training does:

    L  = - (1 / N_tok) sum_i sum_t log pi(o_it | q_i, o_i<t)
    GC = 1 on every token

A short answer therefore weighs less than a long one. Shapes: N rows, T tokens.
"""

from dataclasses import dataclass

from tasks.objectives import Batch, Loss, Objective


@dataclass(frozen=True, kw_only=True)
class Sft(Objective):
    """Cross-entropy on the completion tokens; the prompt is not trained on."""

    rows = "accepted"

    def loss(self, batch: Batch) -> Loss:
        """Return the negative log-likelihood per completion token of the step."""
        nll_N = -(batch.logprobs * batch.mask).sum(-1)
        value = (nll_N * batch.weights).sum() / batch.num_tokens
        per_token_N = nll_N.detach() / batch.mask.sum(-1).clamp(min=1)
        return Loss(value, {"nll_per_token": per_token_N})
