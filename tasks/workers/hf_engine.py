"""transformers, for machines without vLLM: the same answers-with-log-probs, slowly.

Every answer draws from its own seeded generator, so a row does not depend on which rows share its batch.
"""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import torch
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM, GenerationConfig

from tasks.workers.engines import Ask, Completion
from tasks.workers.jobs import SampleJob
from tasks.workers.template import NO_CODE, load_tokenizer


class TransformersEngine:
    """See `tasks.workers.engines.Engine`."""

    def __init__(self, job: SampleJob) -> None:
        sampling = job.requests[0].sampling
        self.tokenizer = load_tokenizer(job.model)
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        dtype = sampling.dtype if sampling.dtype == "auto" else getattr(torch, sampling.dtype)
        model: Any = AutoModelForCausalLM.from_pretrained(job.model, dtype=dtype, **NO_CODE)
        self._model = model.eval().to(self._device)
        self.generation: GenerationConfig | None = self._model.generation_config
        self.max_model_len = sampling.max_model_len or int(
            AutoConfig.from_pretrained(job.model, trust_remote_code=False).max_position_embeddings
        )
        self._rows = job.machine.max_num_seqs

    def generate(self, asks: Iterable[Ask], stop_ids: list[int]) -> Iterator[tuple[Ask, list[Completion]]]:
        """Answer batch after batch, as many prompts at a time as `max_num_seqs` answers allow."""
        waiting = iter(asks)
        while first := next(waiting, None):
            count = max(1, self._rows // first.sampling.samples_per_prompt)
            batch = [first, *islice(waiting, count - 1)]
            yield from zip(batch, self._answer(batch, stop_ids), strict=True)

    @torch.inference_mode()
    def _answer(self, batch: list[Ask], stop_ids: list[int]) -> list[list[Completion]]:
        """B prompts, R = sum of K rows, V vocabulary: decode all rows until each has stopped."""
        rows = [(ask, ask.seed + j) for ask in batch for j in range(ask.sampling.samples_per_prompt)]
        generators = [torch.Generator().manual_seed(seed) for _, seed in rows]
        longest = max(len(ask.prompt_ids) for ask in batch)
        ids_RL = torch.zeros(len(rows), longest, dtype=torch.long)
        mask_RL = torch.zeros_like(ids_RL)
        for i, (ask, _) in enumerate(rows):  # left padding: all rows continue at the same column
            ids_RL[i, longest - len(ask.prompt_ids) :] = torch.tensor(ask.prompt_ids)
            mask_RL[i, longest - len(ask.prompt_ids) :] = 1
        out_ids: list[list[int]] = [[] for _ in rows]
        out_logprobs: list[list[float]] = [[] for _ in rows]
        reasons = [""] * len(rows)
        cache, inputs_RL = None, ids_RL
        while not all(reasons):
            position_ids = (mask_RL.cumsum(-1) - 1).clamp(min=0)[:, -inputs_RL.shape[1] :]
            output = self._model(
                input_ids=inputs_RL.to(self._device),
                attention_mask=mask_RL.to(self._device),
                position_ids=position_ids.to(self._device),
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=1,
            )
            cache = output.past_key_values
            logits_RV = output.logits[:, -1].float().cpu()
            chosen = [self._draw(logits_RV[i], ask, generators[i]) for i, (ask, _) in enumerate(rows)]
            for i, (token, logprob) in enumerate(chosen):
                if reasons[i]:
                    continue
                out_ids[i].append(token)
                out_logprobs[i].append(logprob)
                if token in stop_ids:
                    reasons[i] = "stop"
                elif len(out_ids[i]) >= rows[i][0].max_tokens:
                    reasons[i] = "length"
            inputs_RL = torch.tensor([[token] for token, _ in chosen])
            mask_RL = torch.cat([mask_RL, torch.ones(len(rows), 1, dtype=torch.long)], dim=1)
        completions = [Completion(*c) for c in zip(out_ids, out_logprobs, reasons, strict=True)]
        ends = iter(completions)
        return [list(islice(ends, ask.sampling.samples_per_prompt)) for ask in batch]

    @staticmethod
    def _draw(logits_V: Tensor, ask: Ask, generator: torch.Generator) -> tuple[int, float]:
        """One token and its log-probability under the distribution it was drawn from."""
        if ask.sampling.temperature == 0:
            token = int(logits_V.argmax())
            return token, float(logits_V.log_softmax(-1)[token])
        logprobs_V = (logits_V / ask.sampling.temperature).log_softmax(-1)
        if ask.sampling.top_p < 1:
            ordered, order = logprobs_V.exp().sort(descending=True)
            outside = ordered.cumsum(-1) - ordered >= ask.sampling.top_p  # the first token always stays
            logprobs_V = logprobs_V.index_fill(0, order[outside], float("-inf")).log_softmax(-1)
        token = int(torch.multinomial(logprobs_V.exp(), 1, generator=generator))
        return token, float(logprobs_V[token])
