"""Same inputs, same settings, same code: the same result, computed once.

A stage is a plain function that returns an artifact reference. `@stage` makes a Prefect task of it whose cache
key is a digest of: the stage's name, its code, and every argument, where artifacts and checkpoints count by
their digest. The argument `run` says where and for whom, and is no part of the key. Prefect's own policies do
not fit: INPUTS forgets the stage, TASK_SOURCE forgets the workers, DEFAULT never hits across runs. Keys and kept
results need no Prefect, so it is imported when a task runs and not before.

A record whose files are gone or altered is a miss, found when the record is read and said in the log.
"""

import functools
import inspect
import logging
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from artifacts import ArtifactError, Checkpoint, Ref, plain_json
from tasks import presence, records
from tasks.code_digest import code_digest
from tasks.launch import TIMES
from tasks.locking import FlockLockManager
from tasks.machine import Machine
from tasks.results import Result, load_result, place_of, show
from tasks.workers import progress
from tasks.workspace import Workspace

log = logging.getLogger(__name__)

DONE = "%s · %s: %s, %s"
"""The line that ends a stage: its part, its name, how it went, what it made."""

NO_KEY = ("run", "ahead", "along")
"""Arguments that do not change a result: where and for whom, and what else is done on the way."""


@dataclass(frozen=True)
class Run:
    """Where a stage runs and for whom: nothing here changes what it computes."""

    workspace: Workspace
    machine: Machine
    campaign: str
    label: str = ""
    """Such as "iteration 2": names tasks in the Prefect UI."""
    refresh: frozenset[str] = frozenset()
    """Stages to compute anew although their result is there."""
    events: list[dict[str, Any]] = field(default_factory=list)
    """What happened, in order: stage, cached or not, seconds, and those of its children."""
    on_metrics: Callable[[int, dict[str, float]], None] | None = None
    """Receives training metrics by step while they are made."""
    workdir: Path = Path()
    """Where the stage keeps partial results; set by the stage from its key."""
    stop_after: str = ""
    """`stage@part` after which the flow ends: the part is an iteration's number or "warm-up"."""
    begun: set[str] = field(default_factory=set)
    """Keys whose refreshed work has begun in this run: its partial results are no longer an earlier run's."""

    def anew(self, stage: str) -> bool:
        """Whether a stage is to be computed although its result is there."""
        return bool(self.refresh & {stage, f"{stage}@{self._part()}"})

    def ends_with(self, stage: str) -> bool:
        """Whether this stage is the last one wanted; a benchmark's answers are no stage of their own here."""
        return self.stop_after == f"{stage}@{self._part()}" and " · " not in self.label

    def _part(self) -> str:
        return self.label.partition(" · ")[0].removeprefix("iteration ")


_unseen: ContextVar[bool] = ContextVar("_unseen", default=False)


@contextmanager
def unseen() -> Iterator[None]:
    """In this block a kept result is given as it is, and no Prefect task tells anybody that it was there."""
    token = _unseen.set(True)
    try:
        yield
    finally:
        _unseen.reset(token)


def is_unseen() -> bool:
    """Whether the caller is inside such a block."""
    return _unseen.get()


class Stopped(Exception):
    """The stage after which the flow was asked to end is done."""


@dataclass(frozen=True)
class Key:
    """A cache key and what it was made of."""

    digest: str
    fields: dict[str, Any]


