"""Small tables and batches for the tests of `tasks`."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import torch

from artifacts import Grade, Prompt, Ref, Rollout, Store
from tasks.objectives import Batch


def a_prompt(name: str, *, question: str | None = None, answers: Sequence[str] = ("7",)) -> Prompt:
    return Prompt(
        prompt_id=name, question=question or f"What is {name}?", answers=list(answers), solution=None, source="test"
    )


def a_rollout(
    prompt_id: str = "p0", index: int = 0, *, text: str = "so \\boxed{7}", ids: Sequence[int] = (5, 6, 1),
    finish: str = "stop",
) -> Rollout:  # fmt: skip
    return Rollout(
        prompt_id=prompt_id,
        sample_index=index,
        prompt_ids=[2, 9],
        completion_ids=list(ids),
        logprobs=[-0.5 - 0.125 * i for i in range(len(ids))],
        finish_reason=finish,  # type: ignore[arg-type]
        seed=index,
        text=text,
    )


def a_grade(
    prompt_id: str = "p0", index: int = 0, *, correct: bool | None = True, reward: float | None = 1.0,
    answer: str | None = "7",
) -> Grade:  # fmt: skip
    return Grade(
        prompt_id=prompt_id, sample_index=index, correct=correct, reward=reward, reason="same_text", answer=answer
    )


def stored(store: Store, rows: Iterable[Any], row_type: type | None = None, **options: Any) -> Ref[Any]:
    """Store rows and return their ref."""
    rows = list(rows)
    with store.writer(row_type or type(rows[0]), **options) as writer:
        writer.write_many(rows)
    return writer.ref


def a_batch(seed: int, *, pairs: int = 4, longest: int = 6, dtype: torch.dtype = torch.float64) -> Batch:
    """Ragged rows with everything a loss may ask for; pairs next to each other, and each pair a group of two."""
    generator = torch.Generator().manual_seed(seed)

    def random(*shape: int) -> torch.Tensor:
        return torch.rand(*shape, generator=generator, dtype=dtype)

    lengths = torch.randint(1, longest + 1, (2 * pairs,), generator=generator)
    mask = (torch.arange(longest)[None] < lengths[:, None]).to(dtype)
    logprobs = -3 * random(2 * pairs, longest) * mask
    reference = -3 * random(2 * pairs, longest) * mask
    return Batch(
        logprobs=logprobs.clone().requires_grad_(),
        mask=mask,
        weights=torch.ones(2 * pairs, dtype=dtype),
        num_items=float(pairs),
        num_sequences=2.0 * pairs,
        num_tokens=float(mask.sum()),
        num_chosen_tokens=float(mask[0::2].sum()),
        ref_logprobs=reference,
        old_logprobs=(logprobs + random(2 * pairs, longest) - 0.5) * mask,
        advantages=(3 * random(2 * pairs, 1) - 1.5) * mask,
        rewards=2 * random(2 * pairs) - 1,
        groups=torch.arange(pairs).repeat_interleave(2),
        values=(2 * random(2 * pairs, longest) - 1) * mask,
        returns=(2 * random(2 * pairs, longest) - 1) * mask,
        ref_kl=(random(2 * pairs, longest) * mask).requires_grad_(),
        predicted=((2 * random(2 * pairs, longest) - 1) * mask).requires_grad_(),
    )


def rows_only(batch: Batch, rows: Sequence[int], **others: Any) -> Batch:
    """Some rows as a micro-batch of the same optimizer step."""
    names = ("logprobs", "mask", "weights", "ref_logprobs", "old_logprobs", "advantages", "rewards", "groups", "values",
             "returns", "ref_kl", "predicted")  # fmt: skip
    picked: dict[str, Any] = {name: getattr(batch, name)[list(rows)] for name in names}
    picked["groups"] = torch.unique(picked["groups"], return_inverse=True)[1]
    return replace(batch, **{**picked, **others})
