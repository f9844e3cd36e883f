"""`odr gc` removes what nobody refers to, and never what anybody does, or works on."""

import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import data_roots
import pytest
from data_roots import Campaign, files, finished, forget, rollouts
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.upkeep import gc as collector
from flows.upkeep.gc import needless, sweep
from flows.upkeep.references import Unknown
from flows.upkeep.verify import verify
from tasks import presence, records
from tasks.locking import FlockLockManager
from tasks.workspace import Workspace

HOLDER = Path(__file__).parents[1] / "tasks" / "lock_holder.py"


def collect(workspace, keep=None):
    return sweep(workspace, needless(workspace, keep), keep)


def shown(items):
    return sorted(item.what for item in items)


def test_what_a_campaign_refers_to_stays_whatever_leads_there(workspace):
    campaign = Campaign(workspace, "demo")
    before = files(workspace.root)

    assert needless(workspace) == []
    assert collect(workspace) == []

    assert files(workspace.root) == before
    assert all(path.exists() for path in campaign.folders(workspace))


def test_results_of_settings_that_were_given_up_are_removed(workspace):
    old = Campaign(workspace, "demo", seed=1)
    new = Campaign(workspace, "demo", seed=2)  # the same name: its records are replaced

    removed = collect(workspace)

    assert shown(removed) == ["artifact"] * 4 + ["cache record"] * 3 + ["checkpoint"] + ["work folder"] * 3
    assert not any(path.exists() for path in old.folders(workspace))
    assert all(path.exists() for path in new.folders(workspace))
    assert sum(item.bytes for item in removed) > 1000
    assert verify(workspace, deep=True).faults == []
    assert needless(workspace) == []


def test_what_two_campaigns_share_stays_while_one_is_there(workspace):
    campaign = Campaign(workspace, "one")
    Campaign(workspace, "two")
    forget(workspace, "one")

    assert collect(workspace) == []
    forget(workspace, "two")
    collect(workspace)

    assert not any(path.exists() for path in campaign.folders(workspace))


def test_a_killed_attempt_keeps_its_work_folder_and_its_inputs(workspace):
    table = rollouts(workspace)
    fields = {"stage": "train", "rows": table.digest}
    records.begin(workspace, "killed", "iteration 1 train", fields)
    shard = workspace.work(records.key_of(fields)) / "checkpoints" / "checkpoint-2"
    shard.mkdir(parents=True)

    assert collect(workspace) == []

    assert shard.exists()


def test_campaigns_that_are_not_kept_are_given_up_with_their_records(workspace):
    kept, other = Campaign(workspace, "kept", seed=1), Campaign(workspace, "other", seed=2)

    removed = collect(workspace, frozenset({"kept"}))

    assert {item.what for item in removed} >= {"campaign other", "artifact", "checkpoint"}
    assert records.campaigns(workspace) == {"kept"}
    assert all(path.exists() for path in kept.folders(workspace))
    assert not any(path.exists() for path in other.folders(workspace))
    assert verify(workspace, deep=True).faults == []


def test_temporaries_of_killed_writers_are_removed_and_those_of_living_ones_stay(workspace):
    store = workspace.root / "store"
    dead = store / ".writing" / "odr-dead"
    dead.mkdir(parents=True)
    aside = workspace.root / "cache" / f".x.{'0' * 32}"
    aside.parent.mkdir()
    aside.write_text("half")
    fields = {"stage": "sample"}
    records.begin(workspace, "killed", "iteration 1 sample", fields)
    partial = workspace.work(records.key_of(fields)) / "shard.parquet.partial"
    partial.write_text("half")
    needless_too = workspace.work("sample-" + "0" * 32) / "shard.parquet.partial"
    needless_too.write_text("goes with its folder")

    with workspace.store.writer(data_roots.Prompt, allow_empty=True) as writer:
        removed = collect(workspace)
        (living,) = (store / ".writing").iterdir()
        assert living.is_dir()

    assert shown(removed) == ["temporary"] * 3 + ["work folder"]
    assert not any(path.exists() for path in (dead, aside, partial))
    assert (store / writer.ref.path).exists()


def test_what_a_killed_gc_had_moved_aside_is_removed_by_the_next(workspace):
    trash = workspace.root / "store" / ".trash" / "0" / "pairs+ab"
    trash.mkdir(parents=True)

    assert shown(collect(workspace)) == ["temporary"]

    assert not trash.exists()


def test_locked_work_stays(workspace):
    campaign = Campaign(workspace, "demo")
    forget(workspace, "demo")
    key = campaign.keys["train"]
    holder = subprocess.Popen(
        [sys.executable, str(HOLDER), str(workspace.locks), key], stdout=subprocess.PIPE, text=True
    )  # fmt: skip
    assert holder.stdout is not None
    assert holder.stdout.readline() == "locked\n"

    collect(workspace)
    places = [workspace.root / place / key for place in ("cache", "work", "checkpoints")]
    there = [path.exists() for path in places]
    holder.kill()
    holder.wait()
    holder.stdout.close()
    collect(workspace)

    assert there == [True] * 3
    assert not any(path.exists() for path in places)


