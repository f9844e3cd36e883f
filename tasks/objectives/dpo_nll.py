"""DPO + NLL: DPO that also holds on to the likelihood of the chosen answer.

Pang et al. 2024 (Iterative Reasoning Preference Optimization), arXiv:2404.19733, equation 1:

    m  = beta (u(o+) - u(o-))
    L  = - (1 / P) sum [log sigmoid(m) + alpha log pi(o+) / |o+|]              nll: sequence
    L  = - (1 / P) sum log sigmoid(m) - (alpha / N+) sum log pi(o+)            nll: token (N+ chosen tokens of a step)
    GC = beta sigmoid(-m) + alpha (1 / |o+|, or P / N+) on o+, -beta sigmoid(-m) on o-

The first is the paper's; the second is TRL's ["sigmoid", "sft"] and couples the pairs of a step. Our sources say that
the term does not help iterative DPO: an ablation, not a default. Shapes: N = 2P sequences, T tokens.
"""

from dataclasses import dataclass
from typing import Literal

from torch.nn.functional import logsigmoid

from tasks.objectives import About, Batch, Loss, Objective
from tasks.objectives._pairs import log_ratios, preference_metrics, sequence_logprobs
from tasks.objectives._reductions import over_pairs


@dataclass(frozen=True, kw_only=True)
class DpoNll(Objective):
    """Logistic preference loss plus the chosen answer's negative log-likelihood."""

    rows = "pairs"
    needs = ("ref_logprobs",)
    reference = "previous"
    about = About(
        "pairs from pi", "rule", "±beta s(-m); o+ also alpha", "1/B; alpha: 1/(B|o+|) or 1/N+", "2404.19733 eq. 1"
    )

    beta: float = 0.1
    """Inverse temperature of the implied reward, per nat. Source: the paper."""
    alpha: float = 1.0
    """Weight of the likelihood term. Source: the paper."""
    nll: Literal["sequence", "token"] = "sequence"
    """What the likelihood is a mean over: each pair's tokens (paper), or all chosen tokens of the step (TRL)."""

    def __post_init__(self) -> None:
        self.expect(self.beta > 0 and self.alpha >= 0, "beta > 0 and alpha >= 0")

    def loss(self, batch: Batch) -> Loss:
        """Return the logistic loss plus the weighted likelihood term."""
        reward_N = self.beta * log_ratios(self, batch)
        preference = over_pairs(-logsigmoid(reward_N[0::2] - reward_N[1::2]), batch)
        nll_P = -sequence_logprobs(batch, averaged=self.nll == "sequence")[0::2]
        if self.nll == "sequence":
            likelihood = over_pairs(nll_P, batch)
        else:
            likelihood = (nll_P * batch.weights[0::2]).sum() / batch.num_chosen_tokens
        metrics = preference_metrics(batch, reward_N)
        per_token_P = -sequence_logprobs(batch, averaged=True)[0::2].detach()
        return Loss(preference + self.alpha * likelihood, {**metrics, "nll_per_token": per_token_P})
