"""What goes into a loss and what comes out of it.

Shapes: N sequences (answers), P = N/2 pairs, T completion tokens (right padded), M completion tokens without padding,
C completion tokens of one answer.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

RowKind = Literal["pairs", "accepted", "groups"]
Column = Literal[
    "ref_logprobs", "old_logprobs", "advantages", "rewards", "values", "returns", "ref_kl", "dpo_logprobs",
    "dpo_ref_logprobs",
]  # fmt: skip
Trained = Literal["policy", "critic", "reward_model"]
"""What is trained, and so what the trainer computes: log-probabilities of the tokens; a value before each token; a
score after each token."""
Reference = Literal["previous", "initial", "none"]
"""The frozen policy: the iteration's starting one, the campaign's (after its warm-up), or none."""
Advantage = Literal["reward", "positive", "right", "centred", "standardised", "leave_one_out", "whitened", "process"]
"""What the stage `pair` makes of the rewards of a group; the formulas are in `tasks.pairing.advantages`."""
COLUMNS: Mapping[Column, str] = {
    "ref_logprobs": "reference log-probabilities",
    "old_logprobs": "the sampler's log-probabilities",
    "advantages": "advantages",
    "rewards": "rewards",
    "values": "the critic's values",
    "returns": "returns",
    "ref_kl": "divergences from the reference over the whole vocabulary",
    "dpo_logprobs": "log-probabilities under a DPO policy",
    "dpo_ref_logprobs": "log-probabilities under the reference of that DPO policy",
}
SCORED: tuple[Column, ...] = ("ref_logprobs", "old_logprobs", "values", "dpo_logprobs", "dpo_ref_logprobs")
"""Columns that a frozen model makes of the rows' tokens, before training: the stage `score`."""


@dataclass(frozen=True, kw_only=True)
class Batch:
    """The sequences of one forward pass. Pairs lie next to each other: 2i is chosen, 2i+1 rejected."""

    logprobs: Tensor
    """[N, T] log pi(token) in nats, with gradient; 0 where `mask` is 0."""
    mask: Tensor
    """[N, T] 1 on completion tokens, 0 on padding."""
    weights: Tensor
    """[N] 1, or 0 for a filler that makes the processes' batches equally many."""
    num_items: float
    """Pairs, answers or groups in the whole optimizer step, over all processes and micro-batches."""
    num_sequences: float
    """Answers in the whole optimizer step."""
    num_tokens: float
    """Completion tokens in the whole optimizer step."""
    num_chosen_tokens: float = 0.0
    """Those of chosen answers; pairs only."""
    ref_logprobs: Tensor | None = None
    """[N, T] log pi_ref(token), no gradient."""
    old_logprobs: Tensor | None = None
    """[N, T] log pi_old(token), of the policy that sampled."""
    advantages: Tensor | None = None
    """[N, T] how much better than expected each token was."""
    rewards: Tensor | None = None
    """[N] reward of the whole answer."""
    values: Tensor | None = None
    """[N, T] the critic's V(s_t) before training, no gradient."""
    returns: Tensor | None = None
    """[N, T] what V(s_t) should have been."""
    ref_kl: Tensor | None = None
    """[N, T] KL(pi_ref || pi) over the vocabulary, in nats, with gradient."""
    predicted: Tensor | None = None
    """[N, T] of a critic V(s_t), before token t; of a reward model its score after token t. With gradient; `logprobs`
    are then 0."""
    groups: Tensor | None = None
    """[N] 0, 1, ...: which answers are to the same prompt; groups only."""


@dataclass(frozen=True)
class Loss:
    """A loss and what to log beside it."""

    value: Tensor
    """Scalar. Summed over all micro-batches of a step it is the paper's loss on that step's rows."""
    metrics: Mapping[str, Tensor]
    """One number per pair, answer or token ([P], [N] or [M]), detached. The trainer averages them exactly over the
    step; of a name that ends in "/max" it takes the largest."""


@dataclass(frozen=True, kw_only=True)
class Rollouts:
    """All answers of a table, for what must be known of all of them before the first step."""

    rewards: NDArray[np.float64]
    """[N]"""
    advantages: list[NDArray[np.float32]]
    """N arrays [C], as the stage `pair` made them."""
    old_logprobs: list[NDArray[np.float32]]
    """N arrays [C]"""
    ref_logprobs: list[NDArray[np.float32]] | None
    """N arrays [C]; None without a reference, as below."""
    values: list[NDArray[np.float32]] | None = None
    """N arrays [C]: the critic's V(s_t)."""
    dpo_logprobs: list[NDArray[np.float32]] | None = None
    """N arrays [C]"""
    dpo_ref_logprobs: list[NDArray[np.float32]] | None = None
    """N arrays [C]"""
    groups: NDArray[np.int64]
    """[N] which answers are to the same prompt."""


@dataclass(frozen=True)
class About:
    """One line of the unified view (DeepSeekMath, arXiv:2402.03300, table 10): what `odr objectives` prints."""

    data: str
    """Who sampled what is trained on; pi is the policy at the start of the iteration."""
    reward: str
    coefficient: str
    """GC on a token; dL/dlogprob = -norm * GC."""
    norm: str
    """Weight of a token; n answers, B pairs, N tokens, |o| tokens of an answer."""
    paper: str
