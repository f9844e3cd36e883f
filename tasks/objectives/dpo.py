"""DPO: rank the chosen answer above the rejected one.

Rafailov et al. 2023, arXiv:2305.18290, equation 7, with the label smoothing of the paper's noise-aware
variant (conservative DPO; 0 gives equation 7):

    u(o) = sum_t [log pi(o_t) - log pi_ref(o_t)]
    m    = beta (u(o+) - u(o-))
    L    = - (1 / P) sum [(1 - eps) log sigmoid(m) + eps log sigmoid(-m)]
    GC   = +- beta [(1 - eps) sigmoid(-m) - eps sigmoid(m)]   on every token of o+ (+) and o- (-)

A sequence log-probability is a sum over tokens: dividing by the length is another algorithm. TRL 1.16
ignores `label_smoothing` for this loss; here it counts. Shapes: N rows, P = N/2 pairs, T tokens.
"""

from dataclasses import dataclass

from torch.nn.functional import logsigmoid

from tasks.objectives import Batch, Loss, Objective


@dataclass(frozen=True, kw_only=True)
class Dpo(Objective):
    """Logistic preference loss against a frozen reference."""

    rows = "pairs"
    needs_reference = True

    beta: float = 0.1
    """Inverse temperature of the implied reward, per nat; larger keeps pi closer to the reference."""
    label_smoothing: float = 0.0
    """Assumed share of flipped pairs, 0 to 0.5."""

    def __post_init__(self) -> None:
        if self.beta <= 0 or not 0 <= self.label_smoothing < 0.5:
            raise ValueError(
                f"dpo needs beta > 0 and 0 <= label_smoothing < 0.5, found beta={self.beta}, "
                f"label_smoothing={self.label_smoothing}"
            )

    def loss(self, batch: Batch) -> Loss:
        """Return the (smoothed) logistic loss per pair of the step.

        Raises:
            ValueError: the batch carries no reference log-probabilities.
        """
        if batch.ref_logprobs is None:
            raise ValueError("dpo needs reference log-probabilities in the batch")
        logprob_N = (batch.logprobs * batch.mask).sum(-1)
        reward_N = self.beta * (logprob_N - (batch.ref_logprobs * batch.mask).sum(-1))
        chosen_P, rejected_P = reward_N[0::2], reward_N[1::2]
        margin_P = chosen_P - rejected_P
        eps = self.label_smoothing
        loss_P = -(1 - eps) * logsigmoid(margin_P) - eps * logsigmoid(-margin_P)
        value = (loss_P * batch.weights[0::2]).sum() / batch.num_items
        metrics = {
            "rewards/chosen": chosen_P,
            "rewards/rejected": rejected_P,
            "rewards/margins": margin_P,
            "rewards/accuracies": (margin_P > 0).to(margin_P.dtype),
            "logps/chosen": logprob_N[0::2],
            "logps/rejected": logprob_N[1::2],
        }
        return Loss(value, {name: tensor.detach() for name, tensor in metrics.items()})
