"""DPO: rank the chosen answer above the rejected one.

Rafailov et al. 2023, arXiv:2305.18290, equation 7, with the label smoothing of the paper's noise-aware
variant (conservative DPO; 0 gives equation 7):

    u(o) = sum_t [log pi(o_t) - log pi_ref(o_t)]
    m    = beta (u(o+) - u(o-))
    L    = - (1 / P) sum [(1 - eps) log sigmoid(m) + eps log sigmoid(-m)]
    GC   = +- beta [(1 - eps) sigmoid(-m) - eps sigmoid(m)]   on every token of o+ (+) and o- (-)

A sequence log-probability is a sum over tokens; `length_averaged` divides it by the length, as DeepSeekMath prints DPO
(arXiv:2402.03300, equation 12). TRL 1.16 ignores `label_smoothing` for this loss; here it counts. Shapes: N = 2P
sequences, T tokens.
"""

from dataclasses import dataclass

from torch.nn.functional import logsigmoid

from tasks.objectives import About, Batch, Loss, Objective
from tasks.objectives._pairs import log_ratios, preference_metrics
from tasks.objectives._reductions import over_pairs


@dataclass(frozen=True, kw_only=True)
class Dpo(Objective):
    """Logistic preference loss against a frozen reference."""

    rows = "pairs"
    needs = ("ref_logprobs",)
    reference = "previous"
    about = About("pairs from pi", "rule", "±beta s(-m)", "1/B", "2305.18290 eq. 7")

    beta: float = 0.1
    """Inverse temperature of the implied reward, per nat; larger keeps pi closer to the reference. Source: TRL's
    default, which Online-DPO-R1 used."""
    label_smoothing: float = 0.0
    """Assumed share of flipped pairs, 0 to 0.5. Online-DPO-R1 set 0.1."""
    length_averaged: bool = False
    """Divide each answer's log-ratio by its tokens."""

    def __post_init__(self) -> None:
        self.expect(self.beta > 0 and 0 <= self.label_smoothing < 0.5, "beta > 0 and 0 <= label_smoothing < 0.5")

    def loss(self, batch: Batch) -> Loss:
        """Return the (smoothed) logistic loss per pair of the step."""
        reward_N = self.beta * log_ratios(self, batch, averaged=self.length_averaged)
        margin_P = reward_N[0::2] - reward_N[1::2]
        eps = self.label_smoothing
        loss_P = -(1 - eps) * logsigmoid(margin_P) - eps * logsigmoid(-margin_P)
        return Loss(over_pairs(loss_P, batch), preference_metrics(batch, reward_N))
