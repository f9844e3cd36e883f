"""SPPO: self-play preference optimisation; the log-ratio of each answer regresses onto its win rate.

Wu et al. 2024, arXiv:2405.00675, equation 4.7 with the hard win rates 1 and 0 of a pair:

    L  = (1 / P) sum [(u(o+) - 1 / (2 beta))^2 + (u(o-) + 1 / (2 beta))^2],   beta = 1 / eta
    GC = 2 (1 / (2 beta) - u) on o+,   -2 (1 / (2 beta) + u) on o-

TRL's `sppo_hard`. The authors' code averages the two terms, which halves the learning rate. Shapes: N = 2P sequences,
T tokens.
"""

from dataclasses import dataclass

from tasks.objectives import About, Batch, Loss, Objective
from tasks.objectives._pairs import log_ratios, preference_metrics
from tasks.objectives._reductions import over_pairs


@dataclass(frozen=True, kw_only=True)
class Sppo(Objective):
    """Squared distance of both log-ratios from their targets."""

    rows = "pairs"
    needs = ("ref_logprobs",)
    reference = "previous"
    about = About("pairs from pi", "rule", "o+: 2(1/(2 beta) - u); o-: -2(1/(2 beta) + u)", "1/B", "2405.00675 eq. 4.7")

    beta: float = 0.001
    """1/eta, per nat; the targets are +-1/(2 beta) nats. Source: the authors' eta of 1000."""

    def __post_init__(self) -> None:
        self.expect(self.beta > 0, "beta > 0")

    def loss(self, batch: Batch) -> Loss:
        """Return the squared distances per pair of the step."""
        ratio_N = log_ratios(self, batch)
        target = 1 / (2 * self.beta)
        loss_P = (ratio_N[0::2] - target) ** 2 + (ratio_N[1::2] + target) ** 2
        return Loss(over_pairs(loss_P, batch), preference_metrics(batch, self.beta * ratio_N))
