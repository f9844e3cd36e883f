"""Robust DPO (rDPO): DPO made unbiased under label flips of a known rate. Not R-DPO, which is `r_dpo`.

Chowdhury et al. 2024, arXiv:2403.00409, section 3.1:

    m  = beta (u(o+) - u(o-))
    L  = (1 / P) sum [-(1 - eps) log sigmoid(m) + eps log sigmoid(-m)] / (1 - 2 eps)
    GC = +- beta [(1 - eps) sigmoid(-m) + eps sigmoid(m)] / (1 - 2 eps)

Its mean over flips equals DPO on clean labels. The gradient never vanishes and the loss has no lower bound, so margins
grow: keep the epochs few. A verifier's false negatives are such flips; measure their rate. Shapes: N = 2P sequences,
T tokens.
"""

from dataclasses import dataclass

from torch.nn.functional import logsigmoid

from tasks.objectives import About, Batch, Loss, Objective
from tasks.objectives._pairs import log_ratios, preference_metrics
from tasks.objectives._reductions import over_pairs


@dataclass(frozen=True, kw_only=True)
class Rdpo(Objective):
    """Logistic preference loss, corrected for flipped pairs."""

    rows = "pairs"
    needs = ("ref_logprobs",)
    reference = "previous"
    about = About(
        "pairs from pi",
        "rule, flip rate eps",
        "±beta [(1-eps) s(-m) + eps s(m)]/(1-2 eps)",
        "1/B",
        "2403.00409 sec. 3.1",
    )

    beta: float = 0.1
    """Inverse temperature of the implied reward, per nat. Source: DPO's; the paper used 0.01."""
    eps: float = 0.1
    """Share of flipped pairs, 0 to 0.5; an overestimate amplifies by 1/(1 - 2 eps). Source: the
    paper, section 6."""

    def __post_init__(self) -> None:
        self.expect(self.beta > 0 and 0 <= self.eps < 0.5, "beta > 0 and 0 <= eps < 0.5")

    def loss(self, batch: Batch) -> Loss:
        """Return the corrected logistic loss per pair of the step."""
        reward_N = self.beta * log_ratios(self, batch)
        margin_P = reward_N[0::2] - reward_N[1::2]
        loss_P = (-(1 - self.eps) * logsigmoid(margin_P) + self.eps * logsigmoid(-margin_P)) / (1 - 2 * self.eps)
        return Loss(over_pairs(loss_P, batch), preference_metrics(batch, reward_N))
