"""`odr serve`: the four deployments of a data root."""

import asyncio
import os
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect import Flow
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.deployments.runner import RunnerDeployment
from prefect.exceptions import ObjectNotFound
from prefect.runner import Runner

from flows import environment
from flows.nightly import schedules
from flows.serving import forms, leftovers, programs, served
from tasks.locking import FlockLockManager
from tasks.workspace import Workspace

FLOWS: tuple[Flow[..., Any], ...] = (served.campaign, served.iteration, served.evaluate, served.nightly)
ASK_SECONDS = 3
"""Between two looks for runs that are due."""
AT_ONCE = 20
"""Processes, most of them waiting for a slot: a run that is refused or skipped needs none."""


def serve(root: Path, slots: int, suffix: str = "") -> None:
    """Register the deployments and run what is started there, until SIGTERM or Ctrl-C.

    Raises:
        ValueError: there is no server, no preset, somebody serves this data root already, or a name is another data
            root's. Then nothing is registered.
    """
    if not environment.has_server():
        raise ValueError("odr serve needs a Prefect server: start one with `odr up`, or set PREFECT_API_URL to yours")
    if not forms.presets():
        raise ValueError(f"no presets: {forms.CONFIGS.absolute()} holds no *.yaml; start this in the project's folder")
    locks = Workspace(root).locks
    if not FlockLockManager(locks).try_lock("serving", "serve"):  # held as long as this process lives
        owner = (locks / "serving.lock").read_text(encoding="utf-8")
        raise ValueError(
            f"process {owner} serves the deployments of {root} already; `odr down` or Ctrl-C there ends it"
        )
    found = build(root, suffix)
    runner = Runner(
        name=f"odr-{schedules.owner_tag(root)}", pause_on_shutdown=False, limit=AT_ONCE, query_seconds=ASK_SECONDS
    )
    with get_client(sync_client=True) as client:
        for deployment in found:
            _check_owner(client, deployment, root)
        client.upsert_global_concurrency_limit_by_name(served.slots_name(), slots)
        ids = [runner.add_deployment(deployment) for deployment in found]
        leftovers.close(client, [each for each in ids if isinstance(each, UUID)], locks)
        schedules.match(client, f"nightly/nightly{_ending(suffix)}", root)
    ready = programs.ready_file(root)
    ready.parent.mkdir(parents=True, exist_ok=True)
    ready.write_text(str(os.getpid()), encoding="utf-8")
    asyncio.run(runner.start())


def build(root: Path, suffix: str = "") -> list[RunnerDeployment]:
    """The deployments, not yet registered."""
    tags = ["odr", schedules.owner_tag(root)]
    made = [flow.to_deployment(f"{flow.name}{_ending(suffix)}", tags=tags) for flow in FLOWS]
    return [deployment for deployment in made if isinstance(deployment, RunnerDeployment)]  # outside an event loop: all


def _check_owner(client: SyncPrefectClient, deployment: RunnerDeployment, root: Path) -> None:
    try:
        there = client.read_deployment_by_name(deployment.full_name)
    except ObjectNotFound:
        return
    if schedules.owner_tag(root) not in there.tags:
        raise ValueError(
            f"the deployment {deployment.full_name} of this Prefect server belongs to somebody else "
            f"(tags: {', '.join(there.tags) or 'none'}); give yours other names with --suffix"
        )


def _ending(suffix: str) -> str:
    return f"-{suffix}" if suffix else ""
