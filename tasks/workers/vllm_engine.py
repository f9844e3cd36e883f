"""vLLM, fed by a sliding window so that it is never drained between shards.

The engine lives in this process when one device serves it (4 s to start instead of 28 on a CPU, and nothing
to clean up). Log-probabilities are the processed ones: of the distribution that was sampled from, which is
what importance ratios need; the raw ones differ as soon as the temperature is not 1.
"""

import os
from collections.abc import Iterable, Iterator
from typing import Any

from transformers import GenerationConfig

from tasks.workers.engines import Ask, Completion
from tasks.workers.failure import BadInput, OutOfMemory
from tasks.workers.jobs import SampleJob
from tasks.workers.template import load_tokenizer

# A seeded request whose prompt is prefilled in pieces ends the CPU engine ("Generator does not use
# offset"), so one step must always have room for all prompts that can be in flight.
CPU_BATCHED_TOKENS = 65536


class VllmEngine:
    """See `tasks.workers.engines.Engine`."""

    def __init__(self, job: SampleJob) -> None:
        self._machine = job.machine
        sampling = job.requests[0].sampling
        environment = {
            "VLLM_NO_USAGE_STATS": "1",
            "VLLM_LOGGING_LEVEL": "WARNING",
            "VLLM_CPU_KVCACHE_SPACE": str(job.machine.kv_cache_gib),
        }
        if job.machine.tensor_parallel == 1:
            environment["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
        os.environ.update({name: value for name, value in environment.items() if name not in os.environ})
        try:
            import vllm
        except ImportError as error:
            fix = "install the locked requirements, or set sample.engine=transformers"
            raise BadInput(f"vLLM cannot be imported: {error}", fix) from error
        self._vllm = vllm
        self.tokenizer = load_tokenizer(job.model)
        self._llm = self._start(job, sampling.dtype, sampling.max_model_len)
        self.max_model_len: int = self._llm.llm_engine.model_config.max_model_len
        try:
            self.generation: GenerationConfig | None = GenerationConfig.from_pretrained(job.model)
        except OSError:
            self.generation = None

    def _start(self, job: SampleJob, dtype: Any, max_model_len: int | None) -> Any:
        from vllm.platforms import current_platform

        machine = job.machine
        if current_platform.is_cpu():
            # On the CPU the "GPU" share is of the host's memory and must be free; the cache has its own knob.
            device: dict[str, Any] = {
                "enforce_eager": True,
                "gpu_memory_utilization": 0.1,
                "max_num_batched_tokens": CPU_BATCHED_TOKENS,
            }
        else:
            device = {"gpu_memory_utilization": machine.gpu_memory}
        try:
            return self._vllm.LLM(
                job.model,
                dtype=dtype,
                max_model_len=max_model_len,
                tensor_parallel_size=machine.tensor_parallel,
                max_num_seqs=machine.max_num_seqs,
                enable_prefix_caching=True,
                logprobs_mode="processed_logprobs",
                disable_log_stats=True,
                trust_remote_code=False,
                load_format="safetensors",
                seed=0,
                **device,
            )
        except (ValueError, RuntimeError) as error:
            text = str(error)
            if any(word in text.lower() for word in ("memory", "kv cache", "alloc")):
                fix = "lower sample.max_model_len, machine.max_num_seqs or machine.kv_cache_gib, or free memory"
                raise OutOfMemory(f"the sampling engine does not fit: {text}", fix) from error
            raise

    def generate(self, asks: Iterable[Ask], stop_ids: list[int]) -> Iterator[tuple[Ask, list[Completion]]]:
        """Answer all asks; at least twice `max_num_seqs` answers are kept queued."""
        engine = self._llm.llm_engine
        waiting = iter(asks)
        live: dict[str, Ask] = {}
        queued = serial = 0
        exhausted = False
        while True:
            while not exhausted and queued < 2 * self._machine.max_num_seqs:
                ask = next(waiting, None)
                if ask is None:
                    exhausted = True
                    break
                request_id, serial = str(serial), serial + 1
                prompt = self._vllm.TokensPrompt(prompt_token_ids=ask.prompt_ids)
                engine.add_request(request_id, prompt, self._parameters(ask, stop_ids))
                live[request_id] = ask
                queued += ask.sampling.samples_per_prompt
            if not live:
                return
            for output in engine.step():
                if output.finished:
                    ask = live.pop(output.request_id)
                    queued -= ask.sampling.samples_per_prompt
                    yield ask, [_completion(c) for c in sorted(output.outputs, key=lambda c: c.index)]

    def _parameters(self, ask: Ask, stop_ids: list[int]) -> Any:
        from vllm.sampling_params import RequestOutputKind

        return self._vllm.SamplingParams(
            n=ask.sampling.samples_per_prompt,
            temperature=ask.sampling.temperature,
            top_p=ask.sampling.top_p,
            max_tokens=ask.max_tokens,
            seed=ask.seed if ask.sampling.temperature > 0 else None,
            stop_token_ids=stop_ids,
            logprobs=0,
            flat_logprobs=True,
            detokenize=False,
            output_kind=RequestOutputKind.FINAL_ONLY,
        )


def _completion(output: Any) -> Completion:
    ids = list(output.token_ids)
    if output.finish_reason not in ("stop", "length") or len(output.logprobs.logprobs) != len(ids):
        raise RuntimeError(f"the engine ended an answer with {output.finish_reason!r} after {len(ids)} tokens")
    return Completion(ids, list(output.logprobs.logprobs), output.finish_reason)
