"""The Prefect server of one command, where none is configured.

Prefect starts a temporary one and stops it at exit. Here it is also ended if this process is killed (`watchdog`), and
started again on its port if it is killed itself: its database is a file, and clients ask again for a minute, so the run
goes on as if nothing had happened.
"""

import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING

from flows import watchdog
from flows.environment import has_server

if TYPE_CHECKING:
    from prefect.server.api.server import SubprocessASGIServer

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.5
MOST_RESTARTS = 20
"""A server that cannot live is not started for ever; the run then ends as with any other lost server."""


@contextmanager
def local_server() -> Iterator[None]:
    """What is different without a configured Prefect server; nothing when there is one.

    Flows send no heartbeat, since nobody listens and each would wait a second. Of runs that begin at once on one data
    root, one after the other starts its server: together they would race for the database's tables and for the time a
    start may take.
    """
    if has_server():
        yield
        return
    from prefect.server.api.server import SubprocessASGIServer
    from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

    watchdog.start()
    Path(os.environ["PREFECT_HOME"]).mkdir(parents=True, exist_ok=True)
    server = SubprocessASGIServer()  # the one that flows find running
    with _turn():
        server.start()
    over = Event()
    keeper = Thread(target=_keep_up, args=(server, over), name="prefect-server", daemon=True)
    keeper.start()
    try:
        with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
            yield
    finally:
        over.set()
        keeper.join()


@contextmanager
def _turn() -> Iterator[None]:
    with (Path(os.environ["PREFECT_HOME"]) / "starting.lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        yield


def _keep_up(first: "SubprocessASGIServer", over: Event) -> None:
    """Start the server again, on its port, whenever it has ended."""
    from prefect.server.api.server import SubprocessASGIServer

    server, restarts = first, 0
    while restarts < MOST_RESTARTS and not over.wait(LOOK_SECONDS):
        process = server.server_process
        if process is None or process.poll() is None:
            continue
        restarts += 1
        log.warning("the temporary Prefect server has ended (%s); it is started again", process.returncode)
        if server is not first:  # flows go on finding the first by its address, which is everyone's
            server.stop()
        server = SubprocessASGIServer(port=first.port)
        try:
            with _turn():
                server.start()
        except RuntimeError as error:
            log.warning("%s", error)
