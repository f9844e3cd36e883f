"""The critic of RTO: V(s_t), the expected return from before token t on, token rewards of the DPO policy included.

Zhong et al. 2024, arXiv:2404.18922, section 4, as in the authors' code (OpenRLHF):

    G_t = A_t + V_old(s_t)                                 A by GAE, not normalised, as in `rto`
    L   = (1 / n) sum_i (1 / |o_i|) sum_t 1/2 max((V - G)^2, (V_old + clip(V - V_old, -eps_v, eps_v) - G)^2)

`rto` names this file as its critic; a campaign does not name it. Shapes: N sequences, T tokens.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks.objectives import About, Batch, Column, Loss, Objective, Rollouts
from tasks.objectives._gae import advantages_and_returns
from tasks.objectives._reductions import sequence_mean
from tasks.objectives._rto_rewards import rto_rewards
from tasks.objectives._value import value_loss


@dataclass(frozen=True, kw_only=True)
class RtoCritic(Objective):
    """Clipped squared error of the values, mean over answers of their token means."""

    rows = "groups"
    trains = "critic"
    needs = ("values", "returns", "rewards", "dpo_logprobs", "dpo_ref_logprobs", "old_logprobs", "ref_logprobs")
    reference = "initial"
    advantage = "reward"
    about = About("as rto", "as rto", "on V: G - V, 0 where clipping makes it worse", "1/(n|o|)", "2404.18922 sec. 4")

    token_scale: float = 0.05
    """As in `rto`."""
    token_clip: float = 0.05
    """As in `rto`."""
    kl_coef: float = 0.01
    """As in `rto`."""
    gamma: float = 1.0
    """As in `rto`."""
    lam: float = 0.95
    """As in `rto`."""
    value_clip: float = 0.2
    """eps_v, in reward: how far a value may go from the one before training. Source: the authors' script."""

    def __post_init__(self) -> None:
        self.expect(
            self.token_scale >= 0 and self.token_clip > 0 and self.kl_coef >= 0 and 0 < self.gamma <= 1
            and 0 <= self.lam <= 1 and self.value_clip > 0,
            "token_scale >= 0, token_clip > 0, kl_coef >= 0, 0 < gamma <= 1, 0 <= lam <= 1 and value_clip > 0",
        )  # fmt: skip

    @property
    def columns(self) -> tuple[Column, ...]:
        """Without KL in the reward neither the sampler nor the reference matters."""
        return self.needs if self.kl_coef else self.needs[:-2]

    def final_columns(self, rollouts: Rollouts) -> dict[Column, list[NDArray[np.float32]]]:
        """Returns of all tokens."""
        rewards = rto_rewards(rollouts, self.token_scale, self.token_clip, self.kl_coef)
        return {"returns": advantages_and_returns(rewards, rollouts, self.gamma, self.lam)[1]}

    def loss(self, batch: Batch) -> Loss:
        """Return the mean over answers of their clipped squared errors per token."""
        loss_NT, metrics = value_loss(self, batch, self.value_clip)
        return Loss(sequence_mean(loss_NT, batch), metrics)
