"""What the sampler wants of an engine, whichever library is behind it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from transformers import GenerationConfig, PreTrainedTokenizerBase

from tasks.settings import Sampling
from tasks.workers.jobs import SampleJob


@dataclass(frozen=True, slots=True)
class Ask:
    """K answers to one prompt, wanted."""

    key: Any
    """Handed back with the answers; the engine does not look at it."""
    prompt_ids: list[int]
    sampling: Sampling
    max_tokens: int
    """What the context leaves, at most `sampling.max_tokens`."""
    seed: int
    """Stream of sample 0; sample j uses seed + j."""


@dataclass(frozen=True, slots=True)
class Completion:
    """One answer."""

    ids: list[int]
    """Sampled tokens, with the token that ended the turn if one was sampled."""
    logprobs: list[float]
    """log pi of each sampled token in nats, after temperature and top-p."""
    finish_reason: str
    """`stop`: an end token was sampled; `length`: cut at max_tokens."""


class Engine(Protocol):
    """A loaded model that answers many prompts at once."""

    tokenizer: PreTrainedTokenizerBase
    generation: GenerationConfig | None
    max_model_len: int

    def generate(self, asks: Iterable[Ask], stop_ids: list[int]) -> Iterator[tuple[Ask, list[Completion]]]:
        """Answer all asks, in whatever order they finish; `asks` is pulled only as fast as needed."""
        ...


def load(job: SampleJob) -> Engine:
    """Start the engine that the job's sampling settings name.

    Raises:
        OutOfMemory: the model or its cache does not fit.
        BadInput: the engine is not installed or cannot read the model.
    """
    if job.requests[0].sampling.engine == "vllm":
        from tasks.workers.vllm_engine import VllmEngine

        return VllmEngine(job)
    from tasks.workers.hf_engine import TransformersEngine

    return TransformersEngine(job)
