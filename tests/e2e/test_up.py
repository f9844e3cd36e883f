"""`odr up`: real servers, found again, one started anew after it was killed, and ended without a trace."""

import json
import os
import signal
from pathlib import Path

import httpx
import pytest

from tests.e2e import processes, servers
from tests.e2e.small_campaign import odr

pytestmark = pytest.mark.slow

CHOICES = {"campaign": "preset", "iteration": "preset", "evaluate": "benchmarks", "nightly": "campaign"}


def test_servers_and_deployments_come_up_once_and_leave_nothing(tmp_path: Path) -> None:
    home = tmp_path / "odr"
    ports = [servers.free_port(), servers.free_port()]
    try:
        first = odr(home, "up", "--prefect-port", str(ports[0]), "--mlflow-port", str(ports[1]))
        assert first.returncode == 0, first.stderr
        started = running(home)
        look_at_the_pages(ports)
        refuse_wrong_values(f"http://127.0.0.1:{ports[0]}/api")
        set_up_a_night(home, f"http://127.0.0.1:{ports[0]}/api")

        os.kill(started["deployments"], signal.SIGKILL)
        second = odr(home, "up")
        assert second.returncode == 0, second.stderr
        again = running(home)
    finally:
        everything = processes.of_data_root(home)
        last = odr(home, "down")

    assert [line.split()[-1] for line in first.stdout.splitlines()[:3]] == ["(started)"] * 3
    assert [line.split()[-1] for line in second.stdout.splitlines()[:3]] == ["(running)", "(running)", "(started)"]
    assert {name for name in started if started[name] != again[name]} == {"deployments"}
    assert "ended: deployments, mlflow, prefect" in last.stdout
    assert len(everything) >= 4
    assert processes.wait_until_gone(everything | processes.of_data_root(home), 0) == []
    assert running(home) == {}


def running(home: Path) -> dict[str, int]:
    """Process by name, as recorded."""
    path = home / "servers" / "running.json"
    return {entry["name"]: entry["pid"] for entry in json.loads(path.read_text())} if path.exists() else {}


def look_at_the_pages(ports: list[int]) -> None:
    for port in ports:
        page = httpx.get(f"http://127.0.0.1:{port}/", timeout=30, follow_redirects=True)
        assert page.status_code == 200
        assert "<html" in page.text


def refuse_wrong_values(api: str) -> None:
    """The forms are there, and the server itself refuses what is wrong in them."""
    found = {deployment["name"]: deployment for deployment in servers.query(api, "deployments")}
    assert set(found) == set(CHOICES)
    for name, field in CHOICES.items():
        (form,) = found[name]["parameter_openapi_schema"]["definitions"].values()
        assert form["properties"][field]["description"]
        assert found[name]["enforce_parameter_schema"]
    for form, reason in (
        ({"preset": "dmeo"}, "form.preset"),
        ({"preset": "demo", "iterations": -1}, "form.iterations"),
    ):
        body = {"parameters": {"form": form}, "state": {"type": "SCHEDULED"}}
        answer = httpx.post(f"{api}/deployments/{found['campaign']['id']}/create_flow_run", json=body, timeout=30)
        assert answer.status_code == 409
        assert reason in answer.json()["detail"]
    assert servers.query(api, "flow_runs") == []


def set_up_a_night(home: Path, api: str) -> None:
    """A schedule reaches the server that runs, without a word about where it is."""
    done = odr(home, "nightly", "configs/demo.yaml", "name=standing", "--cron", "0 1 * * *")
    assert done.returncode == 0, done.stderr
    assert "nobody serves it" not in done.stdout
    (deployment,) = [each for each in servers.query(api, "deployments") if each["name"] == "nightly"]
    (schedule,) = deployment["schedules"]
    assert (schedule["slug"], schedule["schedule"]["cron"]) == ("standing", "0 1 * * *")
    assert schedule["parameters"] == {"form": {"campaign": "standing"}}