def test_while_a_flow_runs_what_is_younger_than_it_stays(workspace):
    old = rollouts(workspace, "old")
    age(workspace.root / "store" / old.path)

    with presence.at_work(workspace.locks):
        young = rollouts(workspace, "young")  # published, and no record of it is written yet
        assert [item.path.name for item in collect(workspace)] == [old.digest]
    assert (workspace.root / "store" / young.path).exists()

    assert [item.path.name for item in collect(workspace)] == [young.digest]


def test_what_a_running_flow_finds_made_already_stays(workspace):
    ref = rollouts(workspace)
    age(workspace.root / "store" / ref.path)

    with presence.at_work(workspace.locks):
        assert rollouts(workspace) == ref

        assert collect(workspace) == []


def test_a_clock_that_was_set_back_during_a_run_stops_the_collection(workspace, caplog, monkeypatch):
    rollouts(workspace)
    monkeypatch.setattr(collector.log, "propagate", True)

    with presence.at_work(workspace.locks):
        (lease,) = workspace.locks.glob("flow-*.lock")
        os.utime(lease, (time.time() + 7200,) * 2)
        assert collect(workspace) == []

    assert "the clock was set back while a flow is running" in caplog.text


def test_a_killed_flow_protects_nothing(workspace):
    rollouts(workspace)
    code = (
        f"import time, pathlib; from tasks import presence\n"
        f"with presence.at_work(pathlib.Path({str(workspace.locks)!r})): print('at work', flush=True); time.sleep(60)"
    )
    flow = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert flow.stdout is not None
    assert flow.stdout.readline() == "at work\n"

    assert collect(workspace) == []
    flow.kill()
    flow.wait()
    flow.stdout.close()

    assert shown(collect(workspace)) == ["artifact"]
    assert not list(workspace.locks.glob("flow-*"))


def test_what_was_referred_to_since_it_was_listed_stays(workspace):
    campaign = Campaign(workspace, "demo")
    forget(workspace, "demo")
    listed = needless(workspace)
    Campaign(workspace, "demo")

    assert sweep(workspace, listed) == []

    assert all(path.exists() for path in campaign.folders(workspace))


def test_what_was_used_in_the_last_instant_is_put_back(workspace, monkeypatch):
    ref = rollouts(workspace)
    folder = workspace.root / "store" / ref.path
    age(folder)
    listed = needless(workspace)
    rename = Path.rename

    def used_just_now(path, target):
        if path == folder:
            os.utime(folder)
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", used_just_now)

    assert sweep(workspace, listed) == []

    workspace.store.verify(ref)


def test_nothing_is_noted_during_the_sweep(workspace):
    noted = threading.Event()

    def note():
        with presence.settled(workspace.locks):
            noted.set()

    with presence.sweeping(workspace.locks):
        thread = threading.Thread(target=note)
        thread.start()
        assert not noted.wait(0.2)
    thread.join()

    assert noted.is_set()


@pytest.mark.parametrize("place", ["campaigns/demo/results.json", "keys/demo/iteration 1 train.json", "manifest"])
def test_when_it_is_unknown_what_is_needed_nothing_is_removed(workspace, place):
    campaign = Campaign(workspace, "demo")
    rollouts(workspace, "garbage")
    path = workspace.root / (f"store/{campaign.scores.path}/manifest.json" if place == "manifest" else place)
    path.write_text("{")
    before = files(workspace.root)

    with pytest.raises(Unknown, match=r"nothing is removed"):
        collect(workspace)

    assert files(workspace.root) == before


def test_a_torn_cache_record_is_no_reason_to_stop(workspace):
    campaign = Campaign(workspace, "demo")
    (workspace.cache / campaign.keys["sample"]).write_text('{"metadata"')

    assert collect(workspace) == []


def test_a_folder_that_cannot_be_moved_stays_and_is_named(workspace, caplog, monkeypatch):
    ref = rollouts(workspace)
    monkeypatch.setattr(collector.log, "propagate", True)

    def refused(path, target):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "rename", refused)

    assert collect(workspace) == []

    assert f"{ref.digest} stays: [Errno 13] Permission denied" in caplog.text


def test_other_files_of_the_data_root_are_left_alone(workspace):
    for name in ("mlflow.db", "demo/model.bin", "prefect/x", "cache/not-ours", "hashes/sha256.json", "locks/a.lock"):
        (workspace.root / name).parent.mkdir(parents=True, exist_ok=True)
        (workspace.root / name).write_text("x")
    before = files(workspace.root)

    assert collect(workspace) == []

    assert files(workspace.root) == before


def age(folder: Path) -> None:
    os.utime(folder, (1e9, 1e9))


# --- any graph of references -------------------------------------------------------------------------------------

