"""KL to the reference as a part of the reward: k1 of the sampling policy, which carries no gradient.

    KL_t = log pi_old(o_t) - log pi_ref(o_t)

Arrays, not tensors: this is done once for the whole table, before the first step. Shapes: N answers, C tokens of one
answer.
"""

import numpy as np
from numpy.typing import NDArray

from tasks.objectives import Rollouts

EPS = 1e-8
"""Added to the standard deviation of all tokens, which is 0 only where there is nothing to learn."""


def kl_to_go(rollouts: Rollouts) -> list[NDArray[np.float64]]:
    """N arrays [C]: the sum of KL_t from each token to the end."""
    assert rollouts.ref_logprobs is not None
    pairs = zip(rollouts.old_logprobs, rollouts.ref_logprobs, strict=True)
    return [np.cumsum((old.astype(np.float64) - ref)[::-1])[::-1] for old, ref in pairs]


def whitened(advantages: list[NDArray[np.float64]], *, ddof: int = 0) -> list[NDArray[np.float32]]:
    """Mean 0 and standard deviation 1 over all tokens; the squares are divided by their number less `ddof`."""
    tokens = np.concatenate(advantages)
    mean, deviation = tokens.mean(), tokens.std(ddof=min(ddof, len(tokens) - 1))
    return [((each - mean) / (deviation + EPS)).astype(np.float32) for each in advantages]


def leave_one_out(rewards: NDArray[np.float64], groups: NDArray[np.int64]) -> NDArray[np.float64]:
    """[N] reward less the mean of the others in its group."""
    _, index, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    others = np.bincount(index, weights=rewards)[index] - rewards
    return rewards - others / np.maximum(sizes[index] - 1, 1)
