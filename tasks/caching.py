"""Same inputs, same settings, same code: the same result, computed once.

A stage is a plain function that returns an artifact reference. `@stage` makes a Prefect task of it whose cache
key is a digest of: the stage's name, its code, and every argument, where artifacts and checkpoints count by
their digest. The argument `run` says where and for whom, and is no part of the key. Prefect's own policies do
not fit: INPUTS forgets the stage, TASK_SOURCE forgets the workers, DEFAULT never hits across runs.

A record whose files are gone or altered is a miss, found when the record is read and said in the log.
"""

import functools
import hashlib
import inspect
import json
import logging
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from prefect import Task
from prefect.cache_policies import CacheKeyFnPolicy
from prefect.serializers import Serializer
from prefect.transactions import IsolationLevel
from pydantic import BaseModel

from artifacts import ArtifactError, Checkpoint, Ref, checkpoints
from tasks.code_digest import code_digest
from tasks.launch import TIMES
from tasks.locking import FlockLockManager
from tasks.settings import Machine
from tasks.workers import progress
from tasks.workspace import Workspace

log = logging.getLogger(__name__)

Result = Ref[Any] | Checkpoint


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


@dataclass(frozen=True)
class Key:
    """A cache key and what it was made of."""

    digest: str
    fields: dict[str, Any]


class ArtifactSerializer(Serializer):
    """Keeps references as JSON, and refuses one whose files are not as they were."""

    type: Literal["odr-artifact"] = "odr-artifact"
    root: str

    def dumps(self, obj: Result) -> bytes:
        """Write the reference."""
        kind = "checkpoint" if isinstance(obj, Checkpoint) else "table"
        return json.dumps({"kind": kind, "ref": obj.to_json()}).encode()

    def loads(self, blob: bytes) -> Result:
        """Read the reference and verify what it names.

        Raises:
            ArtifactError: files are missing or changed. Prefect takes that for "no record" and runs the task.
        """
        try:
            return load_result(blob, Workspace(Path(self.root)))
        except ArtifactError as error:
            log.warning("a cached result cannot be used and is computed again: %s", error)
            raise


def load_result(blob: bytes, workspace: Workspace) -> Result:
    """Decode and verify a reference written by `ArtifactSerializer`."""
    fields = json.loads(blob)
    if fields["kind"] == "checkpoint":
        checkpoint = Checkpoint.from_json(fields["ref"])
        checkpoints.verify(checkpoint, hash_cache=workspace.hashes)
        return checkpoint
    ref: Ref[Any] = Ref.from_json(fields["ref"])
    workspace.store.verify(ref)
    return ref


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
        inputs = {name: value for name, value in bound.arguments.items() if name not in ("run", "ahead")}
        fields = {
            "stage": self.name,
            "code": code_digest(*self._code(inputs)),
            **{name: _plain(value) for name, value in inputs.items()},
        }
        text = json.dumps(fields, sort_keys=True)
        return Key(f"{self.name}-{hashlib.sha256(text.encode()).hexdigest()[:32]}", fields)

    def at_work(self, **arguments: Any) -> Run:
        """The `run` argument with the working folder that belongs to these arguments."""
        run: Run = arguments["run"]
        return replace(run, workdir=run.workspace.work(self.key(**arguments).digest))

    def cached(self, **arguments: Any) -> Result | None:
        """The stored result of such a call, verified; None when it would have to be computed."""
        run: Run = arguments["run"]
        record = run.workspace.cache / self.key(**arguments).digest
        if self.name in run.refresh or not record.exists():
            return None
        try:
            stored = json.loads(record.read_text(encoding="utf-8"))
            return load_result(stored["result"].encode(), run.workspace)
        except (ArtifactError, KeyError, ValueError) as error:
            log.warning("a cached result cannot be used: %s", error)
            return None

    def __call__(self, **arguments: Any) -> Any:
        """Run as a Prefect task; the result comes from the cache if it can."""
        run: Run = arguments["run"]
        key = self.key(**arguments)
        policy = CacheKeyFnPolicy(cache_key_fn=lambda context, parameters: key.digest).configure(
            isolation_level=IsolationLevel.SERIALIZABLE, lock_manager=FlockLockManager(run.workspace.locks)
        )
        task: Task[..., Any] = Task(
            fn=self.fn,
            name=self.name,
            task_run_name=f"{run.campaign} · {run.label} · {self.name}",
            cache_policy=policy,
            persist_result=True,
            result_storage=run.workspace.cache,
            result_serializer=ArtifactSerializer(root=str(run.workspace.root)),
            refresh_cache=self.name in run.refresh,
        )
        run.workspace.cache.mkdir(parents=True, exist_ok=True)
        at_work = self.at_work(**arguments)
        (at_work.workdir / TIMES).unlink(missing_ok=True)
        if self.name in run.refresh:
            _tidy(at_work.workdir)  # anew means anew: no shard and no optimizer checkpoint of an earlier attempt
        started = time.monotonic()
        state = task(**{**arguments, "run": at_work}, return_state=True)
        result = state.result()
        event = {"label": run.label, "stage": self.name, "cached": state.name == "Cached"}
        event |= {
            "seconds": time.monotonic() - started,
            "children": progress.read(at_work.workdir / TIMES)[0],
        }
        run.events.append(event)
        outcome = "cached" if event["cached"] else f"done in {event['seconds']:.1f} s"
        log.info("%s · %s: %s, %s", run.label, self.name, outcome, _show(result))
        _tidy(at_work.workdir)
        _record(run, self.name, key)
        return result


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


def _tidy(workdir: Path) -> None:
    """Remove partial results of a finished stage; its job files and logs stay."""
    for folder in workdir.iterdir():
        if folder.is_dir():
            shutil.rmtree(folder)


def _record(run: Run, name: str, key: Key) -> None:
    path = run.workspace.key_record(run.campaign, f"{run.label} {name}")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(key.fields, indent=1, sort_keys=True), encoding="utf-8")


def _show(result: Result) -> str:
    if isinstance(result, Checkpoint):
        return f"checkpoint {result.digest[:12]}"
    return f"{result.rows:,} {result.kind} {result.digest[:12]}"
