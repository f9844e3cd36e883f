"""GRPO: the mean of the group is the baseline (outcome supervision).

Shao et al. 2024 (DeepSeekMath), arXiv:2402.03300, equations 3, 4 and 21:

    A_i = (R_i - mean R) / (std R + e)                                 the stage `pair`, one value per answer
    L   = (1 / n) sum_i (1 / |o_i|) sum_t [-min(rho A, clip(rho, 1 - eps, 1 + eps) A) + beta k3(pi || pi_ref)]
    GC  = A_i + beta (pi_ref / pi - 1)    at pi = pi_old;   rho A_i 1[not clipped] in place of A_i after the first step

The advantages stand on tokens, so that ones that differ from token to token train just as well. A group that is all
right or all wrong has A = 0: only the KL term acts on it. Shapes: N sequences, T tokens.
"""

from dataclasses import dataclass

from tasks.objectives import About, Batch, Column, Loss, Objective
from tasks.objectives._reductions import sequence_mean
from tasks.objectives._surrogate import k3, log_ratio, ratio_metrics, surrogate


@dataclass(frozen=True, kw_only=True)
class Grpo(Objective):
    """Clipped surrogate with group-normalised advantages and a KL penalty to the reference."""

    rows = "groups"
    needs = ("old_logprobs", "advantages", "ref_logprobs")
    reference = "initial"
    advantage = "standardised"
    about = About(
        "G from pi_old", "rule", "rho A 1[not clipped] + beta (pi_ref/pi - 1)", "1/(n|o|)", "2402.03300 eq. 3, 21"
    )

    clip_eps: float = 0.2
    """Half-width of the ratio's range. Source: verl's and TRL's default; the paper does not say."""
    beta_kl: float = 0.04
    """Weight of KL(pi || pi_ref) per token; 0 loads no reference. Source: the paper, section 4.2."""

    def __post_init__(self) -> None:
        self.expect(0 < self.clip_eps < 1 and self.beta_kl >= 0, "0 < clip_eps < 1 and beta_kl >= 0")

    @property
    def columns(self) -> tuple[Column, ...]:
        """Without the KL term there is no reference."""
        return self.needs if self.beta_kl else self.needs[:2]

    def loss(self, batch: Batch) -> Loss:
        """Return the mean over answers of their token means."""
        old_NT, advantage_NT = self.column(batch, "old_logprobs"), self.column(batch, "advantages")
        ratio_NT = log_ratio(batch, old_NT).exp()
        loss_NT = surrogate(ratio_NT, advantage_NT, self.clip_eps, self.clip_eps)
        metrics = ratio_metrics(batch, old_NT, ratio_NT, advantage_NT, self.clip_eps, self.clip_eps)
        if self.beta_kl:
            kl_NT = k3(batch, self.column(batch, "ref_logprobs"))
            loss_NT = loss_NT + self.beta_kl * kl_NT
            metrics["kl/ref"] = kl_NT[batch.mask.bool()].detach()
        return Loss(sequence_mean(loss_NT, batch), metrics)
