"""Dr. GRPO: GRPO without its two biases, the division by the answer's length and by the group's deviation.

Liu et al. 2025 (Understanding R1-Zero-Like Training), arXiv:2503.20783, section 3.2:

    A_i = R_i - mean R                                                 the stage `pair`
    L   = (1 / (n C)) sum_i sum_t -min(rho A_i, clip(rho, 1 - eps, 1 + eps) A_i),   C = `max_tokens`, a constant
    GC  = rho A_i 1[not clipped]

Dividing by |o| makes long wrong answers cheap; dividing by the deviation favours prompts that are nearly always or
nearly never solved. Shapes: N sequences, T tokens.
"""

from dataclasses import dataclass

from tasks.objectives import About, Batch, Loss, Objective
from tasks.objectives._reductions import constant_mean
from tasks.objectives._surrogate import log_ratio, ratio_metrics, surrogate


@dataclass(frozen=True, kw_only=True)
class DrGrpo(Objective):
    """Clipped surrogate with centred advantages over a constant length."""

    rows = "groups"
    needs = ("old_logprobs", "advantages")
    advantage = "centred"
    about = About("G from pi_old", "rule", "rho A 1[not clipped]", "1/(n C)", "2503.20783 sec. 3.2")

    clip_eps: float = 0.2
    """Half-width of the ratio's range. Source: the authors' code."""
    max_tokens: int | None = None
    """C, tokens: the sampling budget. Default: `sample.max_tokens` of the run. Source: the authors' code."""

    def __post_init__(self) -> None:
        constant = self.max_tokens is None or self.max_tokens >= 1
        self.expect(0 < self.clip_eps < 1 and constant, "0 < clip_eps < 1 and max_tokens >= 1")

    def loss(self, batch: Batch) -> Loss:
        """Return the sum over tokens, divided by answers times the constant.

        Raises:
            ValueError: `max_tokens` is not set.
        """
        if self.max_tokens is None:
            raise ValueError("dr_grpo needs max_tokens, the constant length that its sums are divided by")
        old_NT, advantage_NT = self.column(batch, "old_logprobs"), self.column(batch, "advantages")
        ratio_NT = log_ratio(batch, old_NT).exp()
        loss_NT = surrogate(ratio_NT, advantage_NT, self.clip_eps, self.clip_eps)
        metrics = ratio_metrics(batch, old_NT, ratio_NT, advantage_NT, self.clip_eps, self.clip_eps)
        return Loss(constant_mean(loss_NT, batch, self.max_tokens), metrics)
