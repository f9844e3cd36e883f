"""Cancelling in Prefect, or `odr stop` of a served run, ends it with all its children; the next run goes on."""

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import httpx
import pytest

from tests.e2e import processes, servers
from tests.e2e.small_campaign import SMALL, environment

pytestmark = pytest.mark.slow

T = TypeVar("T")

LONG = [*SMALL, "name=cancelled", "train.epochs=300", "train.save_steps=2"]
"""Everything up to the training of iteration 1 is cached; that would take minutes."""
SERVE = "from flows.campaign import campaign; campaign.serve(name='test', pause_on_shutdown=False)"


def test_cancelling_ends_all_children_and_the_next_run_goes_on(home: Path, tmp_path: Path) -> None:
    others = set(home.glob("work/train-*"))
    with servers.prefect_server(tmp_path / "prefect") as (api, _):
        extra = {"PREFECT_API_URL": api, "MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path / 'mlflow.db'}"}
        with started(["-m", "flows.cli", "demo", *LONG], {**environment(home), **extra}, tmp_path / "odr.log") as odr:
            work = wait_for(lambda: training_checkpoint(home, others), odr)
            seconds = cancelled_within(api, odr.pid)
            states = last_states(api)
        assert seconds < 10
        assert odr.wait(5) == 1  # not 75: nobody should start it again
        assert states == {("cancelled", "Cancelled"), ("cancelled · iteration 1", "Cancelled")}
        assert "the run was cancelled in Prefect" in (tmp_path / "odr.log").read_text()
        before = (work / "log.txt").read_text().count("resuming from")

        with started(["-c", SERVE], {**environment(home), **extra}, tmp_path / "serve.log") as runner:
            submit(api, home, runner)
            wait_for(lambda: (work / "log.txt").read_text().count("resuming from") > before, runner)
            family = processes.tree(flow_below(runner.pid))
            command = [sys.executable, "-m", "flows.cli", "stop", "cancelled"]
            stop = subprocess.run(command, env={**environment(home), **extra}, capture_output=True, text=True)
            left = processes.wait_until_gone(family, 5)
            states = last_states(api)
        assert stop.returncode == 0, stop.stderr
        assert left == []
        assert ("cancelled", "Cancelled") in states
        assert not {"Running", "Cancelling", "Completed"} & {state for name, state in states if name == "cancelled"}
    assert training_checkpoint(home, others) == work
    shutil.rmtree(work)  # the data root is that of other tests as well
    shutil.rmtree(home / "started" / "cancelled")


@contextmanager
def started(arguments: list[str], variables: dict[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A command that is ended, with all its processes, when the block is left."""
    with log.open("wb") as output:
        command = subprocess.Popen(
            [sys.executable, *arguments], env=variables, stdout=output, stderr=output, start_new_session=True
        )
    try:
        yield command
    finally:
        family = processes.tree(command.pid)
        for process in family:
            processes.kill(process, 15)
        processes.wait_until_gone(family, 10)
        for process in family:
            processes.kill(process, 9)
        command.wait()


def wait_for(look: Callable[[], T | None], command: subprocess.Popen[bytes]) -> T:
    """What `look` finds, as soon as it finds something."""
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline and command.poll() is None:
        if found := look():
            return found
        time.sleep(0.1)
    raise AssertionError(f"nothing was found; the command's exit code is {command.poll()}")


def training_checkpoint(home: Path, others: set[Path]) -> Path | None:
    """The working folder of the training, none of those before, that has committed an optimizer checkpoint."""
    found = {marker.parents[2] for marker in home.glob("work/train-*/checkpoints/checkpoint-*/odr-committed.json")}
    return next(iter(found - others), None)


def cancelled_within(api: str, flow: int) -> float:
    """Cancel the campaign that this process runs; seconds until it and everything below it is gone."""
    family = processes.tree(flow)
    roles = {processes.role(pid) for pid, _ in family}
    assert {"supervisor", "trainer"} <= roles, roles
    began = time.monotonic()
    servers.cancel(api, "cancelled")
    left = processes.wait_until_gone(family, 30)
    seconds = time.monotonic() - began
    assert left == []
    return seconds


def flow_below(runner: int) -> int:
    """The process that a runner has started for a flow run: the one that has a supervisor as its child."""
    (supervisor,) = [pid for pid, _ in processes.tree(runner) if processes.role(pid) == "supervisor"]
    return int(Path(f"/proc/{supervisor}/stat").read_text().rsplit(")", 1)[1].split()[1])


def last_states(api: str) -> set[tuple[str, str]]:
    """(name, state) of all flow runs; a runner says only a moment later that it has cancelled one."""
    deadline = time.monotonic() + 15
    while True:
        states = {(run["name"], run["state_name"]) for run in servers.query(api, "flow_runs")}
        if not {"Cancelling", "Running"} & {state for _, state in states} or time.monotonic() > deadline:
            return states
        time.sleep(0.2)


def submit(api: str, home: Path, runner: subprocess.Popen[bytes]) -> None:
    """Start the same campaign through its deployment."""
    script = (
        "import json, sys; from pathlib import Path; from flows.config import load;"
        "print(load(Path('configs/demo.yaml'), sys.argv[1:]).model_dump_json())"
    )
    config = subprocess.run(
        [sys.executable, "-c", script, *LONG], env=environment(home), capture_output=True, text=True, check=True
    ).stdout
    (deployment,) = wait_for(lambda: servers.query(api, "deployments"), runner)
    body = {"parameters": {"config": json.loads(config)}, "state": {"type": "SCHEDULED"}}
    address = f"{api}/deployments/{deployment['id']}/create_flow_run"
    posted = wait_for(lambda: answered(httpx.post(address, json=body, timeout=30)), runner)
    posted.raise_for_status()


def answered(response: httpx.Response) -> httpx.Response | None:
    """The response, unless the server's database was busy: Prefect's own client asks again as well."""
    return None if response.status_code == 503 else response
