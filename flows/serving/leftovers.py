"""Runs that Prefect believes to be at work although their process has ended with the one that served them."""

from collections.abc import Iterable
from pathlib import Path
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterId,
    FlowRunFilter,
    FlowRunFilterParentFlowRunId,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.states import Cancelled, Crashed

from tasks import presence

AT_WORK = [StateType.RUNNING, StateType.PENDING, StateType.CANCELLING]
MESSAGE = "The process that served it has ended. What is finished is kept: the same run, started again, goes on."


def close(client: SyncPrefectClient, deployments: Iterable[UUID], locks: Path) -> list[str]:
    """Say of such runs of these deployments, and of their subflow runs, that they are over; return their names.

    A run whose process is at work in the data root all the same is let alone. `locks` is that of the data root.
    """
    at_work = FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=AT_WORK)))
    ours = DeploymentFilter(id=DeploymentFilterId(any_=list(deployments)))
    alive = {owner.flow_run for owner in presence.owners(locks)}
    runs = client.read_flow_runs(flow_run_filter=at_work, deployment_filter=ours)
    over = [run for run in runs if str(run.id) not in alive]
    if not over:
        return []
    parents = FlowRunFilterParentFlowRunId(any_=[run.id for run in over])
    below = client.read_flow_runs(flow_run_filter=at_work.model_copy(update={"parent_flow_run_id": parents}))
    for run in [*below, *over]:
        client.set_flow_run_state(run.id, _end(run), force=True)
    return [run.name for run in over]


def _end(run: FlowRun) -> State[object]:
    asked = run.state is not None and run.state.type is StateType.CANCELLING
    return Cancelled(message=MESSAGE) if asked else Crashed(message=MESSAGE)
