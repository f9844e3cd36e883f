"""Stages under the real Prefect engine: what is finished is not done again, and what is damaged is."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from task_examples import a_rollout, stored

from artifacts import ArtifactDamaged, ArtifactError, ArtifactMissing, Checkpoint, Ref, Rollout, checkpoints
from tasks.caching import Run, Stopped, load_result, stage
from tasks.locking import FlockLockManager
from tasks.machine import Machine
from tasks.prefect_task import ArtifactSerializer
from tasks.workers import progress

pytestmark = pytest.mark.usefixtures("prefect_server")


class Toys:
    """Three stages that count how often their bodies run."""

    def __init__(self, model_folder: Path) -> None:
        self.calls: list[str] = []
        self.broken = False

        @stage("toy", code=lambda _: ("tasks.pair",))
        def toy(size: int, run: Run) -> Ref[Rollout]:
            self.calls.append(f"toy {size}")
            (run.workdir / "shards").mkdir(exist_ok=True)
            (run.workdir / "shards" / "one").write_text("partial")
            (run.workdir / "log.txt").write_text("log")
            progress.report(run.workdir / "times.jsonl", child="toy", seconds=1.5, start_up=0.5)
            if self.broken:
                raise ValueError("broken on purpose")
            return stored(run.workspace.store, [a_rollout(index=i) for i in range(size)])

        @stage("next", code=lambda _: ("tasks.pair",))
        def following(rows: Ref[Rollout], run: Run) -> Ref[Rollout]:
            self.calls.append("next")
            return stored(run.workspace.store, [a_rollout(prompt_id="q", index=i) for i in range(rows.rows)])

        @stage("weights", code=lambda _: ("tasks.pair",))
        def weights(seed: int, run: Run) -> Checkpoint:
            self.calls.append("weights")
            folder, final = run.workdir / "output", run.workspace.checkpoints / "final"
            folder.mkdir()
            for path in model_folder.iterdir():
                (folder / path.name).write_bytes(path.read_bytes())
            return checkpoints.commit(folder, final, {})

        self.toy, self.following, self.weights = toy, following, weights


@pytest.fixture
def toys(model_folder):
    return Toys(model_folder)


@pytest.fixture
def here(workspace):
    return Run(workspace, Machine(), "here", label="iteration 1")


def part_of(run, ref):
    return run.workspace.root / "store" / ref.path / "part-00000.parquet"


def test_the_second_call_is_answered_from_the_cache(toys, here):
    first = toys.toy(size=3, run=here)

    second = toys.toy(size=3, run=here)

    assert first == second
    assert toys.calls == ["toy 3"]
    assert [event["cached"] for event in here.events] == [False, True]
    assert toys.toy.cached(size=3, run=here) == first


def test_another_campaign_on_another_machine_shares_the_result(toys, here):
    first = toys.toy(size=3, run=here)

    other = toys.toy(size=3, run=replace(here, campaign="there", machine=Machine(threads=2, micro_tokens=64)))

    assert other == first
    assert toys.calls == ["toy 3"]


def test_other_arguments_are_another_result(toys, here):
    small, large = toys.toy(size=3, run=here), toys.toy(size=4, run=here)

    assert (small.rows, large.rows) == (3, 4)
    assert toys.calls == ["toy 3", "toy 4"]
    assert toys.toy.cached(size=5, run=here) is None


@pytest.mark.parametrize("damage", ["gone", "altered", "shortened", "manifest gone"])
def test_a_result_whose_files_are_not_as_they_were_is_computed_again(toys, here, damage, caplog):
    first = toys.toy(size=3, run=here)
    part = part_of(here, first)
    content = part.read_bytes()
    if damage == "gone":
        part.unlink()
    elif damage == "manifest gone":
        part.with_name("manifest.json").unlink()
    else:
        part.unlink()
        part.write_bytes(content[:-9] if damage == "shortened" else content[:40] + b"X" + content[41:])

    assert toys.toy.cached(size=3, run=here) is None
    second = toys.toy(size=3, run=here)

    assert toys.calls == ["toy 3", "toy 3"]
    assert second == first
    assert part.read_bytes() == content
    assert toys.toy.cached(size=3, run=here) == first
    assert any("cached result cannot be used" in record.getMessage() for record in caplog.records)


def test_a_checkpoint_is_cached_and_an_altered_one_made_again(toys, here):
    first = toys.weights(seed=1, run=here)
    again = toys.weights(seed=1, run=here)
    folder = Path(first.path)
    (folder / "config.json").write_text("{}", encoding="utf-8")

    assert toys.weights.cached(seed=1, run=here) is None
    folder.rename(folder.with_name("damaged"))
    third = toys.weights(seed=1, run=here)

    assert first == again == third
    assert toys.calls == ["weights", "weights"]


def test_refresh_computes_anew_once(toys, here):
    refreshed = replace(here, refresh=frozenset({"toy"}))
    toys.toy(size=3, run=here)

    toys.toy(size=3, run=refreshed)
    toys.toy(size=3, run=replace(here, refresh=frozenset({"other"})))

    assert toys.calls == ["toy 3", "toy 3"]
    assert toys.toy.cached(size=3, run=refreshed) is None
    assert toys.toy.cached(size=3, run=here) is not None


def test_a_stage_that_fails_leaves_nothing_cached_but_keeps_its_partial_work(toys, here):
    toys.broken = True
    with pytest.raises(ValueError, match="broken on purpose"):
        toys.toy(size=3, run=here)
    workdir = toys.toy.at_work(size=3, run=here).workdir

    assert toys.toy.cached(size=3, run=here) is None
    assert (workdir / "shards" / "one").exists()
    toys.broken = False
    assert toys.toy(size=3, run=here).rows == 3
    assert toys.calls == ["toy 3", "toy 3"]


def test_a_finished_stage_keeps_its_log_and_drops_its_partial_work(toys, here):
    toys.toy(size=3, run=here)

    workdir = toys.toy.at_work(size=3, run=here).workdir
    assert (workdir / "log.txt").read_text() == "log"
    assert not (workdir / "shards").exists()


def test_a_result_made_again_with_the_same_bytes_keeps_what_follows(toys, here):
    first = toys.toy(size=3, run=here)
    toys.following(rows=first, run=here)
    part_of(here, first).unlink()

    second = toys.toy(size=3, run=here)
    toys.following(rows=second, run=here)

    assert toys.calls == ["toy 3", "next", "toy 3"]


def test_events_tell_seconds_and_those_of_the_children(toys, here):
    toys.toy(size=3, run=here)
    toys.toy(size=3, run=here)

    fresh, cached = here.events
    assert (fresh["label"], fresh["stage"]) == ("iteration 1", "toy")
    assert fresh["seconds"] > 0
    assert [(child["child"], child["seconds"], child["start_up"]) for child in fresh["children"]] == [("toy", 1.5, 0.5)]
    assert cached["children"] == []


def test_what_the_key_was_made_of_is_kept_for_plan(toys, here):
    toys.toy(size=3, run=here)

    record = here.workspace.key_record("here", "iteration 1 toy")
    assert json.loads(record.read_text()) == toys.toy.key(size=3, run=here).fields


def test_a_torn_record_is_no_record(toys, here):
    first = toys.toy(size=3, run=here)
    record = here.workspace.cache / toys.toy.key(size=3, run=here).digest
    text = record.read_text(encoding="utf-8")
    record.write_text(text[: len(text) // 2], encoding="utf-8")

    assert toys.toy.cached(size=3, run=here) is None
    assert toys.toy(size=3, run=here) == first
    assert toys.calls == ["toy 3", "toy 3"]


def test_the_body_alone_needs_no_server_and_no_cache(toys, here, tmp_path):
    result = toys.toy.fn(size=3, run=replace(here, workdir=tmp_path))

    assert result.rows == 3
    assert here.events == []


def test_two_processes_on_one_key_compute_it_once(tmp_path):
    from prefect.settings import PREFECT_API_URL

    script, notes = Path(__file__).with_name("cache_race.py"), tmp_path / "notes"
    environment = {**os.environ, "PREFECT_API_URL": str(PREFECT_API_URL.value())}
    children = [
        subprocess.Popen(
            [sys.executable, str(script), str(tmp_path / "odr"), str(notes)],
            env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for _ in range(2)
    ]  # fmt: skip

    outputs = [child.communicate(timeout=120) for child in children]

    assert [child.returncode for child in children] == [0, 0], outputs
    answers = [out.split() for out, _ in outputs]
    assert answers[0][0] == answers[1][0]
    assert sorted(answer[1] for answer in answers) == ["False", "True"]
    assert notes.read_text(encoding="utf-8") == "ran\n"


# --- the serializer ----------------------------------------------------------------------------------------------


@pytest.fixture
def trained(here, model_folder):
    """A checkpoint in the data root."""
    return checkpoints.register(shutil.copytree(model_folder, here.workspace.checkpoints / "train-0"))


def test_references_survive_the_serializer(here, trained):
    ref = stored(here.workspace.store, [a_rollout()])
    serializer = ArtifactSerializer(root=str(here.workspace.root))

    for result in (ref, trained):
        blob = serializer.dumps(result)

        json.loads(blob)  # text that a person can read, never a pickle
        assert serializer.loads(blob) == result
        assert load_result(blob, here.workspace) == result


@pytest.mark.parametrize("damage", ["gone", "altered"])
def test_the_serializer_refuses_a_table_that_is_not_as_it_was(here, damage):
    ref = stored(here.workspace.store, [a_rollout()])
    serializer = ArtifactSerializer(root=str(here.workspace.root))
    blob, part = serializer.dumps(ref), part_of(here, ref)
    if damage == "gone":
        part.unlink()
    else:
        part.write_bytes(part.read_bytes()[::-1])

    with pytest.raises(ArtifactError):
        serializer.loads(blob)


def test_the_serializer_refuses_a_checkpoint_that_is_gone(here, trained):
    serializer = ArtifactSerializer(root=str(here.workspace.root))

    with pytest.raises(ArtifactMissing):
        serializer.loads(serializer.dumps(replace(trained, path=trained.path + "-moved")))


@pytest.mark.parametrize("path", ["{base}", "{root}/checkpoints/../../elsewhere"])
def test_the_serializer_refuses_a_checkpoint_outside_the_data_root(here, base, path):
    serializer = ArtifactSerializer(root=str(here.workspace.root))
    outside = replace(base, path=path.format(base=base.path, root=here.workspace.root))

    with pytest.raises(ArtifactDamaged, match=r"is outside .*/checkpoints: the data root was copied or moved"):
        serializer.loads(serializer.dumps(outside))


# --- what is noted for `odr gc` ----------------------------------------------------------------------------------


def noted(run, label="iteration 1 toy"):
    return run.workspace.started_record("here", label), run.workspace.key_record("here", label)


def test_a_stage_is_noted_before_it_begins_and_as_finished_when_it_is(toys, here):
    toys.broken = True
    with pytest.raises(ValueError, match="broken on purpose"):
        toys.toy(size=3, run=here)
    started, finished = noted(here)
    assert started.exists()
    assert not finished.exists()

    toys.broken = False
    toys.toy(size=3, run=here)

    assert not started.exists()
    assert finished.exists()


def test_a_result_that_is_used_again_is_touched(toys, here):
    folder = part_of(here, toys.toy(size=3, run=here)).parent
    os.utime(folder, (1e9, 1e9))

    toys.toy(size=3, run=here)

    assert folder.stat().st_mtime > 1.5e9


def test_a_stage_of_one_iteration_alone_is_computed_anew(toys, here):
    second = replace(here, label="iteration 2", refresh=frozenset({"toy@2"}))
    toys.toy(size=3, run=here)

    toys.toy(size=3, run=replace(here, refresh=frozenset({"toy@2"})))
    toys.toy(size=3, run=second)

    assert toys.calls == ["toy 3", "toy 3"]
    assert second.anew("toy")
    assert replace(second, label="iteration 2 · exam/greedy").anew("toy")
    assert not replace(second, label="iteration 22").anew("toy")


def test_what_was_made_ahead_in_this_run_is_not_thrown_away_by_a_refresh(toys, here):
    run = replace(here, refresh=frozenset({"toy"}))
    old = toys.toy.at_work(size=3, run=run).workdir / "shards"
    old.mkdir()

    toys.toy.begin(size=3, run=run)
    assert not old.exists()  # of an earlier attempt
    old.mkdir()
    toys.toy.begin(size=3, run=run)

    assert old.exists()


def test_a_refresh_leaves_what_another_run_is_making(toys, here):
    run = replace(here, refresh=frozenset({"toy"}))
    theirs = toys.toy.at_work(size=3, run=run).workdir / "shards"
    theirs.mkdir()
    other = FlockLockManager(here.workspace.locks)
    assert other.try_lock(theirs.parent.name, "another run")

    toys.toy.begin(size=3, run=run)

    assert theirs.exists()
    other.release_lock(theirs.parent.name, "another run")


def test_the_flow_is_stopped_after_the_stage_it_was_asked_to_end_with(toys, here):
    run = replace(here, stop_after="toy@1")

    with pytest.raises(Stopped, match="stopped after toy of iteration 1"):
        toys.toy(size=3, run=run)

    assert toys.toy.cached(size=3, run=here) is not None
    assert not replace(run, label="iteration 1 · exam/greedy").ends_with("toy")
    assert not replace(run, label="iteration 2").ends_with("toy")
    assert replace(run, label="warm-up", stop_after="toy@warm-up").ends_with("toy")
