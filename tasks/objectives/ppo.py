"""PPO: the clipped surrogate with a learned baseline on every token and KL in the reward.

Schulman et al. 2017, arXiv:1707.06347, equations 7 and 11; the reward on tokens as in Ouyang et al. 2022
(InstructGPT), arXiv:2203.02155, section 3.5:

    r_t = -kl_coef (log pi_old(o_t) - log pi_ref(o_t)) + 1[t is the last token] R
    A_t = sum_{l >= 0} (gamma lam)^l (r_{t+l} + gamma V_{t+l+1} - V_{t+l})          V behind the end is 0
    A_t <- (A_t - mean) / (std + 1e-8)        over all tokens of the iteration, n - 1 in the deviation, as verl
    L   = (1 / N) sum_i sum_t -min(rho A_t, clip(rho, 1 - eps, 1 + eps) A_t),   N tokens of the step
    GC  = rho A_t 1[not clipped]

V is the critic's, which `ppo_critic` trains on the same rows before the next iteration. Shapes: N sequences, T tokens.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks.objectives import About, Batch, Column, Loss, Objective, Rollouts
from tasks.objectives._gae import advantages_and_returns, outcome_rewards
from tasks.objectives._kl_reward import whitened
from tasks.objectives._reductions import token_mean
from tasks.objectives._surrogate import log_ratio, ratio_metrics, surrogate


@dataclass(frozen=True, kw_only=True)
class Ppo(Objective):
    """Clipped surrogate whose baseline is a critic."""

    rows = "groups"
    critic = "ppo_critic"
    needs = ("old_logprobs", "advantages", "rewards", "values", "ref_logprobs")
    reference = "initial"
    advantage = "reward"
    about = About(
        "any number from pi_old", "rule - kl_coef KL", "rho A_GAE 1[not clipped]", "1/N", "1707.06347 eq. 7, 11"
    )

    clip_eps: float = 0.2
    """Half-width of the ratio's range. Source: the paper, section 6.1."""
    kl_coef: float = 0.001
    """Weight of KL in the reward, per nat; 0 loads no reference. Source: Online-DPO-R1's verl run."""
    gamma: float = 1.0
    """Discount per token. Source: verl's and OpenRLHF's default."""
    lam: float = 0.95
    """Decay of GAE per token: 1 trusts the rewards, 0 the critic. Source: the paper, section 6.1."""
    value_clip: float = 0.2
    """Of the critic, in reward: how far a value may go from the one before training. Source: OpenRLHF's default."""

    def __post_init__(self) -> None:
        self.expect(
            0 < self.clip_eps < 1 and self.kl_coef >= 0 and 0 < self.gamma <= 1 and 0 <= self.lam <= 1
            and self.value_clip > 0,
            "0 < clip_eps < 1, kl_coef >= 0, 0 < gamma <= 1, 0 <= lam <= 1 and value_clip > 0",
        )  # fmt: skip

    @property
    def columns(self) -> tuple[Column, ...]:
        """Without KL in the reward there is no reference."""
        return self.needs if self.kl_coef else self.needs[:-1]

    def final_columns(self, rollouts: Rollouts) -> dict[Column, list[NDArray[np.float32]]]:
        """Advantages of all tokens, normalised."""
        rewards = outcome_rewards(rollouts, self.kl_coef)
        advantages, _ = advantages_and_returns(rewards, rollouts, self.gamma, self.lam)
        return {"advantages": whitened(advantages, ddof=1)}

    def loss(self, batch: Batch) -> Loss:
        """Return the token mean of the clipped surrogate."""
        old_NT, advantage_NT = self.column(batch, "old_logprobs"), self.column(batch, "advantages")
        ratio_NT = log_ratio(batch, old_NT).exp()
        loss_NT = surrogate(ratio_NT, advantage_NT, self.clip_eps, self.clip_eps)
        metrics = ratio_metrics(batch, old_NT, ratio_NT, advantage_NT, self.clip_eps, self.clip_eps)
        return Loss(token_mean(loss_NT, batch), metrics)
