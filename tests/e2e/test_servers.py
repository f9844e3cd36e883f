"""With a Prefect server and an MLflow server running, a campaign reports to both."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.small_campaign import SMALL, environment

pytestmark = pytest.mark.slow


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def server(command: list[str], health: str, extra: dict[str, str]) -> Iterator[None]:
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
                time.sleep(0.5)
        yield
    finally:
        os.killpg(process.pid, 15)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            process.wait()


def test_a_cached_campaign_shows_in_both_servers(home: Path, tmp_path: Path) -> None:
    api, mlflow_port = free_port(), free_port()
    prefect_env = {
        "PREFECT_HOME": str(tmp_path / "prefect"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
    }
    mlflow_env = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    prefect_command = ["prefect", "server", "start", "--host", "127.0.0.1", "--port", str(api)]
    mlflow_command = [
        "mlflow", "server", "--host", "127.0.0.1", "--port", str(mlflow_port), "--workers", "1",
        "--backend-store-uri", f"sqlite:///{tmp_path / 'team.db'}", "--artifacts-destination", str(tmp_path / "files"),
    ]  # fmt: skip

    with (
        server(prefect_command, f"http://127.0.0.1:{api}/api/health", prefect_env),
        server(mlflow_command, f"http://127.0.0.1:{mlflow_port}/health", mlflow_env),
    ):
        urls = {
            "PREFECT_API_URL": f"http://127.0.0.1:{api}/api",
            "MLFLOW_TRACKING_URI": f"http://127.0.0.1:{mlflow_port}",
        }
        done = subprocess.run(
            [sys.executable, "-m", "flows.cli", "demo", *SMALL],
            env={**environment(home), **urls}, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-4000:]
        names, states, lines = ask_prefect(urls["PREFECT_API_URL"])
        logged = ask_mlflow(urls["MLFLOW_TRACKING_URI"])

    assert {"demo", "demo · iteration 1"} <= names
    assert states["demo · iteration 1 · train"] == "Cached"
    assert states["demo · base · heldout/greedy · sample"] == "Cached"
    assert any("iteration 1 · train: cached" in line for line in lines)
    assert logged == {"campaign": {0, 1}, "iteration": {1}}


def ask_prefect(url: str) -> tuple[set[str], dict[str, str], list[str]]:
    """Names of flow runs, state names by task run, and log lines, from the server's own API."""
    import httpx

    def query(kind: str) -> list[dict[str, str]]:
        return httpx.post(f"{url}/{kind}/filter", json={"limit": 200}, timeout=30).raise_for_status().json()

    deadline = time.monotonic() + 30
    while True:  # logs and task states arrive a moment after the flow has ended
        names = {run["name"] for run in query("flow_runs")}
        states = {run["name"]: run["state_name"] for run in query("task_runs")}
        lines = [entry["message"] for entry in query("logs")]
        settled = any("train: cached" in line for line in lines) and "Cached" in states.values()
        if settled or time.monotonic() > deadline:
            return names, states, lines
        time.sleep(1)


def ask_mlflow(uri: str) -> dict[str, set[int]]:
    """Steps of the held-out accuracy by kind of run."""
    from mlflow import MlflowClient

    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name("online-dpo-r1")
    assert experiment is not None
    return {
        run.data.tags["kind"]: {m.step for m in client.get_metric_history(run.info.run_id, "eval/heldout/greedy")}
        for run in client.search_runs([experiment.experiment_id])
    }
