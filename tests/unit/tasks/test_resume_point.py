"""Which optimizer checkpoint counts, and which one a training goes on from."""

import json
import os

import pytest
import torch

from tasks.workers.commitment import COMMITTED, checkpoints, commit, damage, force, marker_of, remove
from tasks.workers.resume import choose

MADE = {"processes": 2, "zero_stage": 3}


def a_checkpoint(folder, step, *, marked=True, **made):
    path = folder / f"checkpoint-{step}"
    inner = path / f"global_step{step}"
    inner.mkdir(parents=True)
    torch.save({"weights": torch.full((4,), float(step))}, inner / "states.pt")
    (path / "trainer_state.json").write_text(json.dumps({"global_step": step}))
    if marked:
        force(path)
        commit(path, **(MADE | made))
    return path


def left(folder):
    return [path.name for path in checkpoints(folder)]


def test_the_newest_is_that_of_the_latest_step_whatever_the_clock_says(tmp_path):
    for step in (2, 10, 9):
        os.utime(a_checkpoint(tmp_path, step), (1e9 - step, 1e9 - step))

    assert left(tmp_path) == ["checkpoint-10", "checkpoint-9", "checkpoint-2"]
    assert choose(tmp_path, **MADE) == tmp_path / "checkpoint-10"


def test_a_run_without_checkpoints_starts_anew(tmp_path):
    assert choose(tmp_path / "nothing", **MADE) is None


def test_the_marker_names_every_file_with_size_and_digest(tmp_path):
    checkpoint = a_checkpoint(tmp_path, 4)

    marker = marker_of(checkpoint)

    assert marker["step"] == 4
    assert marker["processes"] == 2
    assert set(marker["files"]) == {"trainer_state.json", "global_step4/states.pt"}
    assert marker["files"]["trainer_state.json"] == {
        "bytes": 18,
        "sha256": "12507ad4772c0aaf5a2bce39575ff65d2453359f9fb17e9de20847328740b73a",
    }
    assert damage(checkpoint, marker) is None


def flipped(path):
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


FAULTS = {
    "global_step8/states.pt was altered": lambda path: flipped(path / "global_step8/states.pt"),
    "trainer_state.json has 5 bytes, expected 18": lambda path: (path / "trainer_state.json").write_text('{"glo'),
    "trainer_state.json is gone": lambda path: (path / "trainer_state.json").unlink(),
    "latest is not in its marker": lambda path: (path / "latest").write_text("../elsewhere"),
    "it was not finished": lambda path: (path / COMMITTED).write_text('{"step": 8, "fi'),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_damaged_checkpoint_is_named_and_removed_and_the_one_before_it_used(tmp_path, capsys, fault):
    before, damaged = a_checkpoint(tmp_path, 4), a_checkpoint(tmp_path, 8)
    FAULTS[fault](damaged)

    found = choose(tmp_path, **MADE)

    assert found == before
    assert left(tmp_path) == ["checkpoint-4"]
    assert f"removing {damaged}: {fault}\n" in capsys.readouterr().out


def test_what_was_not_finished_goes_however_old_it_is(tmp_path):
    a_checkpoint(tmp_path, 4, marked=False)
    good = a_checkpoint(tmp_path, 8)
    a_checkpoint(tmp_path, 12, marked=False)

    assert choose(tmp_path, **MADE) == good
    assert left(tmp_path) == ["checkpoint-8"]


def test_one_made_by_other_processes_or_another_stage_is_passed_over_and_stays(tmp_path, capsys):
    good = a_checkpoint(tmp_path, 2)
    a_checkpoint(tmp_path, 4, zero_stage=2)
    a_checkpoint(tmp_path, 6, processes=4)

    assert choose(tmp_path, **MADE) == good
    assert left(tmp_path) == ["checkpoint-6", "checkpoint-4", "checkpoint-2"]
    assert "checkpoint-6: it has {'processes': 4}, expected" in capsys.readouterr().out


class Sword:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_file_that_would_run_code_is_refused_though_its_digest_is_right(tmp_path, capsys, zipped):
    good, planted = a_checkpoint(tmp_path, 4), a_checkpoint(tmp_path, 8, marked=False)
    states = planted / "global_step8/states.pt"
    torch.save(Sword(tmp_path / "struck"), states, _use_new_zipfile_serialization=zipped)
    commit(planted, **MADE)

    found = choose(tmp_path, **MADE)

    assert found == good
    assert not (tmp_path / "struck").exists()
    assert "states.pt asks for posix.mkdir, which is no training state\n" in capsys.readouterr().out


def test_half_a_removal_leaves_nothing_that_counts(tmp_path, monkeypatch):
    good, old = a_checkpoint(tmp_path, 8), a_checkpoint(tmp_path, 4)
    monkeypatch.setattr("shutil.rmtree", lambda path: (_ for _ in ()).throw(OSError("killed here")))
    with pytest.raises(OSError, match="killed here"):
        remove(old)
    monkeypatch.undo()

    assert marker_of(old) is None
    assert choose(tmp_path, **MADE) == good
