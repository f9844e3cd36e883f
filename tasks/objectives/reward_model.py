"""A reward model: the probability that one answer is better than another is a sigmoid of their rewards' difference.

Ouyang et al. 2022 (InstructGPT), arXiv:2203.02155, equation 1 (Bradley and Terry 1952), with the centring of Eisenstein
et al. 2023, arXiv:2312.09244, equation 2 (TRL's `center_rewards_coefficient`):

    L = (1 / P) sum [-log sigmoid(r(o+) - r(o-)) + center (r(o+) + r(o-))^2],   r the score of the last token

Iterative GRPO (arXiv:2402.03300, algorithm 1) continues its training between the iterations. Only differences of
rewards are learned; `center` keeps their mean near 0. A campaign does not name this file as its objective. Shapes:
N = 2P sequences, T tokens.
"""

from dataclasses import dataclass

from torch.nn.functional import logsigmoid

from tasks.objectives import About, Batch, Loss, Objective
from tasks.objectives._reductions import lengths, over_pairs


@dataclass(frozen=True, kw_only=True)
class RewardModel(Objective):
    """Bradley-Terry loss on the scores of whole answers."""

    rows = "pairs"
    trains = "reward_model"
    about = About("pairs from pi, archive", "rule", "on r: ±s(-(r+ - r-))", "1/B", "2203.02155 eq. 1")

    center: float = 0.0
    """Weight of the squared sum of a pair's rewards. Source: TRL, which recommends 0.01 where it is wanted."""

    def __post_init__(self) -> None:
        self.expect(self.center >= 0, "center >= 0")

    def loss(self, batch: Batch) -> Loss:
        """Return the loss per pair of the step."""
        last_N = lengths(batch).long() - 1
        reward_N = self.predictions(batch).gather(1, last_N[:, None]).squeeze(1)
        chosen_P, rejected_P = reward_N[0::2], reward_N[1::2]
        margin_P = chosen_P - rejected_P
        loss_P = -logsigmoid(margin_P) + self.center * (chosen_P + rejected_P) ** 2
        metrics = {
            "rewards/chosen": chosen_P,
            "rewards/rejected": rejected_P,
            "rewards/margins": margin_P,
            "rewards/accuracies": (margin_P > 0).to(margin_P.dtype),
            "rewards/mean": reward_N,
            "rewards/squared": reward_N**2,
        }
        return Loss(over_pairs(loss_P, batch), {name: values.detach() for name, values in metrics.items()})
