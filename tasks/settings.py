"""Every knob of a run, one frozen class per stage, with its unit, range and effect.

Two rules hold here. A field of a *stage* class changes what the stage computes, so it is part of that
stage's cache key. A field of `tasks.machine.Machine` changes only where and how fast the same thing is computed, so it
is part of no key: moving a campaign from one device to eight reuses what is finished.
"""

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Settings(BaseModel):
    """Base of all settings: immutable, and a key nobody reads is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Source(Settings):
    """Where rows with a question come from: a local file or a dataset on the hub."""

    path: Path | None = Field(default=None, description="A .jsonl or .parquet file; $ODR_HOME is expanded.")
    dataset: str | None = Field(default=None, description="Dataset name on the hub; {iteration} counts from 1.")
    subset: str | None = Field(default=None, description="Configuration name of the hub dataset.")
    split: str = Field(default="train", description="Split of the hub dataset.")
    revision: str | None = Field(default=None, description="Commit of the hub dataset; pin it for repeatable runs.")
    question: str = Field(default="question", description="Column with the problem.")
    answer: str = Field(default="answer", description="Column with the reference answer: text, number or a list.")
    solution: str | None = Field(default=None, description="Column with a worked solution (needed by a warm-up).")
    per_iteration: int | None = Field(
        default=None,
        ge=1,
        description="Prompts per iteration, drawn without repeats from one seeded shuffle. Default: all.",
    )

    @model_validator(mode="after")
    def _one_place(self) -> "Source":
        if (self.path is None) == (self.dataset is None):
            raise ValueError("give either `path` (a local file) or `dataset` (a hub name), not both and not neither")
        return self


class Template(Settings):
    """How a question becomes the user's turn. The model's own chat template does the rest."""

    system: str | None = Field(
        default=None, description="System message; null leaves it to the chat template's default."
    )
    suffix: str = Field(default="", description="Text put after the question, e.g. how to mark the final answer.")
    stop: tuple[str, ...] = Field(
        default=(),
        description="More tokens that end a turn; the tokenizer's and the model's own are always included.",
    )


class Sampling(Settings):
    """K answers per prompt."""

    engine: Literal["vllm", "transformers"] = Field(
        default="vllm", description="`transformers` where vLLM cannot run: slow."
    )
    samples_per_prompt: int = Field(default=8, ge=1, description="K. Pairs need at least 2.")
    temperature: float = Field(default=1.0, ge=0.0, description="0 is greedy decoding.")
    top_p: float = Field(default=1.0, gt=0.0, le=1.0, description="Nucleus; 1 keeps the whole distribution.")
    max_tokens: int = Field(
        default=4096, ge=1, description="Longest answer, in tokens. A cut answer never counts as finished."
    )
    max_model_len: int | None = Field(
        default=None, ge=8, description="Prompt plus answer, in tokens. Default: what the model supports."
    )
    overlong_prompts: Literal["error", "drop"] = Field(
        default="error", description="A prompt that fills the context: stop, or drop and count it."
    )
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        default="auto", description="Weights while sampling."
    )
    shard_prompts: int = Field(default=64, ge=1, description="Prompts per shard: the unit of resuming.")


class Grading(Settings):
    """The rule that turns an answer into a reward."""

    reward: str = Field(default="boxed_correct", description="A name of eval_math.rewards, or `module:function`.")
    reward_options: dict[str, Any] = Field(
        default_factory=dict, description="Parameters of that function by name, such as {budget_chars: 6000}."
    )
    deadline: float = Field(default=5.0, gt=0, description="Seconds one answer may take before it counts as wrong.")
    shuffle: bool = Field(
        default=False, description="Negative control: hand every verdict to another answer. Nothing may be learned."
    )


class Pairing(Settings):
    """How graded rollouts become training rows."""

    rule: Literal["max_min", "max_random", "max_max", "max_min_length"] = Field(
        default="max_min",
        description="Best by reward against the worst, any, the best of the others, or the worst with a price on "
        "length; ties are drawn by seed.",
    )
    length_penalty: float = Field(default=0.0, ge=0, description="max_min_length: reward a token costs.")
    pairs_per_prompt: int = Field(default=1, ge=1, description="Pairs of one prompt share no answer.")
    min_margin: float = Field(default=0.0, ge=0, description="Least difference of the rewards of a pair.")
    right_over_wrong: bool = Field(
        default=True, description="Chosen is right and rejected wrong; false lets the reward alone decide."
    )
    accepted_per_prompt: int | None = Field(
        default=1, ge=1, description="RAFT: right answers kept per prompt; null keeps all."
    )
    accept: Literal["drawn", "best"] = Field(
        default="drawn", description="Which right answers are kept: drawn by seed, or the best by reward."
    )
    distinct: bool = Field(
        default=False,
        description="Accept, or put into a group, each text once per prompt (as RFT does); otherwise as sampled.",
    )
    drop_truncated: bool = Field(default=True, description="An answer cut at max_tokens never becomes a row.")
    advantage: (
        Literal["reward", "positive", "right", "centred", "standardised", "leave_one_out", "whitened", "process"] | None
    ) = Field(
        default=None,
        description="Groups: what is made of the rewards. Default: as the objective's paper has it. process: of the "
        "equations in each step.",
    )
    advantage_ddof: Literal[0, 1] = Field(
        default=1, description="standardised, process: divide the squared deviations by n - ddof."
    )
    advantage_eps: float = Field(
        default=1e-4, ge=0, description="standardised, process: added to the deviation, in reward."
    )
    uniform_groups: Literal["keep", "drop"] = Field(
        default="keep", description="Groups of equal rewards, which only a KL term acts on; DAPO drops them."
    )
    min_pass_rate: float = Field(
        default=0.0, ge=0, le=1, description="Prompts that are solved more rarely are left out."
    )
    max_pass_rate: float = Field(
        default=1.0, ge=0, le=1, description="Prompts that are solved more often are left out."
    )

    @model_validator(mode="after")
    def _band(self) -> "Pairing":
        if self.min_pass_rate > self.max_pass_rate:
            raise ValueError(
                f"pair.min_pass_rate {self.min_pass_rate} is above pair.max_pass_rate {self.max_pass_rate}: no prompt "
                "would be left"
            )
        return self


class Lora(Settings):
    """Training of low-rank additions to the weights instead of the weights; the result holds the sums."""

    rank: int = Field(ge=1)
    alpha: float = Field(gt=0, description="The addition is alpha / rank times the product of its two matrices.")
    dropout: float = Field(default=0.0, ge=0.0, lt=1.0, description="Of what enters the addition.")
    target_modules: Literal["all-linear"] | tuple[str, ...] = Field(
        default="all-linear", description="Names of the matrices that get one; all-linear: all but the head."
    )


class Training(Settings):
    """One pass of optimisation over one set of rows."""

    learning_rate: float = Field(default=5e-7, gt=0)
    schedule: Literal["constant", "linear", "cosine"] = Field(
        default="cosine", description="After the warm-up steps, to zero."
    )
    warmup_steps: int = Field(default=0, ge=0, description="Optimizer steps of linear increase.")
    epochs: int = Field(default=1, ge=1, description="Passes over the rows; each is shuffled anew.")
    batch_size: int = Field(
        default=128, ge=1, description="Pairs, answers or groups (prompts) per optimizer step, over all processes."
    )
    order: Literal["shuffled", "easy_first", "hard_first"] = Field(
        default="shuffled", description="Order of the rows in an epoch: anew by seed, or by the prompt's pass rate."
    )
    old_logprobs: Literal["recorded", "recomputed"] = Field(
        default="recorded",
        description="The ratio's denominator: the sampler's own log-probabilities, or those of the trainer before the "
        "first step (one more forward pass; no gap between two engines, but the sampling temperature is forgotten).",
    )
    reference_logprobs: Literal["recompute", "recorded"] = Field(
        default="recompute",
        description="recorded: where the reference is the policy that sampled, the sampler's own log-probabilities "
        "serve, and no scoring pass is needed; the difference is reported as sampler_gap_*.",
    )
    max_kl: float | None = Field(
        default=None, gt=0, description="Stop after a step whose KL(pi_old || pi) per token is above this, in nats."
    )
    betas: tuple[float, float] = Field(default=(0.9, 0.999), description="AdamW.")
    weight_decay: float = Field(default=0.0, ge=0)
    max_grad_norm: float = Field(default=1.0, gt=0)
    max_length: int | None = Field(
        default=None, ge=8, description="Rows longer than this (prompt plus answer, tokens) are dropped and counted."
    )
    dtype: Literal["float32", "bfloat16"] = Field(default="bfloat16", description="Weights in forward and backward.")
    lora: Lora | None = Field(default=None, description="Train a low-rank adapter; null trains every weight.")
    gradient_checkpointing: bool = Field(default=True, description="Trade a second forward pass for memory.")
    save_steps: int = Field(default=100, ge=1, description="Optimizer steps between checkpoints to resume from.")


class RewardModel(Settings):
    """A model's opinion beside the rule's: reward = rule_weight * rule + weight * (score - mean) / std."""

    model: str = Field(description="Folder of the reward model; `odr reward-model` trains one and prints this section.")
    mean: float = Field(description="Of its scores on the answers it was trained on.")
    std: float = Field(gt=0)
    weight: float = Field(default=1.0, description="0.1 lets it order answers of equal verdict only.")
    rule_weight: float = Field(default=1.0)


class TokenReward(Settings):
    """A reward on every token: the log-ratio of a policy that DPO trained to the reference it was trained against."""

    policy: str = Field(description="Folder, hub name, or campaign/iteration such as demo/3.")
    reference: str = Field(description="The DPO run's own reference, such as demo/2 (reference: previous).")


class Benchmark(Settings):
    """One benchmark and how often each problem is tried."""

    name: str = Field(description="A benchmark of eval_math, any file in `data_dir`, or one of your own with `source`.")
    data_dir: Path | None = Field(
        default=None, description="Folder with <name>.jsonl or <name>.parquet; default: the hub."
    )
    source: Source | None = Field(default=None, description="A benchmark of your own: file or dataset, and columns.")
    relative_tolerance: float | None = Field(
        default=None, ge=0.0, lt=1.0, description="Numbers this close are equal; default: the benchmark's policy."
    )
    samples: int = Field(
        default=0,
        ge=0,
        description="Sampled answers per problem, for mean@n, maj@k, pass@k. Default: the benchmark's n, if above 1.",
    )
    temperature: float = Field(default=1.0, gt=0.0, description="Of the sampled answers.")
    top_p: float = Field(default=1.0, gt=0.0, le=1.0)
    greedy: bool = Field(default=True, description="One more answer at temperature 0.")
    limit: int | None = Field(default=None, ge=1, description="Only the first problems: a smoke test, not a score.")

    @model_validator(mode="after")
    def _one_place(self) -> "Benchmark":
        if self.source and self.data_dir:
            raise ValueError(f"benchmark {self.name}: give either `source` or `data_dir`, not both")
        return self

    @model_validator(mode="after")
    def _something_to_do(self) -> "Benchmark":
        if not self.greedy and not self.samples:
            raise ValueError(f"benchmark {self.name}: set `greedy: true` or `samples` to at least 1")
        return self


class Decoding(Settings):
    """One way in which a benchmark is answered."""

    benchmark: str
    samples: int
    """Answers per problem."""
    greedy: bool
    relative_tolerance: float | None = None
    """Of the policy its answers are graded under; None: the one customary for the benchmark."""

    @property
    def key(self) -> str:
        """Names it among all decodings of an evaluation."""
        return f"{self.benchmark}/{'greedy' if self.greedy else 'sampled'}"


class Evaluation(Settings):
    """What each checkpoint is measured on."""

    benchmarks: tuple[Benchmark, ...] = Field(default=(), description="Empty: no evaluation.")
    max_tokens: int | None = Field(default=None, ge=1, description="Longest answer; default: as in `sample`.")

    def decodings(self, sampling: Sampling) -> list[tuple[Decoding, Sampling]]:
        """Every decoding with its sampling settings. A problem that does not fit the context is counted, not fatal."""
        common = {"overlong_prompts": "drop", "max_tokens": self.max_tokens or sampling.max_tokens}
        found: list[tuple[Decoding, Sampling]] = []
        for bench in self.benchmarks:
            tolerance = bench.relative_tolerance
            if bench.greedy:
                update = {**common, "samples_per_prompt": 1, "temperature": 0.0, "top_p": 1.0}
                decoding = Decoding(benchmark=bench.name, samples=1, greedy=True, relative_tolerance=tolerance)
                found.append((decoding, sampling.model_copy(update=update)))
            if bench.samples:
                update = {"samples_per_prompt": bench.samples, "temperature": bench.temperature, "top_p": bench.top_p}
                decoding = Decoding(
                    benchmark=bench.name, samples=bench.samples, greedy=False, relative_tolerance=tolerance
                )
                found.append((decoding, sampling.model_copy(update={**common, **update})))
        return found


class Warmup(Settings):
    """Supervised fine-tuning on worked solutions before the first iteration."""

    demonstrations: Source
    train: Training
