"""GSPO: one importance ratio per answer, as the reward is one per answer.

Zheng et al. 2025, arXiv:2507.18071, equations 5 and 7:

    s_i = exp((1 / |o_i|) sum_t [log pi(o_it) - log pi_old(o_it)])
    A_i = (R_i - mean R) / std R                                       the stage `pair`
    L   = (1 / n) sum_i -min(s_i A_i, clip(s_i, 1 - low, 1 + high) A_i)
    GC  = s_i A_i 1[not clipped]

The ratio is a geometric mean over tokens, hence bounds a thousand times narrower than GRPO's. Shapes: N sequences,
T tokens.
"""

from dataclasses import dataclass

from tasks.objectives import About, Batch, Loss, Objective
from tasks.objectives._reductions import lengths, over_sequences
from tasks.objectives._surrogate import log_ratio, ratio_metrics, surrogate


@dataclass(frozen=True, kw_only=True)
class Gspo(Objective):
    """Clipped surrogate on sequence ratios."""

    rows = "groups"
    needs = ("old_logprobs", "advantages")
    advantage = "standardised"
    about = About("G from pi_old", "rule", "s A 1[not clipped]", "1/(n|o|)", "2507.18071 eq. 5")

    clip_low: float = 3e-4
    """The sequence ratio may fall to 1 - low. Source: the paper, section 5.1."""
    clip_high: float = 4e-4
    """The sequence ratio may rise to 1 + high. Source: the paper, section 5.1."""

    def __post_init__(self) -> None:
        self.expect(0 < self.clip_low < 1 and self.clip_high > 0, "0 < clip_low < 1 and clip_high > 0")

    def loss(self, batch: Batch) -> Loss:
        """Return the mean over answers of the clipped surrogate; an answer's advantage is its tokens' mean."""
        old_NT, advantage_NT = self.column(batch, "old_logprobs"), self.column(batch, "advantages")
        advantage_N = (advantage_NT * batch.mask).sum(-1) / lengths(batch)
        ratio_N = (log_ratio(batch, old_NT).sum(-1) / lengths(batch)).exp()
        loss_N = surrogate(ratio_N, advantage_N, self.clip_low, self.clip_high)
        metrics = ratio_metrics(batch, old_NT, ratio_N, advantage_N, self.clip_low, self.clip_high)
        return Loss(over_sequences(loss_N, batch), metrics)
