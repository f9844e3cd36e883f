"""End the temporary Prefect server of a run that was killed.

    python -m flows.watchdog PID

Without a configured server Prefect starts one for the length of the command and stops it at exit. SIGKILL and
SIGTERM leave no exit, and the server would stay for ever. Standard input is a pipe that only the run holds: when
it closes, what is left of the run's temporary servers is ended.
"""

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

from tasks.workers.supervise import descendants

MARK = b"PREFECT__SERVER_EPHEMERAL=1"
LOOK_SECONDS = 0.5


_leashes: list[subprocess.Popen[bytes]] = []
"""Kept until this process ends: Prefect stops its server at exit, and an earlier end of the pipe would disturb it."""


def start() -> None:
    """Watch this process from now on."""
    command = [sys.executable, "-m", "flows.watchdog", str(os.getpid())]
    _leashes.append(subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True))


def is_temporary_server(pid: int) -> bool:
    """Whether a process is a Prefect server that was started for one command."""
    try:
        return MARK in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return False  # it has ended, or is not ours


def main(run: int) -> None:
    """Remember the servers below `run` while it lives, and end them when its pipe closes."""
    servers: set[int] = set()
    while True:
        ready, _, _ = select.select([0], [], [], LOOK_SECONDS)
        if ready and not os.read(0, 4096):
            break
        servers.update(pid for pid in descendants(run) if is_temporary_server(pid))
    for pid in filter(is_temporary_server, servers):  # looked at again: a number may have a new owner
        try:
            os.kill(pid, signal.SIGTERM)
        except ProcessLookupError:
            continue


if __name__ == "__main__":
    main(int(sys.argv[1]))
