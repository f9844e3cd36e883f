"""Every table that flows between stages. READ THIS SECOND (first: the iteration flow).

    Prompt ──sample──> Rollout ──grade──> Grade ──pair──> Pair | Accepted | Group ──train──> a checkpoint
    Pair | Accepted | Group ──score──> TokenScores, which `train` reads beside the rows
    a checkpoint ──evaluate──> Score

One class is one row of one Parquet table; `artifacts.schema` derives the columns from the fields below. The two tables
of numbers, TokenScores and Score, are in `artifacts.scores`.
Tokens are the truth: what is trained on is stored as the ids that were sampled; nothing is tokenised twice.

Each class has
    KIND     name of the table, and of its folder in the store
    VERSION  raised by one when a column is added, removed or changes its meaning; readers refuse others
    KEY      columns that name a row; rows with equal `prompt_id` stand next to each other

Shapes: P prompt tokens, C completion tokens.
"""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

Int32 = Annotated[int, "int32"]
"""A column of 4-byte integers: token ids and sample numbers."""
Float32 = Annotated[float, "float32"]
"""A column of 4-byte floats: per-token numbers, which no engine reports with more precision."""
Repeated = Annotated[str, "repeated"]
"""A column whose few different strings occur many times; each is stored once per row group."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """One problem with its reference answers. Written by the import, read by `sample` and `grade`."""

    KIND: ClassVar[str] = "prompts"
    VERSION: ClassVar[int] = 1
    KEY: ClassVar[tuple[str, ...]] = ("prompt_id",)

    prompt_id: Repeated
    """Names the problem in every later table; unique within one table."""
    question: str
    """The problem as its author wrote it, without instructions or chat template."""
    answers: list[str]
    """Accepted reference answers; matching any one of them suffices. Empty: the problem cannot be graded."""
    solution: str | None
    """A worked solution, used by the warm-up only. None: the source has none."""
    source: Repeated
    """Where the problem comes from, such as "gsm8k/train"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """One sampled completion. Written by `sample`, read by `grade` and `pair`."""

    KIND: ClassVar[str] = "rollouts"
    VERSION: ClassVar[int] = 1
    KEY: ClassVar[tuple[str, ...]] = ("prompt_id", "sample_index")

    prompt_id: Repeated
    """The problem that was asked."""
    sample_index: Int32
    """0 <= sample_index < samples per prompt."""
    prompt_ids: list[Int32]
    """[P] tokens fed to the sampler: the rendered chat template, special tokens included."""
    completion_ids: list[Int32]
    """[C] tokens sampled, with the end-of-turn token if one was sampled."""
    logprobs: list[Float32]
    """[C] nats: log-probability of each sampled token at the sampling temperature."""
    finish_reason: Literal["stop", "length"]
    """"stop": the model ended its turn. "length": cut off by the token limit; never counts as finished."""
    seed: int
    """Seed of this one request, so that the completion can be drawn again alone."""
    text: str
    """The completion decoded, special tokens visible, without the one that ended it; trainers never read it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grade:
    """The verdict on one rollout. Written by `grade`, read by `pair` and `evaluate`."""

    KIND: ClassVar[str] = "grades"
    VERSION: ClassVar[int] = 1
    KEY: ClassVar[tuple[str, ...]] = ("prompt_id", "sample_index")

    prompt_id: Repeated
    """The problem that was asked."""
    sample_index: Int32
    """Which of its rollouts was graded."""
    correct: bool | None
    """None: no verdict could be reached, and it is not the response's fault. Never read it as False."""
    reward: float | None
    """What training maximises; higher is better. None yields no training row."""
    reason: Repeated
    """Why the verdict is what it is, as `eval_math` names it."""
    answer: str | None
    """The answer found in the completion. None: there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A better and a worse completion of one prompt. Written by `pair`, read by `train` (DPO and its kin)."""

    KIND: ClassVar[str] = "pairs"
    VERSION: ClassVar[int] = 2
    KEY: ClassVar[tuple[str, ...]] = ("prompt_id", "chosen_index", "rejected_index")

    prompt_id: Repeated
    """The problem that was asked."""
    prompt_ids: list[Int32]
    """[P] tokens both completions follow."""
    chosen_index: Int32
    """`sample_index` of the better rollout."""
    rejected_index: Int32
    """`sample_index` of the worse rollout."""
    chosen_ids: list[Int32]
    """[C of chosen] its completion tokens."""
    rejected_ids: list[Int32]
    """[C of rejected] its completion tokens."""
    chosen_logprobs: list[Float32]
    """[C of chosen] nats, the sampler's."""
    rejected_logprobs: list[Float32]
    """[C of rejected] nats, the sampler's."""
    chosen_reward: float
    """Greater than `rejected_reward`."""
    rejected_reward: float
    """Less than `chosen_reward`."""
    pass_rate: float | None = None
    """Share of right answers among those sampled for the prompt: its difficulty. None: nobody sampled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """A completion to imitate. Written by `pair` and the warm-up, read by `train` (RAFT, warm-up)."""

    KIND: ClassVar[str] = "accepted"
    VERSION: ClassVar[int] = 2
    KEY: ClassVar[tuple[str, ...]] = ("prompt_id", "sample_index")

    prompt_id: Repeated
    """The problem that was asked."""
    sample_index: Int32
    """Which of its rollouts was accepted."""
    prompt_ids: list[Int32]
    """[P] tokens the completion follows."""
    completion_ids: list[Int32]
    """[C] tokens to imitate."""
    logprobs: list[Float32]
    """[C] nats, the sampler's; empty for a demonstration, which nobody sampled."""
    pass_rate: float | None = None
    """As in `Pair`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """One rollout with its advantages. Written by `pair`, read by `train` (GRPO and its kin).

    A group is all rows of one prompt; no optimizer step takes a part of one.
    """

    KIND: ClassVar[str] = "groups"
    VERSION: ClassVar[int] = 2
    KEY: ClassVar[tuple[str, ...]] = ("prompt_id", "sample_index")

    prompt_id: Repeated
    """The problem that was asked; rows of one group share it."""
    sample_index: Int32
    """Which of its rollouts this is."""
    prompt_ids: list[Int32]
    """[P] tokens the completion follows."""
    completion_ids: list[Int32]
    """[C] tokens sampled."""
    logprobs: list[Float32]
    """[C] nats, the sampler's: the "old" policy of the ratio."""
    reward: float
    """Reward of the whole completion."""
    correct: bool
    """The verdict on it; what has none yields no row."""
    advantages: list[Float32]
    """[C] how much better than expected each token was; one value throughout if only the end is rewarded."""
    pass_rate: float | None = None
    """As in `Pair`."""
