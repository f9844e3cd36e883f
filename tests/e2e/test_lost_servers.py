"""A server that dies in mid-campaign costs no result; what MLflow missed is sent by the next run, nothing twice."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.e2e import processes, sameness, servers
from tests.e2e.small_campaign import SMALL, environment, results

pytestmark = pytest.mark.slow

NAME = "lost-mlflow"
LONGER = [*SMALL, f"name={NAME}", "train.epochs=5", "train.save_steps=50"]


def test_metrics_that_a_lost_mlflow_server_missed_are_sent_by_the_next_run(home: Path, tmp_path: Path) -> None:
    port = servers.free_port()
    command = [sys.executable, "-m", "flows.cli", "demo", *LONGER]
    variables = {**environment(home), "MLFLOW_TRACKING_URI": f"http://127.0.0.1:{port}"}
    with servers.mlflow_server(tmp_path / "mlflow", port) as (uri, server):
        first = subprocess.Popen(command, env=variables, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        before = wait_for_points(uri, first)
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()
        _, said = first.communicate(timeout=300)
    with servers.mlflow_server(tmp_path / "mlflow", port) as (uri, _):
        missed = sameness.histories(uri, NAME)
        again = subprocess.run(command, env=variables, capture_output=True, text=True)
        twice = subprocess.run(command, env=variables, capture_output=True, text=True)
        filled = sameness.histories(uri, NAME)

    assert (first.returncode, again.returncode, twice.returncode) == (0, 0, 0), said[-4000:]
    assert said.count("MLflow at") == 1
    assert "done in" not in again.stderr
    row = results(home, NAME)["iterations"][1]
    lines = (Path(row["policy"]["path"]) / "training.jsonl").read_text().splitlines()
    curve = [json.loads(line) for line in lines]
    kept = {name: [(line["step"], line[name]) for line in curve if name in line] for name in curve[0] if name != "step"}
    assert before <= len(missed["1"]["train/loss"]) < len(curve)  # the fault was planted where it was meant to be
    sent = {name: points for name, points in filled["1"].items() if name.startswith("train/")}
    assert sent == {f"train/{name.replace(':', '').replace(' ', '_')}": points for name, points in kept.items()}
    scores = {f"eval/{s['benchmark']}/{s['metric'].replace('@', '_at_')}": s["value"] for s in row["values"]}
    assert {name: dict(filled["campaign"][name])[1] for name in scores} == scores
    assert all(len(dict(points)) == len(points) for run in filled.values() for points in run.values())


def test_a_prefect_server_lost_in_mid_run_costs_no_finished_stage(home: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "flows.cli", "demo", *SMALL, "name=lost-prefect", "train.save_steps=5"]
    known = set(home.glob("work/train-*"))
    with servers.prefect_server(tmp_path / "prefect") as (api, server):
        variables = {**environment(home), "PREFECT_API_URL": api, "PREFECT_CLIENT_MAX_RETRIES": "0"}
        first = subprocess.Popen(command, env=variables, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        wait_for_training(home, known, first)
        os.killpg(server.pid, signal.SIGKILL)
        _, said = first.communicate(timeout=300)
    again = subprocess.run(command, env=environment(home), capture_output=True, text=True)

    assert first.returncode == 1
    assert "Traceback" not in said
    assert "Start the Prefect server, or unset PREFECT_API_URL" in said
    assert again.returncode == 0, again.stderr[-4000:]
    assert "iteration 1 · train: done in" in said
    assert "iteration 1 · train: cached" in again.stderr


def test_a_temporary_prefect_server_that_is_killed_is_started_again_and_the_run_goes_on(home: Path) -> None:
    command = [sys.executable, "-m", "flows.cli", "demo", *SMALL, "name=lost-temporary", "train.learning_rate=4e-4"]
    known = set(home.glob("work/train-*"))
    run = subprocess.Popen(command, env=environment(home), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    wait_for_training(home, known, run)
    for process in processes.tree(run.pid):
        if processes.role(process[0]) == "temporary Prefect server":
            assert processes.kill(process, signal.SIGKILL)
    _, said = run.communicate(timeout=300)

    assert run.returncode == 0, said[-4000:]
    assert said.count("the temporary Prefect server has ended (-9); it is started again") == 1
    again = subprocess.run(command, env=environment(home), capture_output=True, text=True)
    assert again.returncode == 0
    assert "done in" not in again.stderr


def wait_for_training(home: Path, known: set[Path], command: subprocess.Popen[str]) -> None:
    """Wait until a trainer that was not there before has begun."""
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline and command.poll() is None:
        if any((folder / "log.txt").exists() for folder in set(home.glob("work/train-*")) - known):
            return
        time.sleep(0.1)
    raise AssertionError(f"no training began; exit code {command.poll()}")


def wait_for_points(uri: str, command: subprocess.Popen[str]) -> int:
    """Wait until the training's first points are there; how many there were."""
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline and command.poll() is None:
        try:
            points = sameness.histories(uri, NAME)["1"]["train/loss"]
        except (AssertionError, KeyError):  # no experiment, no run, no point yet
            time.sleep(0.2)
            continue
        return len(points)
    raise AssertionError(f"the training sent nothing; exit code {command.poll()}")
