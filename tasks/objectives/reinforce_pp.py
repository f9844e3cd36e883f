"""REINFORCE++: PPO's clipped surrogate without a critic, advantages normalised over all tokens of the batch.

Hu et al. 2025, arXiv:2501.03262, equations 8 to 10:

    A_t = R - kl_coef sum_{s >= t} [log pi_old(o_s) - log pi_ref(o_s)]
    A_t <- (A_t - mean) / (std + 1e-8)                  over all tokens of the iteration, not of the group
    L   = (1 / N) sum_i sum_t -min(rho A_t, clip(rho, 1 - eps, 1 + eps) A_t),   N tokens of the step
    GC  = rho A_t 1[not clipped]

Shapes: N sequences, T tokens.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks.objectives import About, Batch, Column, Loss, Objective, Rollouts
from tasks.objectives._kl_reward import kl_to_go, whitened
from tasks.objectives._reductions import token_mean
from tasks.objectives._surrogate import log_ratio, ratio_metrics, surrogate


@dataclass(frozen=True, kw_only=True)
class ReinforcePp(Objective):
    """Clipped surrogate with globally normalised advantages."""

    rows = "groups"
    needs = ("old_logprobs", "advantages", "rewards", "ref_logprobs")
    reference = "initial"
    advantage = "whitened"
    about = About("any number from pi_old", "rule - kl_coef KL", "rho A_t 1[not clipped]", "1/N", "2501.03262 eq. 8-10")

    kl_coef: float = 0.001
    """Weight of KL in the reward, per nat; 0 loads no reference. Ours, as verl and Light-R1 weigh it."""
    clip_eps: float = 0.2
    """Half-width of the ratio's range. Source: OpenRLHF's default."""

    def __post_init__(self) -> None:
        self.expect(self.kl_coef >= 0 and 0 < self.clip_eps < 1, "kl_coef >= 0 and 0 < clip_eps < 1")

    @property
    def columns(self) -> tuple[Column, ...]:
        """Without KL in the reward the advantages are those of the table."""
        return self.needs if self.kl_coef else self.needs[:2]

    def final_columns(self, rollouts: Rollouts) -> dict[Column, list[NDArray[np.float32]]]:
        """Reward less the KL to go, normalised over all tokens."""
        if not self.kl_coef:
            return {}
        to_go = kl_to_go(rollouts)
        rewards = zip(rollouts.rewards, to_go, strict=True)
        return {"advantages": whitened([reward - self.kl_coef * kl for reward, kl in rewards])}

    def loss(self, batch: Batch) -> Loss:
        """Return the token mean of the clipped surrogate."""
        old_NT, advantage_NT = self.column(batch, "old_logprobs"), self.column(batch, "advantages")
        ratio_NT = log_ratio(batch, old_NT).exp()
        loss_NT = surrogate(ratio_NT, advantage_NT, self.clip_eps, self.clip_eps)
        metrics = ratio_metrics(batch, old_NT, ratio_NT, advantage_NT, self.clip_eps, self.clip_eps)
        return Loss(token_mean(loss_NT, batch), metrics)
