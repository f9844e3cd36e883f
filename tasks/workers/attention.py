"""Attention over a packed stream: every answer sees its prompt and itself, and no work is done for anything else.

Transformers calls the function registered here instead of its own, with the stream's layout, which travels through
the model as a keyword. No mask of the whole stream exists: the cost is the sum over answers of their own squares.

Shapes: H heads, S tokens of the stream, P of one prompt, C of one answer, D per head.
"""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention.bias import causal_lower_right
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface

from tasks.workers.failure import BadInput

NAME = "odr_packed"
"""Value of `attn_implementation`. No mask function has this name, so transformers builds no mask."""
KERNELS = [
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu.default,
    torch.ops.aten._scaled_dot_product_flash_attention.default,
    torch.ops.aten._scaled_dot_product_efficient_attention.default,
    torch.ops.aten._scaled_dot_product_cudnn_attention.default,
]
"""What `scaled_dot_product_attention` becomes, by device and kind of mask."""


@dataclass(frozen=True, slots=True)
class Bunch:
    """A prompt and the answers that stand behind it in the stream."""

    prompt: int
    """P"""
    answers: tuple[int, ...]
    """C of each"""


@dataclass(slots=True)
class Layout:
    """What stands where in a stream, and how many layers have asked: one that does not ask mixes the answers."""

    bunches: tuple[Bunch, ...]
    asked: int = field(default=0, compare=False)

    @property
    def longest(self) -> int:
        """Tokens of the longest sequence, prompt included."""
        return max(bunch.prompt + max(bunch.answers) for bunch in self.bunches)


def packed_attention(
    module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Any, layout: Layout | None = None,
    scaling: float | None = None, dropout: float = 0.0, sliding_window: int | None = None, **others: Any,
) -> tuple[Tensor, None]:  # fmt: skip
    """[1, H, S, D] queries and [1, H or fewer, S, D] keys and values -> ([1, S, H, D], no weights).

    Raises:
        BadInput: the architecture keeps the layout to itself, or attends in a way that is not built here.
    """
    name = type(module).__name__
    if layout is None:
        raise BadInput(f"{name} does not hand keyword arguments on to its attention, which packed training needs")
    if sliding_window is not None and sliding_window < layout.longest:
        raise BadInput(
            f"a sequence has {layout.longest} tokens, and {name} sees only the last {sliding_window} of them",
            "packed training has no sliding window: set train.max_length to the window or less",
        )
    if unknown := [name for name in ("softcap", "s_aux") if others.get(name) is not None]:
        raise BadInput(f"{name} attends with {', '.join(unknown)}, which packed training does not know")
    layout.asked += 1
    repeats = query.shape[1] // key.shape[1]
    key, value = _repeated(key, repeats), _repeated(value, repeats)
    # Split, not sliced: the backward pass of one split is one concatenation, of many slices many whole streams.
    sizes = [bunch.prompt + sum(bunch.answers) for bunch in layout.bunches]
    parts = zip(*(whole.split(sizes, dim=2) for whole in (query, key, value)), layout.bunches, strict=True)
    attended = [out for q, k, v, bunch in parts for out in _bunch(q, k, v, bunch, dropout, scaling)]
    return torch.cat(attended, dim=2).transpose(1, 2).contiguous(), None


def _bunch(
    query: Tensor, key: Tensor, value: Tensor, bunch: Bunch, dropout: float, scaling: float | None
) -> list[Tensor]:
    """The prompt with its first answer is one causal square; each further answer a rectangle below the prompt."""
    first, *others = bunch.answers
    sizes = [bunch.prompt + first, *others]
    squares = [whole.split(sizes, dim=2) for whole in (query, key, value)]
    q, k, v = (square[0] for square in squares)
    found = [scaled_dot_product_attention(q, k, v, dropout_p=dropout, is_causal=True, scale=scaling)]
    for i, own in enumerate(others, start=1):
        seen_k = torch.cat([k[:, :, : bunch.prompt], squares[1][i]], dim=2)
        seen_v = torch.cat([v[:, :, : bunch.prompt], squares[2][i]], dim=2)
        mask: Any = _lower_right(own, bunch.prompt + own, query.device)
        found.append(
            scaled_dot_product_attention(
                squares[0][i], seen_k, seen_v, attn_mask=mask, dropout_p=dropout, scale=scaling
            )
        )
    return found


def _lower_right(rows: int, columns: int, device: torch.device) -> Any:
    """The last query sees every key, the one before it all but the last, and so on."""
    if device.type == "cuda":
        return causal_lower_right(rows, columns)  # never materialised
    return torch.ones(rows, columns, dtype=torch.bool, device=device).tril(columns - rows)


def _repeated(states: Tensor, times: int) -> Tensor:
    """[1, K, S, D] -> [1, K * times, S, D]: each key head next to its copies (grouped queries)."""
    return states if times == 1 else states.repeat_interleave(times, dim=1)


AttentionInterface.register(NAME, packed_attention)
