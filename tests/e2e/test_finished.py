"""A finished campaign answers without Prefect, and gives MLflow what it does not have."""

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.small_campaign import SMALL, environment, results, stages

pytestmark = pytest.mark.slow


def flow_runs(home: Path) -> int:
    with sqlite3.connect(home / "prefect" / "prefect.db") as database:
        return database.execute("select count(*) from flow_run").fetchone()[0]


def test_a_finished_campaign_needs_no_prefect_and_fills_a_new_tracking_server(home: Path, tmp_path: Path) -> None:
    before, seen = results(home), flow_runs(home)
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"

    done = subprocess.run(
        [sys.executable, "-m", "flows.cli", "demo", *SMALL],
        env={**environment(home), "MLFLOW_TRACKING_URI": uri},
        capture_output=True,
        text=True,
    )

    from mlflow import MlflowClient

    client = MlflowClient(uri)
    runs = client.search_runs([client.get_experiment_by_name("online-dpo-r1").experiment_id])
    (iteration,) = [run for run in runs if run.data.tags["kind"] == "iteration"]
    steps = [m.step for m in client.get_metric_history(iteration.info.run_id, "train/loss")]
    after = results(home)
    assert done.returncode == 0, done.stderr[-4000:]
    assert flow_runs(home) == seen > 0
    assert all(cached for _, _, cached in stages(after))
    assert [row["values"] for row in after["iterations"]] == [row["values"] for row in before["iterations"]]
    assert steps == list(range(1, len(steps) + 1)) != []
    assert {run.info.status for run in runs} == {"FINISHED"}
