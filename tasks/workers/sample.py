"""The sampling child: prompts in, shards of rollouts out, each final as soon as it has its name.

    python -m tasks.workers.sample JOB.json

A shard depends on its prompts, the weights, the sampling settings and the seed, and on nothing else: not on
which engine makes it, in which order, or after how many restarts. Engines of one launch share the work by
claiming shards, so a slow one holds nothing up and no prompt is dropped whatever their number.
"""

import hashlib
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from artifacts import PartWriter, Prompt, Ref, Rollout, Store
from tasks.workers.engines import Ask, Completion, Engine, load
from tasks.workers.failure import BadInput, reported
from tasks.workers.jobs import SampleJob, SampleRequest
from tasks.workers.progress import report
from tasks.workers.template import prompt_ids, stop_ids


def prompt_seed(seed: int, prompt_id: str) -> int:
    """48-bit seed of a prompt's sample 0; sample j uses this + j.

    Hashed, because engines number the samples of a prompt upwards from its seed: neighbours counting 1, 2, 3
    would share their noise.
    """
    digest = hashlib.blake2b(f"{seed}:{prompt_id}".encode(), digest_size=6).digest()
    return int.from_bytes(digest, "big")


@dataclass(slots=True)
class _Shard:
    """A shard being filled."""

    request: SampleRequest
    index: int
    missing: int = 0
    rows: dict[int, list[Rollout]] = field(default_factory=dict)


class Sampler:
    """Feeds prompts of unclaimed shards to the engine and writes each shard when its last answer is in."""

    def __init__(self, job: SampleJob, engine: Engine) -> None:
        self._job = job
        self._engine = engine
        self._store = Store(job.store)
        self._stops = stop_ids(engine.tokenizer, engine.generation, job.template)

    def run(self) -> None:
        """Serve all requests, in order."""
        for ask, completions in self._engine.generate(self._asks(), self._stops):
            shard, position, prompt_id = ask.key
            shard.rows[position] = self._rollouts(prompt_id, ask, completions)
            tokens = sum(len(completion.ids) for completion in completions)
            report(self._job.progress, kind="answers", answers=len(completions), tokens=tokens)
            if len(shard.rows) == shard.missing:
                self._write(shard)

    def _asks(self) -> Iterator[Ask]:
        for request in self._job.requests:
            prompts = self._store.read(Ref.from_json(request.prompts), Prompt)
            for index in range(request.num_shards):
                chunk = [next(prompts) for _ in range(_shard_size(request, index))]
                if request.shard_path(index).exists() or not _claim(request.claims, index):
                    continue
                yield from self._asks_of(_Shard(request, index), chunk)

    def _asks_of(self, shard: _Shard, prompts: list[Prompt]) -> Iterator[Ask]:
        sampling = shard.request.sampling
        asks: list[Ask] = []
        for position, prompt in enumerate(prompts):
            ids = prompt_ids(self._engine.tokenizer, prompt.question, self._job.template)
            room = self._engine.max_model_len - len(ids)
            if room < 1:
                self._too_long(prompt, len(ids), sampling.overlong_prompts)
                continue
            key = (shard, position, prompt.prompt_id)
            seed = prompt_seed(shard.request.seed, prompt.prompt_id)
            asks.append(Ask(key, ids, sampling, min(room, sampling.max_tokens), seed))
        shard.missing = len(asks)
        if not asks:
            self._write(shard)
        yield from asks

    def _too_long(self, prompt: Prompt, length: int, policy: str) -> None:
        if policy == "error":
            raise BadInput(
                f"prompt {prompt.prompt_id} has {length} tokens and fills the context of {self._engine.max_model_len}",
                "raise sample.max_model_len, shorten the prompt, or set sample.overlong_prompts=drop",
            )
        report(self._job.progress, kind="dropped", reason="prompt_too_long", prompt=prompt.prompt_id)

    def _rollouts(self, prompt_id: str, ask: Ask, completions: list[Completion]) -> list[Rollout]:
        return [
            Rollout(
                prompt_id=prompt_id,
                sample_index=index,
                prompt_ids=ask.prompt_ids,
                completion_ids=completion.ids,
                logprobs=completion.logprobs,
                finish_reason=completion.finish_reason,  # type: ignore[arg-type]
                seed=ask.seed + index,
                text=self._text(completion),
            )
            for index, completion in enumerate(completions)
        ]

    def _text(self, completion: Completion) -> str:
        """The answer as text, special tokens visible, without the token that ended it."""
        ids = completion.ids[:-1] if completion.finish_reason == "stop" else completion.ids
        return str(self._engine.tokenizer.decode(ids, skip_special_tokens=False))

    def _write(self, shard: _Shard) -> None:
        rows = [row for position in sorted(shard.rows) for row in shard.rows[position]]
        path = shard.request.shard_path(shard.index)
        with PartWriter(path, Rollout) as part:
            part.write_many(rows)
        report(self._job.progress, kind="shard", file=path.name)


def _shard_size(request: SampleRequest, index: int) -> int:
    size = request.sampling.shard_prompts
    return min(size, request.num_prompts - index * size)


def _claim(folder: Path, index: int) -> bool:
    """True for exactly one engine of the launch."""
    try:
        (folder / str(index)).touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def main(path: str) -> None:
    """Serve the job file."""
    job = SampleJob.load(path)
    with reported(job.failure):
        started = time.monotonic()
        engine = load(job)
        report(job.progress, kind="ready", seconds=time.monotonic() - started)
        Sampler(job, engine).run()
        report(job.progress, kind="done", seconds=time.monotonic() - started)
    # Nothing is left to save, and the engine's own shutdown takes seconds.
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1])