class Stage:
    """A cached task: call it with `run=...` and its inputs, or its `.fn` without any server."""

    def __init__(self, fn: Callable[..., Result], name: str, code: Callable[[dict[str, Any]], tuple[str, ...]]) -> None:
        functools.update_wrapper(self, fn)
        self.fn = fn
        self.name = name
        self._code = code
        self._signature = inspect.signature(fn)

    def key(self, **arguments: Any) -> Key:
        """The cache key of a call with these arguments."""
        bound = self._signature.bind(**arguments)
        bound.apply_defaults()
        inputs = {name: value for name, value in bound.arguments.items() if name not in NO_KEY}
        fields = {
            "stage": self.name,
            "code": code_digest(*self._code(inputs)),
            **{name: _plain(value) for name, value in inputs.items()},
        }
        return Key(records.key_of(fields), fields)

    def at_work(self, **arguments: Any) -> Run:
        """The `run` argument with the working folder that belongs to these arguments."""
        run: Run = arguments["run"]
        return replace(run, workdir=run.workspace.work(self.key(**arguments).digest))

    def begin(self, **arguments: Any) -> Run:
        """As `at_work`, and note the call, so that `odr gc` leaves what it needs; a refreshed one begins empty."""
        run: Run = arguments["run"]
        key = self.key(**arguments)
        with presence.settled(run.workspace.locks):
            records.begin(run.workspace, run.campaign, f"{run.label} {self.name}", key.fields)
            at_work = self.at_work(**arguments)
        if run.anew(self.name) and key.digest not in run.begun:
            run.begun.add(key.digest)
            _begin_empty(at_work.workdir, FlockLockManager(run.workspace.locks))
        return at_work

    def cached(self, **arguments: Any) -> Result | None:
        """The stored result of such a call, verified; None when it would have to be computed."""
        run: Run = arguments["run"]
        record = run.workspace.cache / self.key(**arguments).digest
        if run.anew(self.name) or not record.exists():
            return None
        try:
            stored = plain_json.parse(record.read_bytes())
            return load_result(stored["result"].encode(), run.workspace)
        except (ArtifactError, LookupError, ValueError, TypeError, AttributeError) as error:
            log.warning("a cached result cannot be used: %s", error)
            return None

    def __call__(self, **arguments: Any) -> Any:
        """Run as a Prefect task; the result comes from the cache if it can."""
        run: Run = arguments["run"]
        key = self.key(**arguments)
        at_work = self.begin(**arguments)
        (at_work.workdir / TIMES).unlink(missing_ok=True)
        started = time.monotonic()
        kept = self.cached(**arguments) if _unseen.get() else None
        result, cached = (kept, True) if kept is not None else self._as_task(key, {**arguments, "run": at_work})
        event = {"label": run.label, "stage": self.name, "cached": cached}
        event |= {
            "seconds": time.monotonic() - started,
            "children": progress.read(at_work.workdir / TIMES)[0],
        }
        run.events.append(event)
        outcome = "cached" if event["cached"] else f"done in {event['seconds']:.1f} s"
        log.info(DONE, run.label, self.name, outcome, show(result))
        _tidy(at_work.workdir)
        presence.touch(place_of(result, run.workspace))
        records.finish(run.workspace, run.campaign, f"{run.label} {self.name}", key.fields)
        if run.ends_with(self.name):
            raise Stopped(f"stopped after {self.name} of {run.label}")
        return result

    def _as_task(self, key: Key, arguments: dict[str, Any]) -> tuple[Result, bool]:
        from tasks import prefect_task

        run: Run = arguments["run"]
        return prefect_task.run(
            self.fn,
            arguments,
            key=key.digest,
            name=self.name,
            run_name=f"{run.campaign} · {run.label} · {self.name}",
            refresh=run.anew(self.name),
            workspace=run.workspace,
        )


def stage(name: str, *, code: Callable[[dict[str, Any]], tuple[str, ...]]) -> Callable[[Callable[..., Result]], Stage]:
    """Make a cached stage of a function; `code` names the modules its result depends on."""
    return lambda fn: Stage(fn, name, code)


def _plain(value: Any) -> Any:
    """What of an argument belongs into a key, as JSON. Unknown types raise: a guess would be a stale hit."""
    if isinstance(value, Ref | Checkpoint):
        return value.digest
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, dict):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, str | int | float | bool):
        return value
    raise TypeError(f"{type(value).__name__} cannot be part of a cache key")


def _begin_empty(workdir: Path, locks: FlockLockManager) -> None:
    """Anew means anew: no shard and no optimizer checkpoint of an earlier attempt, but those of another run's stay."""
    if locks.try_lock(workdir.name, "refresh"):
        _tidy(workdir)
        locks.release_lock(workdir.name, "refresh")


def _tidy(workdir: Path) -> None:
    """Remove partial results of a finished stage; its job files and logs stay."""
    for folder in workdir.iterdir():
        if folder.is_dir():
            shutil.rmtree(folder)
