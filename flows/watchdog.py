"""End the temporary Prefect server of a run that was killed.

    python -m flows.watchdog TOKEN

Without a configured server Prefect starts one for the length of the command and stops it at exit. SIGKILL and
SIGTERM leave no exit, and the server would stay for ever. Standard input is a pipe that only the run holds: when
it closes, the run's temporary servers are ended. They are known by a token in their environment, so that one is found
that was started in the run's last moment, whoever its parent is by then.
"""

import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

MARK = b"PREFECT__SERVER_EPHEMERAL=1"
TOKEN = "ODR_RUN"
LOOK_SECONDS = 0.5
GRACE_SECONDS = 8.0
"""How long a server may take to end."""


_leashes: list[subprocess.Popen[bytes]] = []
"""Kept until this process ends: Prefect stops its server at exit, and an earlier end of the pipe would disturb it."""


def start() -> None:
    """Watch this process, and the servers that it starts, from now on."""
    token = os.environ[TOKEN] = uuid.uuid4().hex
    command = [sys.executable, "-m", "flows.watchdog", token]
    _leashes.append(subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True))


def servers(token: str) -> list[int]:
    """Prefect servers that were started for the run with this token."""
    marks, found = {MARK, f"{TOKEN}={token}".encode()}, []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if marks <= set((entry / "environ").read_bytes().split(b"\0")):
                found.append(int(entry.name))
        except OSError:
            continue  # it has ended, or is not ours
    return found


def main(token: str) -> None:
    """Wait for the end of the run, then end what is left of its servers."""
    while os.read(0, 4096):
        pass
    over = time.monotonic()
    while True:
        seconds, left = time.monotonic() - over, servers(token)
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL if seconds > GRACE_SECONDS else signal.SIGTERM)
            except ProcessLookupError:
                continue
        # Twice at least: a server that is just being started shows its environment a moment later.
        if seconds > LOOK_SECONDS and (not left or seconds > GRACE_SECONDS):
            return
        time.sleep(LOOK_SECONDS)


if __name__ == "__main__":
    main(sys.argv[1])
