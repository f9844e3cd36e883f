"""TDPO1, token-level DPO: DPO whose margin also counts how far each answer's distributions have drifted.

Zeng et al. 2024, arXiv:2404.11999, section 4 (first loss):

    u(o) = sum_t [log pi(o_t) - log pi_ref(o_t)]
    K(o) = sum_t KL(pi_ref(. | o_<t) || pi(. | o_<t))          over the whole vocabulary, with gradient
    m    = beta [(u(o+) + K(o+)) - (u(o-) + K(o-))]
    L    = - (1 / P) sum log sigmoid(m)
    GC   = +- beta sigmoid(-m)   on the log-probability and on each token's KL alike

On the logits z of a chosen answer that is dm/dz = beta (onehot - pi_ref): the sampled token rises, what the reference
gave falls, whatever pi is. Shapes: N = 2P sequences, T tokens.
"""

from dataclasses import dataclass

from torch.nn.functional import logsigmoid

from tasks.objectives import About, Batch, Loss, Objective
from tasks.objectives._pairs import divergence_metrics, divergences, log_ratios, preference_metrics
from tasks.objectives._reductions import over_pairs


@dataclass(frozen=True, kw_only=True)
class Tdpo1(Objective):
    """Logistic preference loss with the sequential KL of both answers."""

    rows = "pairs"
    needs = ("ref_logprobs", "ref_kl")
    reference = "previous"
    about = About("pairs from pi", "rule", "on u + K: ±beta s(-m)", "1/B", "2404.11999 sec. 4")

    beta: float = 0.1
    """Inverse temperature of the implied reward, per nat. Source: the authors' config."""

    def __post_init__(self) -> None:
        self.expect(self.beta > 0, "beta > 0")

    def loss(self, batch: Batch) -> Loss:
        """Return the logistic loss per pair of the step."""
        divergence_N = divergences(self, batch)
        reward_N = self.beta * (log_ratios(self, batch) + divergence_N)
        margin_P = reward_N[0::2] - reward_N[1::2]
        metrics = preference_metrics(batch, reward_N) | divergence_metrics(divergence_N)
        return Loss(over_pairs(-logsigmoid(margin_P), batch), metrics)
