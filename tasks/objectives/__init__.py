"""What an objective is: a frozen dataclass whose file name is its registration.

An objective says which rows it trains on (`rows`), whether it needs the reference policy
(`needs_reference`), and computes the loss of its paper from log-probabilities. It knows nothing about
models, files or processes, so a new algorithm is one new file in this folder and its test.

Shapes: N rows (answers), P = N/2 pairs, T completion tokens (right padded).
"""

import dataclasses
import difflib
import importlib
import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from torch import Tensor

RowKind = Literal["pairs", "accepted"]


@dataclass(frozen=True, kw_only=True)
class Batch:
    """The rows of one forward pass. Pairs lie next to each other: row 2i is chosen, row 2i+1 rejected."""

    logprobs: Tensor
    """[N, T] log pi(token) in nats, with gradient; 0 where `mask` is 0."""
    mask: Tensor
    """[N, T] 1 on completion tokens, 0 on padding."""
    weights: Tensor
    """[N] 1, or 0 for a filler row that makes the processes' batches equally many."""
    num_items: float
    """Pairs (or answers) in the whole optimizer step, over all processes and micro-batches."""
    num_tokens: float
    """Completion tokens in the whole optimizer step."""
    ref_logprobs: Tensor | None = None
    """[N, T] log pi_ref(token), no gradient."""


@dataclass(frozen=True)
class Loss:
    """A loss and what to log beside it."""

    value: Tensor
    """Scalar. Summed over all micro-batches of a step it is the paper's loss on that step's rows."""
    metrics: Mapping[str, Tensor]
    """One number per pair or row, [P] or [N], detached: the trainer averages them exactly."""


@dataclass(frozen=True, kw_only=True)
class Objective:
    """Base class: the fields of a subclass are its hyperparameters, with the paper's defaults."""

    rows: ClassVar[RowKind]
    needs_reference: ClassVar[bool] = False

    def loss(self, batch: Batch) -> Loss:
        """Return the paper's loss for one micro-batch, already divided by the step's item count."""
        raise TypeError(f"{type(self).__name__} defines no loss")


def available() -> list[str]:
    """Names of all objectives: the modules of this package."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def load(name: str, **hyperparameters: Any) -> Objective:
    """Build the objective of file `<name>.py` with these hyperparameters.

    Raises:
        ValueError: no such file, or a hyperparameter it does not have; names the nearest match.
    """
    if name not in available():
        raise ValueError(f"unknown objective {name!r}{_nearest(name, available())}; known: {', '.join(available())}")
    module = importlib.import_module(f"{__name__}.{name}")
    (cls,) = [c for c in vars(module).values() if _is_objective(c) and c.__module__ == module.__name__]
    fields = [field.name for field in dataclasses.fields(cls)]
    for key in hyperparameters:
        if key not in fields:
            known = f"has: {', '.join(fields)}" if fields else "has no hyperparameters"
            raise ValueError(f"objective {name} has no hyperparameter {key!r}{_nearest(key, fields)}; it {known}")
    return cls(**hyperparameters)


def _is_objective(candidate: object) -> bool:
    return isinstance(candidate, type) and issubclass(candidate, Objective) and candidate is not Objective


def _nearest(word: str, known: list[str]) -> str:
    match = difflib.get_close_matches(word, known, n=1, cutoff=0.4)
    return f", did you mean {match[0]!r}?" if match else ""
