"""What the rewards of a group say about each of its answers.

    name            A_i                                        from
    reward          R_i                                        BRAIn reads the reward itself
    positive        max(R_i, 0)                                RAFT++
    right           1[right]                                   RFT
    centred         R_i - mean R                               Dr. GRPO
    standardised    (R_i - mean R) / (std R + eps)             GRPO, DAPO, GSPO; std with `ddof`
    leave_one_out   R_i - mean of the others                   RLOO
    whitened        (R_i - mean) / (std + eps), over all tokens of the table     REINFORCE++; needs a second pass
    process         differs from token to token: `tasks.pairing.process`        GRPO with process supervision

Deviation and eps differ between libraries (TRL: ddof 1, eps 1e-4; verl: ddof 1, eps 1e-6; oat: eps 1e-8; the paper says
neither), and with few answers to a prompt that is no detail: one right of three is 1.1545, 1.1547 or 1.4142 (ddof 0).
A group of equal rewards has advantage exactly 0: rounding must not teach.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tasks.objectives import Advantage

WHITENING_EPS = 1e-8
NEED_CONTRAST: tuple[Advantage, ...] = ("centred", "standardised", "leave_one_out")
"""Compare the answers to a prompt with each other: one answer alone says nothing."""
NEED_GROUP: tuple[Advantage, ...] = (*NEED_CONTRAST, "process")
"""Need at least two answers to a prompt."""


def advantages(
    kind: Advantage, rewards: Sequence[float], right: Sequence[bool], *, ddof: int = 1, eps: float = 1e-4
) -> list[float]:
    """One value per answer of a group; "whitened" is left as the reward until the whole table is known.

    Raises:
        ValueError: "process", whose advantages are not one per answer.
    """
    if kind == "process":
        raise ValueError("pair.advantage=process goes by the steps of an answer, not by its reward alone")
    if kind in ("reward", "whitened"):
        return list(rewards)
    if kind == "positive":
        return [max(reward, 0.0) for reward in rewards]
    if kind == "right":
        return [float(each) for each in right]
    if max(rewards) == min(rewards):
        return [0.0] * len(rewards)
    n, mean = len(rewards), math.fsum(rewards) / len(rewards)
    if kind == "leave_one_out":
        return [(reward - mean) * n / (n - 1) for reward in rewards]
    scale = 1.0
    if kind == "standardised":
        scale = math.sqrt(math.fsum((reward - mean) ** 2 for reward in rewards) / (n - ddof)) + eps
    return [(reward - mean) / scale for reward in rewards]


@dataclass
class Moments:
    """Mean and deviation of a number that stands on every token, in one pass (Welford, weighted)."""

    tokens: int = 0
    mean: float = 0.0
    squares: float = 0.0

    def add(self, value: float, tokens: int) -> None:
        """Take in one answer of this many tokens."""
        self.tokens += tokens
        step = value - self.mean
        self.mean += step * tokens / self.tokens
        self.squares += step * (value - self.mean) * tokens

    def whiten(self, value: float) -> float:
        """Mean 0 and standard deviation 1 over all tokens that were taken in."""
        return (value - self.mean) / (math.sqrt(self.squares / self.tokens) + WHITENING_EPS)
