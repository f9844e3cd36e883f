"""DAPO of ByteDance (decoupled clip and dynamic sampling). Not Direct Advantage PO, which shares the name.

Yu et al. 2025, arXiv:2503.14476, equation 8:

    A_i = (R_i - mean R) / std R                                       the stage `pair`
    L   = (1 / N) sum_i sum_t -min(rho A_i, clip(rho, 1 - low, 1 + high) A_i),   N tokens of the step
    GC  = rho A_i 1[not clipped]

A wider upper bound lets unlikely tokens rise; the token mean lets long answers count for what they are. No KL term.
Its dynamic sampling drops groups without contrast: `pair.uniform_groups=drop`. Shapes: N sequences, T tokens.
"""

from dataclasses import dataclass

from tasks.objectives import About, Batch, Loss, Objective
from tasks.objectives._reductions import token_mean
from tasks.objectives._surrogate import log_ratio, ratio_metrics, surrogate


@dataclass(frozen=True, kw_only=True)
class DapoClip(Objective):
    """Surrogate with decoupled clipping, averaged over tokens."""

    rows = "groups"
    needs = ("old_logprobs", "advantages")
    advantage = "standardised"
    about = About("G from pi_old, contrasts only", "rule", "rho A 1[not clipped]", "1/N", "2503.14476 eq. 8")

    clip_low: float = 0.2
    """The ratio may fall to 1 - low. Source: the paper, section 4.1."""
    clip_high: float = 0.28
    """The ratio may rise to 1 + high. Source: the paper, section 4.1."""

    def __post_init__(self) -> None:
        self.expect(0 < self.clip_low < 1 and self.clip_high > 0, "0 < clip_low < 1 and clip_high > 0")

    def loss(self, batch: Batch) -> Loss:
        """Return the token mean of the clipped surrogate."""
        old_NT, advantage_NT = self.column(batch, "old_logprobs"), self.column(batch, "advantages")
        ratio_NT = log_ratio(batch, old_NT).exp()
        loss_NT = surrogate(ratio_NT, advantage_NT, self.clip_low, self.clip_high)
        metrics = ratio_metrics(batch, old_NT, ratio_NT, advantage_NT, self.clip_low, self.clip_high)
        return Loss(token_mean(loss_NT, batch), metrics)
