"""`odr list`, `logs` and `stop`: campaigns that are there, by the real files and locks that commands leave."""

import json
import os
import re
import subprocess
import sys
import time
from dataclasses import replace

import pytest
from data_roots import finished
from flow_examples import small

from artifacts import Score
from flows import status as statuses
from flows.known import complete
from flows.steps import Steps
from tasks import presence, records
from tasks.presence import Owner, process_began

EVIL = "\x1b[31m[bold]evil[/]"


@pytest.fixture
def steps(tmp_path, workspace, model_folder):
    return lambda *overrides: Steps.of(small(tmp_path, model_folder, *overrides), workspace)


def refused(result, *parts):
    assert result.exit_code == 2, result.output
    assert result.stderr.startswith("error: ")
    assert len(result.stderr.splitlines()) == 1
    for part in parts:
        assert part in result.stderr


def scores(workspace, value):
    with workspace.store.writer(Score) as writer:
        for metric, share in (("mean@4", 0.25), ("greedy", value)):
            writer.write(
                Score(benchmark="exam", metric=metric, value=share, standard_error=0.05, num_problems=9, num_samples=1)
            )
    return writer.ref


def listed(odr):
    result = odr("list", "--json")
    assert result.exit_code == 0, result.output
    return {item["campaign"]: item for item in json.loads(result.stdout)}


# --- list --------------------------------------------------------------------------------------------------------


def test_an_empty_data_root_has_none(odr):
    assert "no campaign under" in odr("list").stdout
    assert json.loads(odr("list", "--json").stdout) == []


def test_a_campaign_is_listed_with_how_far_it_is(odr, steps, workspace):
    made = steps()

    with presence.at_work(workspace.locks, "small"), statuses.recorded(made):
        begun = listed(odr)["small"]
        statuses.reached(made, 0, scores(workspace, 0.5))
        statuses.reached(made, 1, scores(workspace, 0.75))
        during = listed(odr)["small"]
        statuses.reached(made, 2, scores(workspace, 0.8))
    after = listed(odr)["small"]

    assert (begun["state"], begun["asked"], begun["done"], begun["accuracy"]) == ("running", 2, None, None)
    assert (during["state"], during["done"], during["objective"]) == ("running", 1, "dpo")
    assert during["accuracy"] == {"benchmark": "exam", "metric": "greedy", "value": 0.75, "standard_error": 0.05}
    assert (after["state"], after["done"], after["accuracy"]["value"]) == ("finished", 2, 0.8)
    assert re.search(r"small +│ dpo +│ 2/2 +│ 80.0 ± 5.0 +exam greedy +│ finished", odr("list").stdout)


@pytest.mark.parametrize(
    ("error", "state", "said"),
    [
        (ValueError(f"{EVIL} at http://me:secret@host/\nsecond line"), "failed", "[31m[bold]evil[/] at http://host/"),
        (SystemExit(75), "stopped", ""),
        (KeyboardInterrupt(), "stopped", ""),
    ],
)
def test_how_a_command_has_ended(odr, steps, error, state, said):
    with pytest.raises(type(error)), statuses.recorded(steps()):
        raise error

    found = listed(odr)["small"]
    shown = odr("list").stdout

    assert (found["state"], found["said"].lstrip("\x1b")) == (state, said)
    assert "secret" not in shown
    assert "\x1b" not in shown
    assert said.replace("[31m", "") in shown


def test_one_that_was_asked_to_end_early_is_stopped(odr, steps):
    with statuses.recorded(steps()):
        pass

    assert listed(odr)["small"]["state"] == "stopped"


def test_one_that_was_killed_is_no_longer_running(odr, steps, workspace):
    path = workspace.results("small").with_name("status.json")
    with presence.at_work(workspace.locks, "small"), statuses.recorded(steps()):
        running = path.read_bytes()
    path.write_bytes(running)  # a killed process could not note its end

    assert listed(odr)["small"]["state"] == "stopped"


def test_data_roots_of_earlier_versions_are_read_from_their_records(odr, workspace):
    made = {"benchmark": "b", "metric": "greedy", "value": 0.5, "standard_error": None}
    for name, text in {
        "old": json.dumps({"objective": "raft", "iterations": [{"values": []}, {"values": [made]}]}),
        "torn": "{",
    }.items():
        path = workspace.results(name)
        path.parent.mkdir(parents=True)
        path.write_text(text)
    for label in ("base evaluate", "iteration 1 evaluate", "iteration 2 sample"):
        records.finish(workspace, "halfway", label, {"stage": label.split()[-1]})

    found = listed(odr)

    assert (found["old"]["state"], found["old"]["done"], found["old"]["objective"]) == ("finished", 1, "raft")
    assert found["old"]["accuracy"]["value"] == 0.5
    assert (found["halfway"]["state"], found["halfway"]["done"], found["halfway"]["asked"]) == ("stopped", 1, None)
    assert (found["torn"]["state"], found["torn"]["said"]) == (
        "failed",
        "results.json is not what a campaign writes; run it again",
    )


