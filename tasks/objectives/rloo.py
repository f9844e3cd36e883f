"""RLOO: REINFORCE whose baseline is the mean reward of the other answers to the prompt.

Ahmadian et al. 2024 (Back to Basics), arXiv:2402.14740, with the clipped sequence ratio that TRL adds for
more than one step per batch:

    R_i = r_i - kl_coef sum_t [log pi_old(o_it) - log pi_ref(o_it)]
    A_i = R_i - (1 / (k - 1)) sum_{j != i} R_j
    L   = (1 / n) sum_i -min(rho_i A_i, clip(rho_i, 1 - eps, 1 + eps) A_i),   rho_i = exp(sum_t log pi - log pi_old)
    GC  = rho_i A_i 1[not clipped];   A_i at pi = pi_old, as in the paper

The answer is one action: no division by its length. A product of hundreds of ratios leaves the range quickly, so few
steps per batch. Shapes: N sequences, T tokens.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks.objectives import About, Batch, Column, Loss, Objective, Rollouts
from tasks.objectives._kl_reward import kl_to_go, leave_one_out
from tasks.objectives._reductions import lengths, over_sequences
from tasks.objectives._surrogate import log_ratio, ratio_metrics, surrogate


@dataclass(frozen=True, kw_only=True)
class Rloo(Objective):
    """REINFORCE on whole answers with a leave-one-out baseline."""

    rows = "groups"
    needs = ("old_logprobs", "advantages", "rewards", "ref_logprobs")
    reference = "initial"
    advantage = "leave_one_out"
    about = About("k from pi_old", "rule - kl_coef KL", "rho A 1[not clipped]", "1/n", "2402.14740")

    kl_coef: float = 0.03
    """Weight of KL in the reward, per nat; 0 loads no reference. Source: the paper, appendix C."""
    clip_eps: float = 0.2
    """Half-width of the sequence ratio's range. Source: TRL's default."""

    def __post_init__(self) -> None:
        self.expect(self.kl_coef >= 0 and 0 < self.clip_eps < 1, "kl_coef >= 0 and 0 < clip_eps < 1")

    @property
    def columns(self) -> tuple[Column, ...]:
        """Without KL in the reward the advantages are those of the table."""
        return self.needs if self.kl_coef else self.needs[:2]

    def final_columns(self, rollouts: Rollouts) -> dict[Column, list[NDArray[np.float32]]]:
        """Leave-one-out advantages of the reward less the KL of the whole answer."""
        if not self.kl_coef:
            return {}
        kl_N = np.array([to_go[0] for to_go in kl_to_go(rollouts)])
        advantage_N = leave_one_out(rollouts.rewards - self.kl_coef * kl_N, rollouts.groups)
        answers = zip(rollouts.old_logprobs, advantage_N, strict=True)
        return {"advantages": [np.full(len(old), advantage, np.float32) for old, advantage in answers]}

    def loss(self, batch: Batch) -> Loss:
        """Return the mean over answers of the clipped surrogate."""
        old_NT, advantage_NT = self.column(batch, "old_logprobs"), self.column(batch, "advantages")
        advantage_N = (advantage_NT * batch.mask).sum(-1) / lengths(batch)
        ratio_N = log_ratio(batch, old_NT).sum(-1).exp()
        loss_N = surrogate(ratio_N, advantage_N, self.clip_eps, self.clip_eps)
        metrics = ratio_metrics(batch, old_NT, ratio_N, advantage_N, self.clip_eps, self.clip_eps)
        return Loss(over_sequences(loss_N, batch), metrics)
