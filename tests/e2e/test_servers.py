"""With a Prefect server and an MLflow server running, a campaign reports to both."""

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.e2e import servers
from tests.e2e.small_campaign import SMALL, environment

pytestmark = pytest.mark.slow


def test_a_cached_campaign_shows_in_both_servers(home: Path, tmp_path: Path) -> None:
    with (
        servers.prefect_server(tmp_path / "prefect") as (api, _),
        servers.mlflow_server(tmp_path / "mlflow", servers.free_port()) as (mlflow, _),
    ):
        urls = {"PREFECT_API_URL": api, "MLFLOW_TRACKING_URI": mlflow}
        done = subprocess.run(
            [sys.executable, "-m", "flows.cli", "demo", *SMALL],
            env={**environment(home), **urls}, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-4000:]
        names, states, lines = ask_prefect(api)
        pages = {item["key"]: item["data"] for item in servers.query(api, "artifacts")}
        logged = ask_mlflow(mlflow)
        run = linked_run(mlflow, pages["demo-iteration-1"])

    assert {"demo", "demo · iteration 1"} <= names
    assert states["demo · iteration 1 · train"] == "Cached"
    assert states["demo · base · heldout/greedy · sample"] == "Cached"
    assert any("iteration 1 · train: cached" in line for line in lines)
    assert set(pages) == {"demo-iteration-1"}  # what is cached makes no progress
    assert "| heldout | greedy | 40 |" in pages["demo-iteration-1"]
    assert "| iteration 1 · train | cached |" in pages["demo-iteration-1"]
    assert run == ("iteration", "1")
    assert logged == {"campaign": {0, 1}, "iteration": {1}}


def ask_prefect(url: str) -> tuple[set[str], dict[str, str], list[str]]:
    """Names of flow runs, state names by task run, and log lines, from the server's own API."""
    deadline = time.monotonic() + 30
    while True:  # logs and task states arrive a moment after the flow has ended
        names = {run["name"] for run in servers.query(url, "flow_runs")}
        states = {run["name"]: run["state_name"] for run in servers.query(url, "task_runs")}
        lines = [entry["message"] for entry in servers.query(url, "logs")]
        settled = any("train: cached" in line for line in lines) and "Cached" in states.values()
        if settled or time.monotonic() > deadline:
            return names, states, lines
        time.sleep(1)


def linked_run(uri: str, page: str) -> tuple[str, str]:
    """Kind and number of the run that the page of an iteration links to."""
    from mlflow import MlflowClient

    link = re.search(rf"\({uri}/#/experiments/(\d+)/runs/(\w+)\)", page)
    assert link is not None, page
    run = MlflowClient(uri).get_run(link[2])
    assert run.info.experiment_id == link[1]
    return run.data.tags["kind"], run.data.tags["iteration"]


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
