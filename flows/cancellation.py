"""End a run that somebody cancels in Prefect.

A run that a worker or `serve` has started is ended by it, with SIGTERM. Nobody does so for one that a person has
started in a terminal: Prefect notes the wish, and the run goes on to its end. So the run asks, and sends itself that
SIGTERM: the stage at work ends its children, and what is finished stays.
"""

import logging
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterParentFlowRunId
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.runtime import flow_run as this_run
from prefect.states import Cancelled

from flows import outcome
from flows.environment import has_server

log = logging.getLogger(__name__)

ASK_SECONDS = 2.0
MESSAGE = "What is finished is kept: the same command goes on from there."
WISH = (StateType.CANCELLING, StateType.CANCELLED)


@contextmanager
def obeyed() -> Iterator[None]:
    """Inside a flow: end this process when its flow run or one of its subflow runs is cancelled.

    Does nothing where somebody else does it, and without a configured server: nobody can reach a temporary one.
    """
    if not has_server() or "PREFECT__FLOW_RUN_ID" in os.environ:
        yield
        return
    over = threading.Event()
    run = UUID(str(this_run.get_id()))
    threading.Thread(target=_ask, args=(run, over), name="cancellation", daemon=True).start()
    try:
        yield
    finally:
        over.set()
        if outcome.cancelled.is_set():
            _mark(run)


def stays_cancelled(flow: Any, flow_run: Any, state: Any) -> None:
    """Hook for `on_crashed`: where the command outlives the signal, Prefect calls the run Crashed after all."""
    if outcome.cancelled.is_set():
        _mark(flow_run.id)


def _ask(run: UUID, over: threading.Event) -> None:
    while not over.wait(ASK_SECONDS):
        try:
            wanted = any(item.state and item.state.type in WISH for item in _runs(run))
        except Exception as error:  # a server that is away cannot cancel anything; it is asked again
            log.debug("cannot ask whether the run is cancelled: %s", error)
            continue
        if wanted and not over.is_set():
            log.warning("the run was cancelled in Prefect; it ends. %s", MESSAGE)
            outcome.cancelled.set()
            os.kill(os.getpid(), signal.SIGTERM)
            return


def _mark(run: UUID) -> None:
    """Say that the runs are cancelled: Prefect calls a subflow run Crashed by then, and of this one says nothing."""
    try:
        with get_client(sync_client=True) as client:
            for item in _runs(run):
                if item.state is None or not item.state.is_completed():
                    client.set_flow_run_state(item.id, Cancelled(message=MESSAGE), force=True)
    except Exception as error:  # the run ends all the same
        log.warning("cannot tell Prefect that the run was cancelled: %s", error)


def _runs(run: UUID) -> list[FlowRun]:
    """The flow run and its subflow runs, as the server has them now."""
    below = FlowRunFilter(parent_flow_run_id=FlowRunFilterParentFlowRunId(any_=[run]))
    with get_client(sync_client=True) as client:
        return [client.read_flow_run(run), *client.read_flow_runs(flow_run_filter=below)]
