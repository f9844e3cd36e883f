"""Where a campaign's curves go besides MLflow, if `ODR_REPORTERS` asks for it: `wandb` is the one there is.

MLflow is always there and can be asked what it has. Weights & Biases cannot, so what was sent is noted in the data
root: the same names and steps as on the campaign's run in MLflow, each once, also after a kill. A failure costs a
warning, never a stage. The tests put a stand-in in the package's place; the package itself (0.31) was tried offline by
hand, its server was not.
"""

import importlib
import importlib.util
import json
import logging
import os
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Protocol

from flows.mirror.points import Points
from tasks.tracked_runs import EXPERIMENT, metric_name, parameter_text, without_credentials

log = logging.getLogger(__name__)

VARIABLE = "ODR_REPORTERS"


class Reporter(Protocol):
    """What `flows.mirror` tells."""

    def describe(self, params: Mapping[str, Any]) -> None:
        """The campaign's parameters, by dotted names."""
        ...

    def points(self, axis: str, points: Points) -> None:
        """Values by step of an axis: iteration, train or warmup (optimizer steps)."""
        ...

    def end(self, status: str) -> None:
        """FINISHED, FAILED or KILLED; a later run of the same campaign goes on."""
        ...


def asked() -> list[str]:
    """The reporters that the environment asks for.

    Raises:
        ValueError: one is unknown, or its package is not installed.
    """
    names = os.environ.get(VARIABLE, "").replace(",", " ").split()
    for wanted in names:
        if wanted not in KINDS:
            raise ValueError(
                f"{VARIABLE} names {wanted!r}; known: {', '.join(KINDS)} (MLflow needs no naming). Correct or unset it"
            )
        if importlib.util.find_spec(wanted) is None:
            raise ValueError(f"{VARIABLE} asks for {wanted}, which is not installed: pip install {wanted}, or unset it")
    return list(dict.fromkeys(names))


def chosen(folder: Path, key: str, name: str) -> list[Reporter]:
    """Those that are asked for; `folder` keeps what they were sent, `key` names the campaign's run.

    Raises:
        ValueError: as for `asked`.
    """
    return [KINDS[wanted](folder, key, name) for wanted in asked()]


class WandbReporter:
    """One Weights & Biases run per campaign, begun when there is something new to send."""

    def __init__(self, folder: Path, key: str, name: str) -> None:
        self._record = folder / f"{key}.wandb.jsonl"
        self._key, self._name = key, name
        self._params: dict[str, Any] = {}
        self._sent: set[tuple[str, int]] | None = None
        self._run: Any = None
        self._lost = False

    def describe(self, params: Mapping[str, Any]) -> None:
        """Keep them until a run begins."""
        self._params = {name: _plain(value) for name, value in params.items()}

    def points(self, axis: str, points: Points) -> None:
        """Log the steps of this axis that were not logged before."""
        if self._sent is None:
            self._sent = _read(self._record)
        new = [(step, values) for step, values in points if (axis, step) not in self._sent]
        if new:
            self._attempt(self._log, axis, new)

    def end(self, status: str) -> None:
        """Finish the run, if one was begun."""
        if self._run is not None:
            self._attempt(lambda: self._run.finish(exit_code=0 if status == "FINISHED" else 1))
            self._run = None

    def _log(self, axis: str, points: Points) -> None:
        assert self._sent is not None
        if self._run is None:
            self._run = self._begin()
        with self._record.open("a", encoding="utf-8") as record:
            for step, values in points:
                self._run.log({_axis(axis): step, **{metric_name(name): value for name, value in values.items()}})
                record.write(f"\n{json.dumps([axis, step])}")
                self._sent.add((axis, step))

    def _begin(self) -> Any:
        os.environ.setdefault("WANDB_SILENT", "true")
        os.environ.setdefault("WANDB_CONSOLE", "off")  # the terminal belongs to the progress bars
        wandb = importlib.import_module("wandb")
        self._record.parent.mkdir(parents=True, exist_ok=True)
        run = wandb.init(
            project=EXPERIMENT, id=self._key, name=self._name, config=self._params, resume="allow",
            dir=str(self._record.parent),
        )  # fmt: skip
        for prefix, axis in AXES.items():
            run.define_metric(f"{prefix}/*", step_metric=_axis(axis))
        return run

    def _attempt(self, call: Callable[..., None], *arguments: Any) -> None:
        if self._lost:
            return
        try:
            call(*arguments)
        except Exception as error:  # whatever another tracker does, finished work goes on
            log.warning(
                "Weights & Biases fails (%s); the next run sends what is missing", without_credentials(str(error))
            )
            self._lost = True


AXES = {
    "train": "train", "warmup": "warmup", "eval": "iteration", "eval_se": "iteration", "sample": "iteration",
    "grade": "iteration", "pair": "iteration", "progress": "iteration",
}  # fmt: skip
"""What the metrics of each prefix are drawn over."""


@cache
def _wandb(folder: Path, key: str, name: str) -> WandbReporter:
    """One per process: the campaign's flow and those of its iterations share a run."""
    return WandbReporter(folder, key, name)


KINDS: dict[str, Callable[[Path, str, str], Reporter]] = {"wandb": _wandb}


def _axis(axis: str) -> str:
    return "iteration" if axis == "iteration" else f"{axis}/step"


def _plain(value: Any) -> Any:
    """Numbers stay numbers; a text loses its passwords."""
    return value if isinstance(value, bool | int | float) or value is None else parameter_text(value)


def _read(record: Path) -> set[tuple[str, int]]:
    """What was sent; a line that a kill has cut is sent again."""
    found: set[tuple[str, int]] = set()
    if record.exists():
        for line in record.read_text(encoding="utf-8").splitlines():
            try:
                axis, step = json.loads(line)
                found.add((str(axis), int(step)))
            except (ValueError, TypeError):
                continue
    return found
