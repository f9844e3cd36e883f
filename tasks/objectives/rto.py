"""RTO, reinforced token optimisation: PPO with a reward on every token, made of a DPO policy.

Zhong et al. 2024, arXiv:2404.18922, section 4, with the clipping and the reductions of the authors' code (OpenRLHF):

    r_t = clip(b1 (log pi_dpo(o_t) - log pi_dpo_ref(o_t)), -c, c) - kl_coef (log pi_old(o_t) - log pi_ref(o_t))
          + 1[t is the last token] clip(R, -10, 10)
    A_t = GAE of r and the critic's V, then (A_t - mean) / (std + 1e-8)   over all tokens, n in the deviation
    L   = (1 / n) sum_i (1 / |o_i|) sum_t -min(rho A_t, clip(rho, 1 - eps, 1 + eps) A_t)
    GC  = rho A_t 1[not clipped]

pi_dpo was trained by DPO before, against pi_dpo_ref, which need not be the reference of the KL; the authors' code takes
the initial policy for both. Keep b1 small: token rewards are to shape, not to outweigh R, and their mean is not 0, so
long answers collect it. `rto_critic` trains V. Shapes: N sequences, T tokens.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks.objectives import About, Batch, Column, Loss, Objective, Rollouts
from tasks.objectives._gae import advantages_and_returns
from tasks.objectives._kl_reward import whitened
from tasks.objectives._reductions import sequence_mean
from tasks.objectives._rto_rewards import rto_rewards
from tasks.objectives._surrogate import log_ratio, ratio_metrics, surrogate


@dataclass(frozen=True, kw_only=True)
class Rto(Objective):
    """Clipped surrogate with token rewards of a DPO policy and a critic as the baseline."""

    rows = "groups"
    critic = "rto_critic"
    needs = ("old_logprobs", "advantages", "rewards", "values", "dpo_logprobs", "dpo_ref_logprobs", "ref_logprobs")
    reference = "initial"
    advantage = "reward"
    about = About(
        "any number from pi_old", "rule + DPO tokens - kl_coef KL", "rho A_GAE 1[not clipped]", "1/(n|o|)",
        "2404.18922 sec. 4",
    )  # fmt: skip

    clip_eps: float = 0.2
    """Half-width of the ratio's range. Source: the authors' script."""
    token_scale: float = 0.05
    """b1, reward per nat of the DPO policy's log-ratio. Source: the authors' script."""
    token_clip: float = 0.05
    """c, in reward: bound of a token's reward, after scaling. Source: the authors' script."""
    kl_coef: float = 0.01
    """b2, weight of KL in the reward, per nat; 0 loads no reference. Source: the authors' script."""
    gamma: float = 1.0
    """Discount per token. Source: the authors' script."""
    lam: float = 0.95
    """Decay of GAE per token. Source: the authors' script."""
    value_clip: float = 0.2
    """Of the critic, in reward: how far a value may go from the one before training. Source: the authors' script."""

    def __post_init__(self) -> None:
        self.expect(
            0 < self.clip_eps < 1 and self.token_scale >= 0 and self.token_clip > 0 and self.kl_coef >= 0
            and 0 < self.gamma <= 1 and 0 <= self.lam <= 1 and self.value_clip > 0,
            "0 < clip_eps < 1, token_scale >= 0, token_clip > 0, kl_coef >= 0, 0 < gamma <= 1, 0 <= lam <= 1 and "
            "value_clip > 0",
        )  # fmt: skip

    @property
    def columns(self) -> tuple[Column, ...]:
        """Without KL in the reward there is no reference beside that of the DPO policy."""
        return self.needs if self.kl_coef else self.needs[:-1]

    def final_columns(self, rollouts: Rollouts) -> dict[Column, list[NDArray[np.float32]]]:
        """Advantages of all tokens, normalised."""
        rewards = rto_rewards(rollouts, self.token_scale, self.token_clip, self.kl_coef)
        advantages, _ = advantages_and_returns(rewards, rollouts, self.gamma, self.lam)
        return {"advantages": whitened(advantages)}

    def loss(self, batch: Batch) -> Loss:
        """Return the mean over answers of the token means of the clipped surrogate."""
        old_NT, advantage_NT = self.column(batch, "old_logprobs"), self.column(batch, "advantages")
        ratio_NT = log_ratio(batch, old_NT).exp()
        loss_NT = surrogate(ratio_NT, advantage_NT, self.clip_eps, self.clip_eps)
        metrics = ratio_metrics(batch, old_NT, ratio_NT, advantage_NT, self.clip_eps, self.clip_eps)
        return Loss(sequence_mean(loss_NT, batch), metrics)
