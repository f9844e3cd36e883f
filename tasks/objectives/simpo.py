"""SimPO: rank by the mean log-probability, without a reference policy.

Meng et al. 2024, arXiv:2405.14734, equation 6:

    m  = beta (log pi(o+) / |o+| - log pi(o-) / |o-|) - gamma
    L  = - (1 / P) sum log sigmoid(m)
    GC = +- beta sigmoid(-m),  divided by |o|

Nothing holds pi near where it started: watch `kl` and the length. Shapes: N = 2P sequences, T tokens.
"""

from dataclasses import dataclass

from torch.nn.functional import logsigmoid

from tasks.objectives import About, Batch, Loss, Objective
from tasks.objectives._pairs import preference_metrics, sequence_logprobs
from tasks.objectives._reductions import over_pairs


@dataclass(frozen=True, kw_only=True)
class Simpo(Objective):
    """Logistic loss on length-normalised log-probabilities with a target margin."""

    rows = "pairs"
    about = About("pairs from pi", "rule", "±beta s(-m)", "1/(B|o|)", "2405.14734 eq. 6")

    beta: float = 2.0
    """Inverse temperature, per nat per token. Source: the paper's range, 2 to 10."""
    gamma_beta_ratio: float = 0.5
    """Target margin in units of beta: gamma = beta * ratio, in nats per token. Source: the authors' starting point."""

    def __post_init__(self) -> None:
        self.expect(self.beta > 0 and self.gamma_beta_ratio >= 0, "beta > 0 and gamma_beta_ratio >= 0")

    def loss(self, batch: Batch) -> Loss:
        """Return the logistic loss per pair of the step."""
        reward_N = self.beta * sequence_logprobs(batch, averaged=True)
        margin_P = reward_N[0::2] - reward_N[1::2] - self.beta * self.gamma_beta_ratio
        return Loss(over_pairs(-logsigmoid(margin_P), batch), preference_metrics(batch, reward_N))
