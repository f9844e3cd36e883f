"""`odr stop` ends a run in training with all its children and exit code 75; Prefect shows how far it is; it goes on."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import processes, servers
from tests.e2e.small_campaign import SMALL, environment, odr
from tests.e2e.test_cancel import started, training_checkpoint, wait_for

pytestmark = pytest.mark.slow

NAME = "stopped"
LONG = [*SMALL, f"name={NAME}", "train.epochs=201", "train.save_steps=2"]
"""Everything up to the training of iteration 1 is cached; that would take minutes."""


def test_a_run_that_is_stopped_goes_on(home: Path, tmp_path: Path) -> None:
    others = set(home.glob("work/train-*"))
    with servers.prefect_server(tmp_path / "prefect") as (api, _):
        variables = {**environment(home), "PREFECT_API_URL": api, "MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path}/m.db"}
        with started(["-m", "flows.cli", "demo", *LONG], variables, tmp_path / "odr.log") as command:
            work = wait_for(lambda: training_checkpoint(home, others), command)
            shown = wait_for(lambda: progress_of_training(api), command)
            during = status(home)
            family = processes.tree(command.pid)
            asked = odr(home, "stop", NAME)
            code = command.wait(5)
            left = processes.wait_until_gone(family, 5)
        after = status(home)
        log = work / "log.txt"
        before = log.read_text().count("resuming from")
        with started(["-m", "flows.cli", "demo", *LONG], variables, tmp_path / "again.log") as again:
            wait_for(lambda: log.read_text().count("resuming from") > before, again)
            asked_again = odr(home, "stop", NAME)
            code_again = again.wait(5)
    lines = odr(home, "logs", NAME, "--stage", "train@1", "--lines", "0").stdout
    at_rest = odr(home, "stop", NAME)

    assert asked.returncode == 0, asked.stderr
    assert f"stopped    {NAME} (process {command.pid}); the same command goes on" in asked.stdout
    assert code == 75
    assert left == []
    assert "ended by SIGTERM.\nFinished work is kept" in (tmp_path / "odr.log").read_text()
    assert shown == {"key": "stopped-progress-train", "counted": True, "some": True}
    assert during == {"state": "running", "asked": 1, "done": 0, "benchmark": "heldout"}
    assert after == {**during, "state": "stopped"}
    assert (asked_again.returncode, code_again) == (0, 75)
    assert str(log) in lines
    assert "resuming from" in lines
    assert at_rest.returncode == 2
    assert "campaign 'stopped' is not running: it is stopped" in at_rest.stderr

    shutil.rmtree(work)  # the data root is that of other tests as well
    for place in ("started", "keys", "campaigns"):
        shutil.rmtree(home / place / NAME, ignore_errors=True)


def progress_of_training(api: str) -> dict[str, Any] | None:
    """What the page of the running training shows, once it shows steps: its artifact, and the count in its name."""
    found = [item for item in servers.query(api, "artifacts") if item["data"] and item["key"].endswith("-train")]
    runs = [run["name"] for run in servers.query(api, "task_runs") if " · train " in run["name"]]
    if not found or not runs:
        return None
    done, _, total = runs[0].rpartition(" ")[2].partition("/")
    counted = 0 < int(done) < int(total)
    return {"key": found[0]["key"], "counted": counted, "some": 0 < found[0]["data"] < 100}


def status(home: Path) -> dict[str, Any]:
    """What `odr list` says of the campaign."""
    listed: subprocess.CompletedProcess[str] = odr(home, "list", "--json")
    (found,) = [item for item in json.loads(listed.stdout) if item["campaign"] == NAME]
    accuracy = found["accuracy"]["benchmark"]
    return {"state": found["state"], "asked": found["asked"], "done": found["done"], "benchmark": accuracy}
