"""The critic of PPO: V(s_t), the expected return from before token t on.

Schulman et al. 2017, arXiv:1707.06347, equation 9 (L^VF), with the clipping of the authors' code and the half of verl:

    G_t = A_t + V_old(s_t)                                 A by GAE, not normalised, as in `ppo`
    L   = (1 / N) sum_i sum_t 1/2 max((V - G)^2, (V_old + clip(V - V_old, -eps_v, eps_v) - G)^2)

V_old are the values that the advantages of `ppo` were made with. `ppo` names this file as its critic; a campaign does
not name it. A fresh value head is far off: watch explained variance (`_value.py`) before trusting the advantages.
Shapes: N sequences, T tokens.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks.objectives import About, Batch, Column, Loss, Objective, Rollouts
from tasks.objectives._gae import advantages_and_returns, outcome_rewards
from tasks.objectives._reductions import token_mean
from tasks.objectives._value import value_loss


@dataclass(frozen=True, kw_only=True)
class PpoCritic(Objective):
    """Clipped squared error of the values, mean over tokens."""

    rows = "groups"
    trains = "critic"
    needs = ("values", "returns", "old_logprobs", "rewards", "ref_logprobs")
    reference = "initial"
    advantage = "reward"
    about = About(
        "as ppo", "rule - kl_coef KL", "on V: G - V, 0 where clipping makes it worse", "1/N", "1707.06347 eq. 9"
    )

    kl_coef: float = 0.001
    """As in `ppo`."""
    gamma: float = 1.0
    """As in `ppo`."""
    lam: float = 0.95
    """As in `ppo`."""
    value_clip: float = 0.2
    """eps_v, in reward: how far a value may go from the one before training. Source: OpenRLHF's default."""

    def __post_init__(self) -> None:
        self.expect(
            self.kl_coef >= 0 and 0 < self.gamma <= 1 and 0 <= self.lam <= 1 and self.value_clip > 0,
            "kl_coef >= 0, 0 < gamma <= 1, 0 <= lam <= 1 and value_clip > 0",
        )

    @property
    def columns(self) -> tuple[Column, ...]:
        """Without KL in the reward nobody's log-probabilities matter."""
        return self.needs if self.kl_coef else ("values", "returns", "rewards")

    def final_columns(self, rollouts: Rollouts) -> dict[Column, list[NDArray[np.float32]]]:
        """Returns of all tokens."""
        rewards = outcome_rewards(rollouts, self.kl_coef)
        return {"returns": advantages_and_returns(rewards, rollouts, self.gamma, self.lam)[1]}

    def loss(self, batch: Batch) -> Loss:
        """Return the token mean of the clipped squared error."""
        loss_NT, metrics = value_loss(self, batch, self.value_clip)
        return Loss(token_mean(loss_NT, batch), metrics)
