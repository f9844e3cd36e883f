"""A training child that is asked to end: what it leaves, and when it goes."""

import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import torch.distributed as dist

from tasks.workers.commitment import checkpoints, commit, marker_of
from tasks.workers.failure import PREEMPTED, BadInput, Preempted, reported, told
from tasks.workers.keeper import Keeper
from tasks.workers.preemption import Notice


def started(failure, *, training):
    code = f"""
        import time
        from pathlib import Path
        from tasks.workers.preemption import Notice
        notice = Notice(Path({str(failure)!r}))
        notice.listen()
        {"notice.training_starts()" if training else ""}
        print("listening", flush=True)
        while not notice.given:
            time.sleep(0.01)
        print("heard", flush=True)
        input()
    """
    pipe = subprocess.PIPE
    return subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], stdin=pipe, stdout=pipe, text=True)


def test_before_training_it_ends_at_once_and_says_so(tmp_path):
    with started(tmp_path / "failure.json", training=False) as child:
        assert child.stdout.readline() == "listening\n"

        child.send_signal(signal.SIGTERM)

        assert child.wait(60) == PREEMPTED == 75
    failure = json.loads((tmp_path / "failure.json").read_text())
    assert failure["kind"] == "preempted"
    assert "before training started" in failure["message"]


def test_in_training_it_only_takes_note_and_a_second_signal_changes_nothing(tmp_path):
    with started(tmp_path / "failure.json", training=True) as child:
        assert child.stdout.readline() == "listening\n"

        child.send_signal(signal.SIGTERM)
        assert child.stdout.readline() == "heard\n"
        child.send_signal(signal.SIGTERM)
        child.communicate("\n", timeout=60)

        assert child.returncode == 0
    assert not (tmp_path / "failure.json").exists()


@pytest.mark.parametrize("other", [RuntimeError("Connection closed by peer"), Preempted("asked to end")])
@pytest.mark.parametrize("other_first", [True, False])
def test_of_several_processes_the_one_that_knows_why_is_heard(tmp_path, other, other_first):
    known = BadInput("the data are bad", "mend them")

    for error in (other, known) if other_first else (known, other):
        told(tmp_path / "failure.json", error)

    assert json.loads((tmp_path / "failure.json").read_text())["kind"] == "bad_input"
    assert [path.name for path in tmp_path.iterdir()] == ["failure.json"]


@pytest.mark.parametrize("first", [0, 1, 2])
def test_of_those_that_do_not_know_the_first_is_heard(tmp_path, first):
    errors = [RuntimeError("the cause"), RuntimeError("Connection closed by peer"), Preempted("asked to end")]

    for error in errors[first:] + errors[:first]:
        told(tmp_path / "failure.json", error)

    assert json.loads((tmp_path / "failure.json").read_text())["message"].endswith(str(errors[first]))


def test_who_is_preempted_has_no_traceback(tmp_path, capsys):
    with pytest.raises(Preempted), reported(tmp_path / "failure.json"):
        raise Preempted("asked to end")

    assert capsys.readouterr().err == ""


# --- what a trainer keeps ------------------------------------------------------------------------------------------


@pytest.fixture
def alone():
    """A process group of this process."""
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


def a_keeper(folder, latest=None, *, given=False):
    notice = Notice(folder / "failure.json")
    notice.given = given
    return Keeper(notice, folder / "progress.jsonl", latest, processes=1, zero_stage=0)


def take_step(keeper, folder, step, *, saves=False, stops=False):
    """What the Trainer does at the end of a step; returns whether training ends."""
    args = SimpleNamespace(output_dir=str(folder), device=torch.device("cpu"), local_process_index=0)
    state = SimpleNamespace(global_step=step, is_world_process_zero=True)
    control = SimpleNamespace(should_save=saves, should_training_stop=stops)
    keeper.on_step_end(args, state, control)
    if control.should_save:
        (folder / f"checkpoint-{step}" / "inner").mkdir(parents=True)
        (folder / f"checkpoint-{step}" / "inner" / "state").write_text(str(step))
        keeper.on_save(args, state, control)
    return control.should_training_stop


def test_the_checkpoint_before_stays_until_the_one_after_it_is_begun(alone, tmp_path):
    keeper, seen = a_keeper(tmp_path), []

    for step in range(1, 7):
        take_step(keeper, tmp_path, step, saves=step % 2 == 0)
        seen.append([path.name for path in checkpoints(tmp_path) if marker_of(path)])

    assert seen[1] == ["checkpoint-2"]
    assert seen[3] == ["checkpoint-4", "checkpoint-2"]
    assert seen[5] == ["checkpoint-6", "checkpoint-4"]


def test_checkpoints_of_other_processes_stay_until_this_run_has_one_of_its_own(alone, tmp_path):
    for step in (2, 50):
        (tmp_path / f"checkpoint-{step}").mkdir()
        commit(tmp_path / f"checkpoint-{step}", processes=8)
    keeper, seen = a_keeper(tmp_path), []

    for step in (2, 4):
        take_step(keeper, tmp_path, step, saves=True)
        seen.append([path.name for path in checkpoints(tmp_path)])

    assert seen == [["checkpoint-50", "checkpoint-2"], ["checkpoint-4", "checkpoint-2"]]
    assert marker_of(tmp_path / "checkpoint-2")["processes"] == 1


def test_the_marker_is_written_when_everything_else_has_reached_the_disk(alone, tmp_path, monkeypatch):
    forced, fsync = [], os.fsync

    def recorded(handle):
        marked = marker_of(tmp_path / "checkpoint-2") is not None
        forced.append((Path(f"/proc/self/fd/{handle}").readlink(), marked))
        fsync(handle)

    monkeypatch.setattr(os, "fsync", recorded)

    take_step(a_keeper(tmp_path), tmp_path, 2, saves=True)

    before = {path for path, marked in forced if not marked}
    checkpoint = tmp_path / "checkpoint-2"
    assert {tmp_path, checkpoint, checkpoint / "inner", checkpoint / "inner/state"} <= before
    assert forced[-1] == (checkpoint, True)  # and then its name


def test_who_is_asked_to_end_saves_and_stops_at_the_end_of_the_step(alone, tmp_path):
    keeper = a_keeper(tmp_path, given=True)

    stopped = take_step(keeper, tmp_path, 3)

    assert stopped
    assert keeper.preempted == tmp_path / "checkpoint-3"
    assert marker_of(keeper.preempted)["step"] == 3


def test_after_the_last_step_the_work_is_finished(alone, tmp_path):
    keeper = a_keeper(tmp_path, given=True)

    take_step(keeper, tmp_path, 9, saves=True, stops=True)

    assert keeper.preempted is None
    assert marker_of(tmp_path / "checkpoint-9")
