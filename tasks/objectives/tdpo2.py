"""TDPO2: token-level DPO that weighs the drift, and lets the drift of the chosen answer alone.

Zeng et al. 2024, arXiv:2404.11999, section 4 (second loss):

    u(o) = sum_t [log pi(o_t) - log pi_ref(o_t)]
    K(o) = sum_t KL(pi_ref(. | o_<t) || pi(. | o_<t))          over the whole vocabulary
    m    = beta [(u(o+) - u(o-)) - alpha (K(o-) - sg K(o+))]          sg: no gradient
    L    = - (1 / P) sum log sigmoid(m)
    GC   = +- beta sigmoid(-m)   on the log-probability;   -alpha beta sigmoid(-m) on the KL of o- alone

With gradient, `tdpo1`'s KL of the chosen answer would be pushed up. The authors' config leaves `if_tdpo2` off: their
"TDPO2" command trains TDPO1 unless told otherwise. Shapes: N = 2P sequences, T tokens.
"""

from dataclasses import dataclass

from torch.nn.functional import logsigmoid

from tasks.objectives import About, Batch, Loss, Objective
from tasks.objectives._pairs import divergence_metrics, divergences, log_ratios, preference_metrics
from tasks.objectives._reductions import over_pairs


@dataclass(frozen=True, kw_only=True)
class Tdpo2(Objective):
    """Logistic preference loss with a weighted sequential KL."""

    rows = "pairs"
    needs = ("ref_logprobs", "ref_kl")
    reference = "previous"
    about = About("pairs from pi", "rule", "on u: ±beta s(-m); on K(o-): -alpha beta s(-m)", "1/B", "2404.11999 sec. 4")

    beta: float = 0.1
    """Inverse temperature of the implied reward, per nat. Source: the authors' config."""
    alpha: float = 0.5
    """Weight of the difference of the divergences. Source: the authors' config."""

    def __post_init__(self) -> None:
        self.expect(self.beta > 0 and self.alpha >= 0, "beta > 0 and alpha >= 0")

    def loss(self, batch: Batch) -> Loss:
        """Return the logistic loss per pair of the step."""
        ratio_N, divergence_N = log_ratios(self, batch), divergences(self, batch)
        drift_P = divergence_N[1::2] - divergence_N[0::2].detach()
        margin_P = self.beta * (ratio_N[0::2] - ratio_N[1::2] - self.alpha * drift_P)
        rewards_N = self.beta * (ratio_N + self.alpha * divergence_N)
        metrics = preference_metrics(batch, rewards_N) | divergence_metrics(divergence_N)
        return Loss(over_pairs(-logsigmoid(margin_P), batch), metrics)
