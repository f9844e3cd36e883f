"""A stage's function as a Prefect task. Imported when the first one runs: Prefect's import takes seconds."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from prefect import Task
from prefect.cache_policies import CacheKeyFnPolicy
from prefect.serializers import Serializer
from prefect.transactions import IsolationLevel

from artifacts import ArtifactError
from tasks.attempts import rescheduled, retry_condition, waits
from tasks.locking import FlockLockManager
from tasks.machine import Machine
from tasks.results import Result, dump_result, load_result
from tasks.workspace import Workspace

log = logging.getLogger(__name__)


class ArtifactSerializer(Serializer):
    """Keeps references as JSON, and refuses one whose files are not as they were."""

    type: Literal["odr-artifact"] = "odr-artifact"
    root: str

    def dumps(self, obj: Result) -> bytes:
        """Write the reference."""
        return dump_result(obj)

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


def run(
    fn: Callable[..., Result],
    arguments: dict[str, Any],
    *,
    key: str,
    name: str,
    run_name: str,
    refresh: bool,
    workspace: Workspace,
) -> tuple[Result, bool]:
    """Call `fn` as a task whose result is kept under `key`; return the result and whether it was kept already."""
    policy = CacheKeyFnPolicy(cache_key_fn=lambda context, parameters: key).configure(
        isolation_level=IsolationLevel.SERIALIZABLE, lock_manager=FlockLockManager(workspace.locks)
    )
    machine: Machine = arguments["run"].machine
    task: Task[..., Any] = Task(
        fn=rescheduled(run_name, fn),
        name=name,
        task_run_name=run_name,
        cache_policy=policy,
        persist_result=True,
        result_storage=workspace.cache,
        result_serializer=ArtifactSerializer(root=str(workspace.root)),
        refresh_cache=refresh,
        retries=machine.retries,
        retry_delay_seconds=waits(machine),
        retry_condition_fn=retry_condition(run_name),
    )
    workspace.cache.mkdir(parents=True, exist_ok=True)
    state = task(**arguments, return_state=True)
    return state.result(), state.name == "Cached"
