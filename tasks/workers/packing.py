"""The sequences of one forward pass as one stream of tokens: each distinct prompt once, its answers behind it.

The positions of an answer go on from its prompt, so that every token has the same context as if it stood alone.

Shapes: N sequences, S tokens of the stream, M completion tokens, T of the longest completion.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tasks.workers.attention import Bunch, Layout


@dataclass(frozen=True, slots=True)
class Packed:
    """One stream and where its completion tokens are; these stand in the order of the sequences."""

    input_ids: Tensor
    """[1, S]"""
    position_ids: Tensor
    """[1, S]"""
    before: Tensor
    """[M] place of the token before each completion token: there it is predicted."""
    at: Tensor
    """[M] place of each completion token."""
    labels: Tensor
    """[M] the completion tokens."""
    mask: Tensor
    """[N, T] 1 on completion tokens, which begin at column 0."""
    bunches: tuple[Bunch, ...]

    def to(self, device: torch.device) -> "Packed":
        """The same on another device."""
        names = ("input_ids", "position_ids", "before", "at", "labels", "mask")
        return Packed(**{name: getattr(self, name).to(device) for name in names}, bunches=self.bunches)

    def inputs(self) -> dict[str, Any]:
        """Keywords of one forward pass."""
        layout = Layout(self.bunches)
        return {"input_ids": self.input_ids, "position_ids": self.position_ids, "use_cache": False, "layout": layout}


def pack(prompts: Sequence[np.ndarray], completions: Sequence[np.ndarray], *, share: bool = True) -> Packed:
    """Lay N sequences out; `share=False` repeats the prompt for each, which costs more and changes nothing."""
    behind: dict[Any, list[int]] = {}
    for n, prompt in enumerate(prompts):
        behind.setdefault(prompt.tobytes() if share else n, []).append(n)
    tokens: list[np.ndarray] = []
    positions: list[np.ndarray] = []
    bunches: list[Bunch] = []
    before: list[np.ndarray] = [np.empty(0)] * len(prompts)
    at = list(before)
    start = 0
    for members in behind.values():
        size = len(prompts[members[0]])
        bunches.append(Bunch(size, tuple(len(completions[n]) for n in members)))
        tokens.append(prompts[members[0]])
        positions.append(np.arange(size))
        last = start + size - 1
        start += size
        for n in members:
            count = len(completions[n])
            tokens.append(completions[n])
            positions.append(np.arange(size, size + count))
            at[n] = np.arange(start, start + count)
            before[n] = np.concatenate([[last], at[n][:-1]])
            start += count
    lengths = torch.tensor([len(completion) for completion in completions])
    return Packed(
        input_ids=_long(tokens)[None],
        position_ids=_long(positions)[None],
        before=_long(before),
        at=_long(at),
        labels=_long(completions),
        mask=(torch.arange(int(lengths.max())) < lengths[:, None]).float(),
        bunches=tuple(bunches),
    )


def padded(values_M: Tensor, mask_NT: Tensor) -> Tensor:
    """[M] numbers of the completion tokens -> [N, T], 0 on padding; the gradient goes back the same way."""
    return values_M.new_zeros(mask_NT.shape).masked_scatter(mask_NT.bool(), values_M)


def _long(parts: Sequence[np.ndarray]) -> Tensor:
    return torch.from_numpy(np.concatenate(parts).astype(np.int64))
