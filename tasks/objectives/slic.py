"""SLiC: a hinge on the margin; a pair that is told apart well enough teaches nothing more.

Zhao et al. 2023, arXiv:2305.10425, section 2, with DPO's reference-relative margin (Liu et al. 2023, RSO,
arXiv:2309.06657; TRL's `hinge`):

    L  = (1 / P) sum max(0, delta - beta (u(o+) - u(o-)))
    GC = +- beta 1[margin below delta]

SLiC itself has no reference in the margin and adds a likelihood term. Shapes: N = 2P sequences, T tokens.
"""

from dataclasses import dataclass

from torch.nn.functional import relu

from tasks.objectives import About, Batch, Loss, Objective
from tasks.objectives._pairs import log_ratios, preference_metrics
from tasks.objectives._reductions import over_pairs


@dataclass(frozen=True, kw_only=True)
class Slic(Objective):
    """Hinge loss against a frozen reference."""

    rows = "pairs"
    needs = ("ref_logprobs",)
    reference = "previous"
    about = About("pairs from pi", "rule", "±beta 1[margin < delta]", "1/B", "2305.10425 sec. 2, 2309.06657")

    beta: float = 0.1
    """Scale of the margin, per nat. Source: TRL's default."""
    delta: float = 1.0
    """Margin that suffices, in units of beta * nats. Source: TRL."""

    def __post_init__(self) -> None:
        self.expect(self.beta > 0 and self.delta > 0, "beta > 0 and delta > 0")

    def loss(self, batch: Batch) -> Loss:
        """Return the hinge loss per pair of the step."""
        reward_N = self.beta * log_ratios(self, batch)
        loss_P = relu(self.delta - (reward_N[0::2] - reward_N[1::2]))
        return Loss(over_pairs(loss_P, batch), preference_metrics(batch, reward_N))
