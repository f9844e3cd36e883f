"""A run that is killed leaves no Prefect server, not even one that it has started a moment ago."""

import subprocess
import sys
import time
from pathlib import Path

from tests.documents import ROOT

RUN = """
import os, signal, subprocess, sys
from flows import watchdog
watchdog.start()
for server in (True, False):
    mark = {"PREFECT__SERVER_EPHEMERAL": "1"} if server else {}
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], env={**os.environ, **mark},
                             stdout=subprocess.DEVNULL)
    print(child.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_server_that_was_just_started_ends_with_its_run_and_nothing_else_does() -> None:
    said = subprocess.run([sys.executable, "-c", RUN], cwd=ROOT, stdout=subprocess.PIPE, text=True).stdout
    server, other = (Path(f"/proc/{pid}") for pid in said.split())

    deadline = time.monotonic() + 60
    while server.exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    spared = other.exists()
    subprocess.run(["kill", "-9", other.name], check=spared)

    assert not server.exists()
    assert spared
