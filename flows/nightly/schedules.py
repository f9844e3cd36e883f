"""The schedules of the deployment `nightly`: one for each standing campaign, by its name."""

import hashlib
from pathlib import Path
from typing import Any

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterTags, FlowFilter, FlowFilterName
from prefect.client.schemas.schedules import CronSchedule

from flows.nightly import standing
from flows.nightly.standing import Standing
from tasks.workspace import Workspace


def owner_tag(root: Path) -> str:
    """The tag of a data root's deployments: tells them apart on a shared server without saying where they are."""
    return f"data-root-{hashlib.sha256(str(root).encode()).hexdigest()[:12]}"


def deployment_of(client: SyncPrefectClient, root: Path) -> str | None:
    """The full name of the deployment that runs this data root's nights; None if nobody has served it yet."""
    found = client.read_deployments(
        flow_filter=FlowFilter(name=FlowFilterName(any_=["nightly"])),
        deployment_filter=DeploymentFilter(tags=DeploymentFilterTags(all_=[owner_tag(root)])),
    )
    return f"nightly/{found[0].name}" if found else None


def match(client: SyncPrefectClient, deployment: str, root: Path) -> list[str]:
    """Make the deployment's schedules those of the data root; return their names.

    One that a person has paused in the UI stays paused, unless its time has changed.
    """
    workspace = Workspace(root)
    wanted = {name: standing.read(workspace, name) for name in standing.names(workspace)}
    wanted = {name: each for name, each in wanted.items() if each.cron}
    found = client.read_deployment_by_name(deployment)
    there: dict[str, Any] = {str(schedule.slug): schedule for schedule in found.schedules}
    for name, schedule in there.items():
        if name not in wanted or _time_of(schedule.schedule) != (wanted[name].cron, wanted[name].timezone):
            client.delete_deployment_schedule(found.id, schedule.id)
    kept = {name for name, each in wanted.items() if name in there and _time_of(there[name].schedule) == _wish(each)}
    new = [
        DeploymentScheduleCreate(
            schedule=CronSchedule(cron=each.cron, timezone=each.timezone), slug=name,
            parameters={"form": {"campaign": name}},
        )
        for name, each in wanted.items() if name not in kept
    ]  # fmt: skip
    if new:
        client.create_deployment_schedules(found.id, new)
    return sorted(wanted)


def _wish(each: Standing) -> tuple[str, str]:
    return each.cron, each.timezone


def _time_of(schedule: Any) -> tuple[str, str]:
    return getattr(schedule, "cron", ""), getattr(schedule, "timezone", None) or "UTC"
