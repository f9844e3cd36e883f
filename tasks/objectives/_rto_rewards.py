"""The rewards that RTO puts on tokens, for its policy and its critic alike."""

from dataclasses import replace

import numpy as np

from tasks.objectives import Rollouts
from tasks.objectives._gae import Tokens, dpo_rewards, outcome_rewards

OUTCOME_BOUND = 10.0
"""The outcome's reward is clipped to this, as in the authors' code."""


def rto_rewards(rollouts: Rollouts, token_scale: float, token_clip: float, kl_coef: float) -> Tokens:
    """DPO log-ratio of each token, less KL to the reference, plus the outcome on the last token."""
    bounded = replace(rollouts, rewards=np.clip(rollouts.rewards, -OUTCOME_BOUND, OUTCOME_BOUND))
    parts = zip(dpo_rewards(rollouts, token_scale, token_clip), outcome_rewards(bounded, kl_coef), strict=True)
    return [tokens + outcome for tokens, outcome in parts]
