"""MDPO, on-policy: a policy gradient with an explicit KL to the sampling policy in place of clipping.

Tomar et al. 2020 (Mirror Descent Policy Optimization), arXiv:2005.09814, section 4.1, on the sampled tokens:

    rho = pi / pi_old
    L   = (1 / N) sum_i sum_t [-rho A + (1 / t_k) (rho log rho - rho + 1)],   N tokens of the step
    GC  = rho A - (1 / t_k) rho log rho

rho log rho - rho + 1 is never negative, and its mean over samples of pi_old is KL(pi || pi_old). pi_old is the policy
at the start of the iteration; there is no other reference. Without a clip one batch can throw the ratios far out:
watch `ratio/max`. Multimodal mDPO is another paper. Shapes: N sequences, T tokens.
"""

from dataclasses import dataclass

from tasks.objectives import About, Batch, Loss, Objective
from tasks.objectives._reductions import token_mean
from tasks.objectives._surrogate import log_ratio, ratio_metrics

UNCLIPPED = float("inf")


@dataclass(frozen=True, kw_only=True)
class MdpoOn(Objective):
    """Importance-weighted policy gradient with a proximal KL term."""

    rows = "groups"
    needs = ("old_logprobs", "advantages")
    advantage = "standardised"
    about = About("G from pi_old", "rule", "rho A - rho log(rho)/t_k", "1/N", "2005.09814 sec. 4.1")

    t_k: float = 1.0
    """Step size of the mirror descent; smaller holds closer to pi_old. Source: the authors start at 1 and anneal."""

    def __post_init__(self) -> None:
        self.expect(self.t_k > 0, "t_k > 0")

    def loss(self, batch: Batch) -> Loss:
        """Return the token mean of the surrogate plus the proximal term."""
        old_NT, advantage_NT = self.column(batch, "old_logprobs"), self.column(batch, "advantages")
        gap_NT = log_ratio(batch, old_NT)
        ratio_NT = gap_NT.exp()
        loss_NT = -ratio_NT * advantage_NT + (ratio_NT * gap_NT - ratio_NT + 1) / self.t_k
        metrics = ratio_metrics(batch, old_NT, ratio_NT, advantage_NT, UNCLIPPED, UNCLIPPED)
        del metrics["clip_fraction"]
        return Loss(token_mean(loss_NT, batch), metrics)
