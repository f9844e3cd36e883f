"""What an objective is: a frozen dataclass whose file name is its registration.

An objective says what it trains (`trains`) on which rows (`rows`), which columns it needs (`needs`), how its reference
policy moves (`reference`), and computes the loss of its paper from log-probabilities. It knows nothing about models,
files or processes, so a new algorithm is one new file in this folder and its test. Files that begin with an
underscore hold pieces that several losses share; they register nothing.

Names that mean two things elsewhere, and what they mean here:

    rdpo    robust DPO (noisy labels, 2403.00409)          r_dpo   DPO with a price on length (2403.19159)
    dapo_clip   ByteDance's DAPO (2503.14476), TRL's `dapo`. Direct Advantage PO (2412.18279) is not built
    mdpo_on     mirror descent PO (2005.09814), on-policy. Multimodal mDPO is another paper
    ppo_critic, rto_critic, reward_model    train no policy; the first two belong to `ppo` and `rto`
    APO is accelerated PO in our sources and *anchored* PO in TRL (`apo_zero`); SePPO was renamed SSPO. Neither is built
"""

import dataclasses
import difflib
import importlib
import pkgutil
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from tasks.objectives._batch import (
    COLUMNS,
    SCORED,
    About,
    Advantage,
    Batch,
    Column,
    Loss,
    Reference,
    Rollouts,
    RowKind,
    Trained,
)
from tasks.objectives._hyperparameters import checked

__all__ = [
    "COLUMNS",
    "SCORED",
    "About",
    "Advantage",
    "Batch",
    "Column",
    "Loss",
    "Objective",
    "Reference",
    "Rollouts",
    "RowKind",
    "Trained",
    "available",
    "find",
    "load",
]


@dataclass(frozen=True, kw_only=True)
class Objective:
    """Base class: the fields of a subclass are its hyperparameters, with the paper's defaults."""

    rows: ClassVar[RowKind]
    trains: ClassVar[Trained] = "policy"
    critic: ClassVar[str | None] = None
    """The objective by which this one's critic is trained: on the same rows, with those hyperparameters of the same
    names that both have."""
    needs: ClassVar[tuple[Column, ...]] = ()
    reference: ClassVar[Reference] = "none"
    """Where the config does not say otherwise."""
    advantage: ClassVar[Advantage | None] = None
    """How its paper makes advantages of rewards; the config may say otherwise."""
    whole_groups: ClassVar[bool] = False
    """The loss couples the answers to one prompt, so that they must share a forward pass."""
    about: ClassVar[About]

    @property
    def name(self) -> str:
        """The name it is registered under."""
        return type(self).__module__.rpartition(".")[2]

    @property
    def columns(self) -> tuple[Column, ...]:
        """What these hyperparameters need: without a KL term there is no reference to load."""
        return self.needs

    @property
    def needs_reference(self) -> bool:
        """Whether there is a frozen policy to score the rows with."""
        return "ref_logprobs" in self.columns or "ref_kl" in self.columns

    def loss(self, batch: Batch) -> Loss:
        """Return the paper's loss for one micro-batch, already divided by the step's counts."""
        raise TypeError(f"{self.name} defines no loss")

    def final_columns(self, rollouts: Rollouts) -> dict[Column, list[NDArray[np.float32]]]:
        """Columns that replace or join the recorded ones, made once of the whole table before the first step.

        Advantages where the reference or a critic takes part in them; returns of a critic.
        """
        return {}

    def column(self, batch: Batch, column: Column) -> Tensor:
        """A column of the batch.

        Raises:
            ValueError: the batch does not carry it.
        """
        found: Tensor | None = getattr(batch, column)
        if found is None:
            raise ValueError(f"{self.name} needs {COLUMNS[column]} in the batch")
        return found

    def predictions(self, batch: Batch) -> Tensor:
        """[N, T] what the critic or reward model that is trained says.

        Raises:
            ValueError: the batch does not carry it.
        """
        if batch.predicted is None:
            raise ValueError(f"{self.name} needs the predictions of a {self.trains.replace('_', ' ')} in the batch")
        return batch.predicted

    def expect(self, holds: bool, expected: str) -> None:
        """Refuse hyperparameters out of range, saying what was expected and what was found."""
        if not holds:
            found = ", ".join(f"{field.name}={getattr(self, field.name)}" for field in dataclasses.fields(self))
            raise ValueError(f"{self.name} needs {expected}, found {found}")


def available() -> list[str]:
    """Names of all objectives: the modules of this package that do not begin with an underscore."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_"))


def find(name: str) -> type[Objective]:
    """The class of file `<name>.py`.

    Raises:
        ValueError: no such file; names the nearest match.
    """
    if name not in available():
        near = _nearest(str(name), available())  # YAML may have read a number
        raise ValueError(f"unknown objective {name!r}{near}; known: {', '.join(available())}")
    module = importlib.import_module(f"{__name__}.{name}")
    (cls,) = [c for c in vars(module).values() if _is_objective(c) and c.__module__ == module.__name__]
    return cls


def load(name: str, **hyperparameters: Any) -> Objective:
    """Build the objective of file `<name>.py` with these hyperparameters.

    Raises:
        ValueError: no such file, a hyperparameter it does not have, or a value out of range.
    """
    cls = find(name)
    fields = {field.name: field.type for field in dataclasses.fields(cls)}
    for key in hyperparameters:
        if key not in fields:
            known = f"has: {', '.join(fields)}" if fields else "has no hyperparameters"
            raise ValueError(f"objective {name} has no hyperparameter {key!r}{_nearest(key, list(fields))}; it {known}")
    return cls(**{key: checked(name, key, fields[key], value) for key, value in hyperparameters.items()})


def _is_objective(candidate: object) -> bool:
    return isinstance(candidate, type) and issubclass(candidate, Objective) and candidate is not Objective


def _nearest(word: str, known: list[str]) -> str:
    match = difflib.get_close_matches(word, known, n=1, cutoff=0.4)
    return f", did you mean {match[0]!r}?" if match else ""
