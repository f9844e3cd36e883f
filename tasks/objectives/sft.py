"""SFT: maximum likelihood on given answers.

Shao et al. 2024 (DeepSeekMath), arXiv:2402.03300, appendix A.1.1, equation 6:

    L  = - (1 / n) sum_i (1 / |o_i|) sum_t log pi(o_it | q_i, o_i<t)     reduction: sequence
    L  = - (1 / N) sum_i sum_t log pi(o_it | q_i, o_i<t)                 reduction: token (N tokens of the step)
    GC = 1 on every token

Per token is what language-model pre-training and TRL do: a short answer weighs less than a long one. Shapes: N
sequences, T tokens.
"""

from dataclasses import dataclass
from typing import Literal

from tasks.objectives import About, Batch, Loss, Objective
from tasks.objectives._reductions import lengths, sequence_mean, token_mean


@dataclass(frozen=True, kw_only=True)
class Sft(Objective):
    """Cross-entropy on the completion tokens; the prompt is not trained on."""

    rows = "accepted"
    about = About("given answers", "none", "1", "1/N or 1/(n|o|)", "2402.03300 A.1.1")

    reduction: Literal["token", "sequence"] = "token"
    """What every token, or every answer, weighs the same in. Source: TRL (token), the paper (sequence)."""

    def loss(self, batch: Batch) -> Loss:
        """Return the negative log-likelihood of the step's answers."""
        reduce = token_mean if self.reduction == "token" else sequence_mean
        nll_N = -(batch.logprobs.detach() * batch.mask).sum(-1)
        return Loss(-reduce(batch.logprobs, batch), {"nll_per_token": nll_N / lengths(batch)})
