"""Further attempts of a stage under the real Prefect engine, its children real processes."""

import json
import logging
import sys
import time
from pathlib import Path

import pytest
from task_examples import a_rollout, stored

from artifacts import Ref, Rollout
from tasks import launch
from tasks.caching import Run, stage
from tasks.child import Child, ChildFailed
from tasks.machine import Machine

pytestmark = pytest.mark.usefixtures("prefect_server")

ACTOR = Path(__file__).with_name("child_actor.py")


def a_stage(*endings: str):
    """A stage whose n-th attempt starts a child that ends in the n-th way, and then one that does its work."""
    starts: list[float] = []

    @stage("toy", code=lambda _: ("tasks.pair",))
    def toy(size: int, run: Run) -> Ref[Rollout]:
        starts.append(time.monotonic())
        way = endings[len(starts) - 1] if len(starts) <= len(endings) else "exit 0"
        if way == "preempted":
            way = f"preempted {run.workdir / 'failure.json'}"
        command = [sys.executable, str(ACTOR), *way.split()]
        child = Child("toy", command, run.workdir / "log.txt", run.workdir / "failure.json")
        launch.run([child], run.workdir / "progress.jsonl", lambda line: None)
        return stored(run.workspace.store, [a_rollout(index=i) for i in range(size)])

    return toy, starts


def here(workspace, **machine):
    return Run(workspace, Machine(**{"retry_seconds": 0.2, **machine}), "here", label="iteration 1")


def test_a_child_that_a_signal_ended_gets_another_attempt_and_the_waits_grow(workspace, caplog, monkeypatch):
    toy, starts = a_stage("kill 9", "kill 9")

    logger = logging.getLogger("tasks.attempts")  # above it, Prefect's handlers come and go with its settings
    monkeypatch.setattr(logger, "handlers", [caplog.handler])
    monkeypatch.setattr(logger, "propagate", False)
    ref = toy(size=2, run=here(workspace))

    assert ref.rows == 2
    assert len(starts) == 3
    assert [line for record in caplog.records if "attempt" in (line := record.getMessage())] == [
        "here · iteration 1 · toy: toy: ended by signal 9; attempt 2 of 3 in 0.2 s",
        "here · iteration 1 · toy: toy: ended by signal 9; attempt 3 of 3 in 0.4 s",
    ]
    assert starts[1] - starts[0] >= 0.2
    assert starts[2] - starts[1] >= 0.4


def test_attempts_are_never_more_than_the_config_says(workspace):
    toy, starts = a_stage(*["kill 9"] * 9)

    with pytest.raises(ChildFailed, match="ended by signal 9"):
        toy(size=2, run=here(workspace, retries=1))

    assert len(starts) == 2


@pytest.mark.parametrize("retries", [0, 2])
def test_an_error_that_would_come_again_gets_no_second_attempt(workspace, retries):
    toy, starts = a_stage("exit 3", "exit 3")

    with pytest.raises(ChildFailed, match="exit code 3"):
        toy(size=2, run=here(workspace, retries=retries))

    assert len(starts) == 1


def test_a_preempted_child_costs_no_attempt(workspace):
    toy, starts = a_stage("preempted", "preempted", "kill 9")

    toy(size=2, run=here(workspace, retries=1))

    assert len(starts) == 4


def test_only_the_last_attempt_leaves_a_record(workspace):
    toy, _ = a_stage("kill 9")

    ref = toy(size=2, run=here(workspace))

    (record,) = workspace.cache.glob("toy-*")
    assert ref.digest in json.dumps(json.loads(record.read_text()))
