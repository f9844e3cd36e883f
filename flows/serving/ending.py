"""End a server with everything it has started: ask, wait, insist."""

import os
import signal
import time
from collections.abc import Iterable
from contextlib import suppress

from flows.serving.record import Member, Server, alive

ALONE_SECONDS = 20.0
"""A server ends its own children in order if it is let: a second signal would disturb a run that says good-bye."""
ALL_SECONDS = 20.0
LOOK_SECONDS = 0.1


def end(server: Server) -> bool:
    """Return whether there was anything to end; when this returns, all of it is gone."""
    seen = server.family()
    if not seen:
        return False
    if server.name == "deployments":
        _ask_runs(server)
    first = [(server.pid, server.began)] if server.is_running() else seen
    for members, number, seconds in (
        (first, signal.SIGTERM, ALONE_SECONDS),
        (seen, signal.SIGTERM, ALL_SECONDS),
        (seen, signal.SIGKILL, ALL_SECONDS),
    ):
        _signal(alive(members), number)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            seen |= server.family()  # what its members have started since
            if not alive(seen):
                return True
            time.sleep(LOOK_SECONDS)
    raise TimeoutError(f"{server.name}: processes {', '.join(str(pid) for pid, _ in sorted(alive(seen)))} do not end")


def _ask_runs(server: Server) -> None:
    """Runs end in order and say so in Prefect and MLflow, which they cannot when Prefect's runner kills them."""
    runs, deadline = server.children(), time.monotonic() + ALONE_SECONDS
    _signal(runs, signal.SIGTERM)
    while alive(runs) and time.monotonic() < deadline:
        time.sleep(LOOK_SECONDS)


def _signal(members: Iterable[Member], number: signal.Signals) -> None:
    for pid, _ in members:
        with suppress(ProcessLookupError):
            os.kill(pid, number)
