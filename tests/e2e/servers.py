"""Real Prefect and MLflow servers on loopback, for the tests that need one, and what they have been told."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def server(command: list[str], health: str, extra: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Start a server on loopback, wait until it answers, end it afterwards."""
    process = subprocess.Popen(
        [sys.executable, "-m", *command], env={**os.environ, **extra}, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 120
        while True:
            try:
                urllib.request.urlopen(health, timeout=5).close()
                break
            except OSError:
                if time.monotonic() > deadline or process.poll() is not None:
                    raise
                time.sleep(0.2)
        yield process
    finally:
        end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    """End a server and everything it has started; nothing if it has ended."""
    if process.poll() is not None:
        return
    os.killpg(process.pid, 15)
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, 9)
        process.wait()


@contextmanager
def prefect_server(folder: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A Prefect server that keeps everything in `folder`; its API's address, and its process."""
    port = free_port()
    extra = {"PREFECT_HOME": str(folder), "PREFECT_SERVER_ANALYTICS_ENABLED": "false", "DO_NOT_TRACK": "1"}
    command = ["prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    with server(command, f"http://127.0.0.1:{port}/api/health", extra) as process:
        yield f"http://127.0.0.1:{port}/api", process


@contextmanager
def mlflow_server(folder: Path, port: int) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """An MLflow server whose database and files lie in `folder`; its address, and its process."""
    folder.mkdir(exist_ok=True)
    extra = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    command = [
        "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
        "--backend-store-uri", f"sqlite:///{folder / 'team.db'}", "--artifacts-destination", str(folder / "files"),
    ]  # fmt: skip
    with server(command, f"http://127.0.0.1:{port}/health", extra) as process:
        yield f"http://127.0.0.1:{port}", process


def query(api: str, kind: str, **body: Any) -> list[dict[str, Any]]:
    """What a Prefect server has of one kind: flow_runs, task_runs, logs, deployments."""
    return httpx.post(f"{api}/{kind}/filter", json={"limit": 200, **body}, timeout=30).raise_for_status().json()


def cancel(api: str, name: str) -> None:
    """Cancel the running flow run of this name, as the button of the UI does."""
    (run,) = [run for run in query(api, "flow_runs") if run["name"] == name and run["state_type"] == "RUNNING"]
    wish = {"state": {"type": "CANCELLING", "name": "Cancelling"}, "force": False}
    answer = httpx.post(f"{api}/flow_runs/{run['id']}/set_state", json=wish, timeout=30).raise_for_status().json()
    assert answer["status"] == "ACCEPT", answer
