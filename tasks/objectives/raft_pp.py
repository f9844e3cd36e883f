"""RAFT++: RAFT with an importance ratio and clipping, so that the answers can be used for several steps.

Xiong et al. 2025 (A Minimalist Approach to LLM Reasoning), arXiv:2504.11343 (and the authors' code):

    A_i = max(R_i, 0)                      right answers only
    L   = - (1 / N) sum_i sum_t min(rho_it A_i, clip(rho_it, 1 - eps, 1 + eps) A_i),   rho = pi / pi_old
    GC  = rho A_i 1[not clipped]

Wrong answers stay in the denominator N, the tokens of the step. Shapes: N sequences, T tokens.
"""

from dataclasses import dataclass

from tasks.objectives import About, Batch, Loss, Objective
from tasks.objectives._reductions import token_mean
from tasks.objectives._surrogate import log_ratio, ratio_metrics, surrogate


@dataclass(frozen=True, kw_only=True)
class RaftPp(Objective):
    """Clipped importance-weighted likelihood of right answers."""

    rows = "groups"
    needs = ("old_logprobs", "advantages")
    advantage = "positive"
    about = About("K from pi_old", "rule", "rho 1[R>0] 1[not clipped]", "1/N", "2504.11343")

    clip_eps: float = 0.2
    """Half-width of the ratio's range. Source: verl's default, which the authors used."""

    def __post_init__(self) -> None:
        self.expect(0 < self.clip_eps < 1, "0 < clip_eps < 1")

    def loss(self, batch: Batch) -> Loss:
        """Return the token mean of the clipped surrogate."""
        old_NT, advantage_NT = self.column(batch, "old_logprobs"), self.column(batch, "advantages")
        ratio_NT = log_ratio(batch, old_NT).exp()
        loss_NT = surrogate(ratio_NT, advantage_NT, self.clip_eps, self.clip_eps)
        metrics = ratio_metrics(batch, old_NT, ratio_NT, advantage_NT, self.clip_eps, self.clip_eps)
        return Loss(token_mean(loss_NT, batch), metrics)
