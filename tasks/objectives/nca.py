"""NCA: noise-contrastive alignment on pairs; each answer is judged against the reference, not against the other.

Chen et al. 2024, arXiv:2402.05369, section 4.1 with two answers; the loss of Light-R1's preference stage:

    a  = beta u(o+),   b = beta u(o-)
    L  = (1 / P) sum [-log sigmoid(a) - (1/2) log sigmoid(-a) - (1/2) log sigmoid(-b)]
    GC = beta [sigmoid(-a) - sigmoid(a) / 2] on o+,   -beta sigmoid(b) / 2 on o-

a has a finite optimum (sigmoid(a) = 2/3), which limits the fall of the chosen answer's likelihood that DPO allows.
Shapes: N = 2P sequences, T tokens.
"""

from dataclasses import dataclass

from torch.nn.functional import logsigmoid

from tasks.objectives import About, Batch, Loss, Objective
from tasks.objectives._pairs import log_ratios, preference_metrics
from tasks.objectives._reductions import over_pairs


@dataclass(frozen=True, kw_only=True)
class Nca(Objective):
    """Noise-contrastive loss against a frozen reference."""

    rows = "pairs"
    needs = ("ref_logprobs",)
    reference = "previous"
    about = About(
        "pairs from pi",
        "rule",
        "o+: beta [s(-a) - s(a)/2]; o-: -beta s(b)/2",
        "1/B",
        "2402.05369 sec. 4.1",
    )

    beta: float = 0.3
    """Inverse temperature of the implied reward, per nat. Source: Light-R1's train-dpo.sh."""

    def __post_init__(self) -> None:
        self.expect(self.beta > 0, "beta > 0")

    def loss(self, batch: Batch) -> Loss:
        """Return the contrastive loss per pair of the step."""
        reward_N = self.beta * log_ratios(self, batch)
        chosen_P, rejected_P = reward_N[0::2], reward_N[1::2]
        loss_P = -logsigmoid(chosen_P) - 0.5 * logsigmoid(-chosen_P) - 0.5 * logsigmoid(-rejected_P)
        return Loss(over_pairs(loss_P, batch), preference_metrics(batch, reward_N))
