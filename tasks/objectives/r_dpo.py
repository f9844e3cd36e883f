"""R-DPO: DPO with a price on length. Not robust DPO, which is `rdpo`.

Park et al. 2024 (Disentangling Length from Quality), arXiv:2403.19159, as printed in SimPO (arXiv:2405.14734), table 3:

    m  = beta (u(o+) - u(o-)) + alpha (|o+| - |o-|)
    L  = - (1 / P) sum log sigmoid(m)
    GC = +- beta sigmoid(-m)

The sign follows from the reward r - alpha |o|: a chosen answer that is longer gets a smaller gradient. A penalty
outside the sigmoid, as some have it, would have none. Shapes: N = 2P sequences, T tokens.
"""

from dataclasses import dataclass

from torch.nn.functional import logsigmoid

from tasks.objectives import About, Batch, Loss, Objective
from tasks.objectives._pairs import log_ratios, preference_metrics
from tasks.objectives._reductions import over_pairs


@dataclass(frozen=True, kw_only=True)
class RDpo(Objective):
    """Logistic preference loss whose margin counts length."""

    rows = "pairs"
    needs = ("ref_logprobs",)
    reference = "previous"
    about = About("pairs from pi", "rule - alpha |o|", "±beta s(-m)", "1/B", "2403.19159")

    beta: float = 0.1
    """Inverse temperature of the implied reward, per nat. Source: DPO's."""
    alpha: float = 0.005
    """Price of a token, in units of the margin. Ours: worked answers differ by hundreds of tokens; the paper's
    answers were short."""

    def __post_init__(self) -> None:
        self.expect(self.beta > 0 and self.alpha >= 0, "beta > 0 and alpha >= 0")

    def loss(self, batch: Batch) -> Loss:
        """Return the logistic loss per pair of the step."""
        reward_N = self.beta * log_ratios(self, batch)
        length_N = batch.mask.sum(-1)
        margin_P = reward_N[0::2] - reward_N[1::2] + self.alpha * (length_N[0::2] - length_N[1::2])
        metrics = preference_metrics(batch, reward_N)
        return Loss(over_pairs(-logsigmoid(margin_P), batch), {**metrics, "margin/with_length": margin_P.detach()})
