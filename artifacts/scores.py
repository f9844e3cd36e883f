"""The tables of numbers: what a frozen model says of tokens, and what a benchmark says of a checkpoint.

As in `artifacts.rows`, which says how a class becomes a table. Shapes: C completion tokens.
"""

from dataclasses import dataclass
from typing import ClassVar

from artifacts.rows import Float32, Repeated


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenScores:
    """What a frozen model says of each token of one answer. Written by `score`, read by `train`.

    The rows stand in the order of the table that was scored; of a pair, the chosen answer comes first.
    """

    KIND: ClassVar[str] = "token_scores"
    VERSION: ClassVar[int] = 1
    KEY: ClassVar[tuple[str, ...]] = ("sequence",)

    prompt_id: Repeated
    """The problem that was asked."""
    sequence: int
    """Counts the answers of the scored table from 0."""
    scored_rows: Repeated
    """Digest of the scored table. Here, and not beside the table, because equal content is one artifact."""
    model: Repeated
    """Digest of the frozen checkpoint."""
    values: list[Float32]
    """[C] of a policy log-probabilities in nats, of a critic V before each token, of a reward model its score after
    each token."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """One number of one benchmark. Written by `evaluate`, read by tracking and `compare`."""

    KIND: ClassVar[str] = "scores"
    VERSION: ClassVar[int] = 1
    KEY: ClassVar[tuple[str, ...]] = ("benchmark", "metric")

    benchmark: Repeated
    """Name of the benchmark, such as "math500"."""
    metric: Repeated
    """"mean@4", "maj@4", "pass@4", "greedy", "mean_tokens", "truncated", ..."""
    value: float
    """A fraction in [0, 1] for accuracies, tokens for "mean_tokens"."""
    standard_error: float | None
    """Of `value`, in its unit. None: not defined for this metric."""
    num_problems: int
    """Problems that `value` averages over."""
    num_samples: int
    """Completions per problem."""