# --- names -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["show", "report", "compare", "logs", "stop"])
def test_an_unknown_campaign_is_answered_with_the_nearest(odr, workspace, command):
    for name in ("dpo-seed-1", "dpo-seed-2", "raft"):
        path = workspace.results(name)
        path.parent.mkdir(parents=True)
        path.write_text("{}")

    refused(odr(command, "dpo-seed1"), "campaign 'dpo-seed1'", "did you mean 'dpo-seed-1' or 'dpo-seed-2'?")
    refused(odr(command, "../campaigns/raft"), "campaign '../campaigns/raft'")


def test_a_campaign_without_results_is_not_taken_for_an_unknown_one(odr, workspace):
    records.finish(workspace, "halfway", "iteration 1 sample", {"stage": "sample"})

    refused(odr("show", "halfway"), "campaign 'halfway' has no results yet; `odr list` says how far it is")


def test_an_unknown_command_is_answered_with_the_nearest(odr):
    result = odr("lsit")

    assert result.exit_code == 2
    assert "No such command 'lsit'. Did you mean 'list'?" in result.stderr


def test_the_shell_completes_names(workspace):
    for name in ("dpo", "dpo-2", "raft"):
        records.finish(workspace, name, "iteration 1 sample", {"stage": "sample"})

    assert complete("dp") == ["dpo", "dpo-2"]
    assert complete("x") == []


# --- logs --------------------------------------------------------------------------------------------------------


@pytest.fixture
def logged(workspace):
    """A campaign with logs of two stages; returns how to write to one."""

    def write(label, stage, name, text, when):
        fields = {"stage": stage, "label": label}
        records.begin(workspace, "demo", f"{label} {stage}", fields)
        path = workspace.work(records.key_of(fields)) / name
        with path.open("a") as log:
            log.write(text)
        os.utime(path, (when, when))
        return path

    write("iteration 1", "sample", "engine-0.log", "engine speaks\n", 100)
    write("iteration 1", "train", "log.txt", "first\nsecond\nthird\n", 200)
    write("iteration 2", "train", "log.txt", f"again {EVIL}\n", 300)
    return write


def test_the_newest_log_is_shown_or_that_of_a_stage(odr, logged):
    assert odr("logs", "demo").stdout.splitlines()[1:] == ["again \N{REPLACEMENT CHARACTER}[31m[bold]evil[/]"]
    assert odr("logs", "demo", "--stage", "train@1", "-n", "2").stdout.splitlines()[1:] == ["second", "third"]
    assert odr("logs", "demo", "--stage", "train@1", "-n", "0").stdout.splitlines()[1:] == ["first", "second", "third"]
    assert odr("logs", "demo", "--stage", "sample").stdout.splitlines()[1:] == ["engine speaks"]
    files = odr("logs", "demo", "--files").stdout.splitlines()
    assert [line.partition(":")[0] for line in files] == [
        "iteration 1 · sample", "iteration 1 · train", "iteration 2 · train",
    ]  # fmt: skip


def test_a_stage_without_a_log_is_said_to_have_none(odr, logged):
    refused(odr("logs", "demo", "--stage", "grade"), "has no log of stage grade; there are logs of: sample, train")


def test_following_shows_what_is_written_until_the_campaign_ends(workspace, logged, monkeypatch):
    from flows.looking import logs

    held = presence.at_work(workspace.locks, "demo")
    held.__enter__()
    steps = iter(
        [
            lambda: logged("iteration 2", "train", "log.txt", "more\nhalf a li", 400),
            lambda: logged("iteration 2", "train", "log.txt", "ne\n", 400),
            lambda: logged("iteration 3", "score", "log.txt", "scored\n", 500),
            lambda: held.__exit__(None, None, None),
        ]
    )
    monkeypatch.setattr(logs.time, "sleep", lambda _: next(steps)())

    shown = list(logs.follow(workspace, "demo", None, 5))

    assert [line.partition(": ")[0] for line in shown if line.startswith("==>")] == [
        "==> iteration 2 · train", "==> iteration 3 · score",
    ]  # fmt: skip
    assert [line for line in shown if not line.startswith("==>")] == [f"again {EVIL}", "more", "half a line", "scored"]


# --- stop --------------------------------------------------------------------------------------------------------

