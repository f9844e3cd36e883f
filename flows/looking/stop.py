"""`odr stop`: ask the command that runs a campaign to end, as a scheduler or Prefect would.

A command of a person gets SIGTERM: the trainer saves where it is, all children end, the exit code is 75. A flow run
that a Prefect runner has started is cancelled on its server, which ends it; else the runner would call it crashed. The
lock that a process holds says what it runs; its id and its beginning are compared, so no other process is ever hit.
"""

import os
import signal
import socket
import time
from uuid import UUID

from flows.environment import has_server
from flows.status import status
from tasks import presence
from tasks.presence import Owner, process_began
from tasks.workspace import Workspace

POLL_SECONDS = 0.1


def stop(workspace: Workspace, campaign: str, wait_seconds: float) -> list[Owner]:
    """Ask every process that runs the campaign to end, wait until they have, and return them.

    Raises:
        ValueError: nobody runs it, or not here.
        TimeoutError: one is still there after so many seconds; it goes on ending.
    """
    running = sorted(
        (owner for owner in presence.owners(workspace.locks) if owner.campaign == campaign), key=lambda item: item.pid
    )
    if not running:
        state = status(workspace, campaign, set()).state
        raise ValueError(f"campaign {campaign!r} is not running: it is {state}; `odr list` shows all")
    for owner in running:
        _check_reach(owner)
    for owner in running:
        _ask(owner)
    deadline = time.monotonic() + wait_seconds
    while left := [owner for owner in running if process_began(owner.pid) == owner.began]:
        if time.monotonic() > deadline:
            raise TimeoutError(
                f"process {left[0].pid} was asked to end and is still saving its work after {wait_seconds:g} s; "
                f"`odr list` shows when it has ended"
            )
        time.sleep(POLL_SECONDS)
    return running


def _check_reach(owner: Owner) -> None:
    if owner.host != socket.gethostname():
        raise ValueError(
            f"campaign {owner.campaign!r} runs as process {owner.pid} on {owner.host}, and this is "
            f"{socket.gethostname()}: run `odr stop {owner.campaign}` there"
        )
    if owner.flow_run and not has_server():
        raise ValueError(
            f"campaign {owner.campaign!r} was started by a deployment: cancel it in Prefect, or set PREFECT_API_URL "
            f"to that server and try again"
        )


def _ask(owner: Owner) -> None:
    if owner.flow_run:
        from prefect.client.orchestration import get_client
        from prefect.client.schemas.objects import State, StateType

        with get_client(sync_client=True) as client:
            client.set_flow_run_state(UUID(owner.flow_run), State(type=StateType.CANCELLING), force=False)
    elif process_began(owner.pid) == owner.began:
        os.kill(owner.pid, signal.SIGTERM)
