"""IPO: a finite target for the margin, so that a certain preference does not drive it to infinity.

Azar et al. 2023, arXiv:2310.12036, equation 17 (its tau is `beta` here):

    h  = u(o+) - u(o-),   u(o) = sum_t [log pi(o_t) - log pi_ref(o_t)]
    L  = (1 / P) sum (h - 1 / (2 beta))^2
    GC = +- 2 (1 / (2 beta) - h)

`length_averaged` divides u by the length: TRL does so, and reports that the authors confirmed it for their results.
With sums the target grows no further with the answer, so a beta for one form is no beta for the other. Shapes:
N = 2P sequences, T tokens.
"""

from dataclasses import dataclass

from tasks.objectives import About, Batch, Loss, Objective
from tasks.objectives._pairs import log_ratios, preference_metrics
from tasks.objectives._reductions import over_pairs


@dataclass(frozen=True, kw_only=True)
class Ipo(Objective):
    """Squared distance of the log-ratio margin from its target."""

    rows = "pairs"
    needs = ("ref_logprobs",)
    reference = "previous"
    about = About("pairs from pi", "rule", "±2 (1/(2 beta) - h)", "1/B", "2310.12036 eq. 17")

    beta: float = 0.1
    """Strength of the pull to the reference; the margin's target is 1/(2 beta) nats. Source: TRL's default."""
    length_averaged: bool = False
    """Divide each answer's log-ratio by its tokens."""

    def __post_init__(self) -> None:
        self.expect(self.beta > 0, "beta > 0")

    def loss(self, batch: Batch) -> Loss:
        """Return the squared distance per pair of the step."""
        ratio_N = log_ratios(self, batch, averaged=self.length_averaged)
        loss_P = (ratio_N[0::2] - ratio_N[1::2] - 1 / (2 * self.beta)) ** 2
        return Loss(over_pairs(loss_P, batch), preference_metrics(batch, self.beta * ratio_N))