HOLDER = """
import os, pathlib, signal, sys, time
from tasks import presence
if sys.argv[2] == "deaf":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
with presence.at_work(pathlib.Path(sys.argv[1]), "demo"):
    print("at work", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(workspace):
    """Starts a process that runs the campaign demo."""
    started: list[subprocess.Popen[str]] = []

    def start(how=""):
        command = [sys.executable, "-c", HOLDER, str(workspace.locks), how]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "at work\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


@pytest.fixture
def demo(workspace):
    finished(workspace, "demo", "iteration 1 evaluate", {"stage": "evaluate"}, scores(workspace, 0.5))


@pytest.mark.usefixtures("demo")
def test_every_process_that_runs_the_campaign_is_asked_to_end(odr, holder):
    processes = [holder(), holder()]

    result = odr("stop", "demo")

    assert result.exit_code == 0, result.output
    assert sorted(re.findall(r"process (\d+)", result.stdout)) == sorted(str(p.pid) for p in processes)
    assert [process.wait(5) for process in processes] == [-15, -15]


@pytest.mark.usefixtures("demo")
def test_one_that_takes_its_time_is_said_to(odr, holder):
    process = holder("deaf")

    result = odr("stop", "demo", "--wait", "0.2")

    assert result.exit_code == 1
    assert f"error: process {process.pid} was asked to end and is still saving its work after 0.2 s" in result.stderr
    assert process.poll() is None


@pytest.mark.usefixtures("demo")
def test_a_campaign_that_nobody_runs(odr):
    refused(odr("stop", "demo"), "campaign 'demo' is not running: it is stopped; `odr list` shows all")


@pytest.fixture
def forged(workspace, monkeypatch):
    """Holds the lock of a flow in this process, under another owner."""

    def hold(**changes):
        true = Owner.this("demo")
        monkeypatch.setattr(Owner, "this", classmethod(lambda cls, campaign: replace(true, **changes)))
        return presence.at_work(workspace.locks, "demo")

    return hold


@pytest.mark.usefixtures("demo")
def test_a_process_id_that_has_a_new_owner_is_left_alone(odr, forged):
    began = process_began(os.getpid())
    assert began is not None

    with forged(began=began - 1):
        result = odr("stop", "demo")

    assert result.exit_code == 0  # this process lives, or nobody would read this


@pytest.mark.usefixtures("demo")
def test_a_process_on_another_machine_is_named(odr, forged):
    with forged(host="gpu-7"):
        refused(odr("stop", "demo"), f"runs as process {os.getpid()} on gpu-7", "run `odr stop demo` there")


@pytest.mark.usefixtures("demo")
def test_a_run_of_a_deployment_is_cancelled_where_it_was_started(odr, forged, monkeypatch):
    monkeypatch.delenv("PREFECT_API_URL", raising=False)

    with forged(flow_run="9f3f901b-96f5-4181-abe2-ea532e195a4c"):
        refused(odr("stop", "demo"), "was started by a deployment: cancel it in Prefect, or set PREFECT_API_URL")


def test_a_dead_or_torn_lock_is_nobodys(workspace):
    with presence.at_work(workspace.locks, "demo"):
        (workspace.locks / "flow-1-torn.lock").write_text("{")
        (workspace.locks / "flow-2-dead.lock").write_text(json.dumps({"campaign": "gone"}))

        assert {owner.campaign for owner in presence.owners(workspace.locks)} == {"demo"}
    assert presence.owners(workspace.locks) == set()


def test_a_process_is_known_by_when_it_began():
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    began = process_began(process.pid)

    process.kill()
    deadline = time.monotonic() + 5
    while process_began(process.pid) is not None and time.monotonic() < deadline:
        time.sleep(0.01)

    assert began is not None
    assert process_began(process.pid) is None  # ended, though nobody has collected it
    process.wait()


@pytest.mark.usefixtures("demo", "prefect_server")
def test_a_run_of_a_deployment_is_cancelled_on_its_server(workspace, forged, monkeypatch):
    from prefect import flow
    from prefect.client.orchestration import get_client
    from prefect.settings import PREFECT_API_URL
    from prefect.states import Running

    from flows.looking.stop import stop

    monkeypatch.setenv("PREFECT_API_URL", str(PREFECT_API_URL.value()))

    @flow
    def campaign():
        pass

    with get_client(sync_client=True) as client:
        run = client.create_flow_run(campaign, state=Running())
        began = process_began(os.getpid())
        assert began is not None

        with forged(flow_run=str(run.id), began=began - 1):  # a runner would now end the process
            stop(workspace, "demo", 5.0)

        state = client.read_flow_run(run.id).state
    assert state is not None
    assert state.name == "Cancelling"