MAX = 6
STAGES = st.lists(
    st.tuples(
        st.sampled_from(["one", "two", "three"]),  # campaign
        st.integers(0, 2),  # label: a later call replaces the record of an earlier one
        st.lists(st.integers(0, MAX - 1), max_size=2, unique=True),  # inputs
        st.one_of(st.none(), st.integers(0, MAX - 1)),  # result; none: begun, not finished
    ),
    max_size=8,
)
PARENTS = st.lists(st.lists(st.integers(0, MAX - 1), max_size=2), min_size=MAX, max_size=MAX)


@settings(max_examples=60)
@given(
    stages=STAGES, parents=PARENTS, locked=st.sets(st.integers(0, 7)),
    kept=st.sets(st.sampled_from(["one", "two", "three"])),
)  # fmt: skip
def test_in_any_graph_exactly_what_is_reachable_or_locked_stays(stages, parents, locked, kept):
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace(Path(folder))
        tables = []
        for index in range(MAX):
            earlier = tuple(tables[i].digest for i in parents[index] if i < index)
            tables.append(rollouts(workspace, f"table {index}", parents=earlier))
        latest: dict[tuple[str, int], tuple[str, set[int]]] = {}
        keys: list[str] = []
        results: dict[str, int] = {}
        for number, (campaign, label, inputs, result) in enumerate(stages):
            fields = {"stage": "toy", "inputs": [tables[i].digest for i in inputs], "number": number}
            name, key = f"iteration {label} toy", records.key_of(fields)
            keys.append(key)
            if result is None:
                workspace.started_record(campaign, name).unlink(missing_ok=True)
                records.begin(workspace, campaign, name, fields)
                workspace.work(key)
                latest[campaign, label, "begun"] = (key, set(inputs))
            else:
                results[key] = result
                finished(workspace, campaign, name, fields, tables[result])
                latest[campaign, label, "done"] = (key, {*inputs, result})
                latest.pop((campaign, label, "begun"), None)
        wanted = [found for place, found in latest.items() if not kept or place[0] in kept]
        needed_keys, frontier, reachable = {key for key, _ in wanted}, [i for _, used in wanted for i in used], set()
        while frontier:
            index = frontier.pop()
            if index not in reachable:
                reachable.add(index)
                frontier += [i for i in parents[index] if i < index]
        locks = FlockLockManager(workspace.locks)
        held = {keys[i] for i in locked if i < len(keys)}
        for key in held:
            assert locks.try_lock(key, "a run")

        collect(workspace, frozenset(kept) or None)

        for index, table in enumerate(tables):
            assert (workspace.root / "store" / table.path).exists() == (index in reachable)
        for key in keys:
            assert (workspace.root / "work" / key).exists() == (key in needed_keys | held)
            if key in results:
                assert (workspace.cache / key).exists() == (key in needed_keys | held)
        for key in held:
            locks.release_lock(key, "a run")
        for index in reachable:
            workspace.store.verify(tables[index])


# --- the command -------------------------------------------------------------------------------------------------


@pytest.fixture
def odr(workspace):
    from typer.testing import CliRunner

    from flows.cli import app

    return lambda *words: CliRunner().invoke(app, ["gc", *words])


def test_a_dry_run_lists_with_sizes_and_removes_nothing(odr, workspace):
    Campaign(workspace, "demo", seed=1)
    Campaign(workspace, "demo", seed=2)
    before = files(workspace.root)

    done = odr("--dry-run")

    assert done.exit_code == 0
    assert "would be removed: 3 cache records, 3 work folders, 1 checkpoint, 4 artifacts, " in done.output
    assert any(line.split()[:1] == ["checkpoint"] and "checkpoints/train-" in line for line in done.output.splitlines())
    assert files(workspace.root) == before


def test_the_command_removes_and_says_how_much(odr, workspace):
    rollouts(workspace)

    first, second = odr(), odr()

    assert "removed: 1 artifact, " in first.output
    assert second.output == "nothing to remove\n"


def test_campaigns_are_not_given_up_without_a_yes(odr, workspace):
    Campaign(workspace, "demo", seed=1)
    Campaign(workspace, "raft", seed=2)
    before = files(workspace.root)

    asked = odr("--keep-campaign", "demo")

    assert asked.exit_code == 2
    assert "error: this gives up raft with all results; add --yes if that is meant" in asked.stderr
    assert files(workspace.root) == before
    assert odr("--keep-campaign", "demo", "--yes").exit_code == 0
    assert records.campaigns(workspace) == {"demo"}


def test_an_unknown_campaign_names_the_nearest(odr, workspace):
    Campaign(workspace, "demo")

    done = odr("--keep-campaign", "dmeo")

    assert done.exit_code == 2
    assert "error: --keep-campaign dmeo: no such campaign, did you mean 'demo'?" in done.stderr


def test_no_data_root_is_said_and_none_is_made(odr, workspace):
    done = odr()

    assert done.exit_code == 2
    assert f"error: there is no data root {workspace.root}" in done.stderr
    assert not workspace.root.exists()
