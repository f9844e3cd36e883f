"""Rewards on tokens and generalised advantage estimation: what PPO and RTO train the policy and its critic on.

Schulman et al. 2015, arXiv:1506.02438, equation 16:

    delta_t = r_t + gamma V_{t+1} - V_t                  V behind the last token is 0
    A_t     = sum_{l >= 0} (gamma lam)^l delta_{t+l}
    G_t     = A_t + V_t                                  the critic's target, of A before any normalisation

V_t is the critic's value of what stands before token t, so the last token's reward has its own V. The rewards carry no
gradient: KL is that of the sampling policy. Arrays, not tensors: this is done once for the whole table, before the
first step. Shapes: N answers, C tokens of one answer.
"""

import numpy as np
from numpy.typing import NDArray

from tasks.objectives import Rollouts

Tokens = list[NDArray[np.float64]]
"""N arrays [C]"""


def outcome_rewards(rollouts: Rollouts, kl_coef: float) -> Tokens:
    """r_t = -kl_coef (log pi_old - log pi_ref) + 1[t is the last token] R: the rewards of PPO."""
    found = [np.zeros(len(old), np.float64) for old in rollouts.old_logprobs]
    if kl_coef:
        assert rollouts.ref_logprobs is not None
        answers = zip(rollouts.old_logprobs, rollouts.ref_logprobs, strict=True)
        found = [-kl_coef * (old.astype(np.float64) - ref) for old, ref in answers]
    for rewards, outcome in zip(found, rollouts.rewards, strict=True):
        rewards[-1] += outcome
    return found


def dpo_rewards(rollouts: Rollouts, scale: float, bound: float) -> Tokens:
    """r_t = clip(scale (log pi_dpo - log pi_dpo_ref), -bound, bound): what a DPO policy says of each token."""
    assert rollouts.dpo_logprobs is not None
    assert rollouts.dpo_ref_logprobs is not None
    answers = zip(rollouts.dpo_logprobs, rollouts.dpo_ref_logprobs, strict=True)
    return [np.clip(scale * (dpo.astype(np.float64) - ref), -bound, bound) for dpo, ref in answers]


def gae(rewards_C: NDArray[np.float64], values_C: NDArray[np.float64], gamma: float, lam: float) -> NDArray[np.float64]:
    """[C] A_t of one answer, by the recursion A_t = delta_t + gamma lam A_{t+1} from its end."""
    following = np.append(values_C[1:], 0.0)
    deltas_C = rewards_C + gamma * following - values_C
    found_C, carried = np.empty(len(deltas_C)), 0.0
    for place in range(len(deltas_C) - 1, -1, -1):
        carried = found_C[place] = deltas_C[place] + gamma * lam * carried
    return found_C


def advantages_and_returns(
    rewards: Tokens, rollouts: Rollouts, gamma: float, lam: float
) -> tuple[Tokens, list[NDArray[np.float32]]]:
    """A of every token, not normalised, and G as exact as the values it is made of."""
    assert rollouts.values is not None
    values = [each.astype(np.float64) for each in rollouts.values]
    advantages = [gae(reward, value, gamma, lam) for reward, value in zip(rewards, values, strict=True)]
    answers = zip(advantages, values, rollouts.values, strict=True)
    return advantages, [(advantage + value).astype(given.dtype) for advantage, value, given in answers]
