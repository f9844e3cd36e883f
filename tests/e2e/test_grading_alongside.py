"""Answers are graded while the real engine makes others, and a kill in the midst of it costs no finished grade."""

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import eval_math
from artifacts import Grade, Prompt, Ref, Rollout
from tasks import records
from tasks.results import load_result
from tasks.workspace import Workspace
from tests.e2e import processes
from tests.e2e.small_campaign import SMALL, environment, odr

pytestmark = pytest.mark.slow

ALONG = [
    "run", "configs/demo.yaml", *SMALL, "name=along", "sample.shard_prompts=4", "--stop-after", "grade",
    "machine.max_num_seqs=8",  # a slow engine, so that grading starts before it has ended
]  # fmt: skip
SHARDS = 24


def test_a_run_killed_while_it_samples_and_grades_keeps_every_finished_grade(home: Path) -> None:
    command = [sys.executable, "-m", "flows.cli", *ALONG]
    process = subprocess.Popen(command, env=environment(home), stderr=subprocess.DEVNULL)
    wait_for_grades(home, process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    outlived = processes.wait_until_gone(processes.of_data_root(home), 20)
    kept = {path.stat().st_ino for path in finished_grades(home)}
    (folder,) = {path.parents[2] for path in finished_grades(home)}
    sampled = len(list(folder.glob("shards/*.parquet")))

    done = odr(home, *ALONG)

    assert done.returncode == 0, done.stderr[-4000:]
    assert outlived == []
    assert len(kept) >= 2
    assert sampled < SHARDS  # it was in the midst
    rollouts, grades = result_of(home, "iteration 1 sample"), result_of(home, "iteration 1 grade")
    parts = {path.stat().st_ino for path in (home / "store" / grades.path).glob("*.parquet")}
    assert len(parts) == SHARDS
    assert kept <= parts  # the files themselves, so none was graded again
    (reused,) = re.findall(rf"(\d+) of {SHARDS} parts were graded already", done.stderr)
    assert int(reused) >= len(kept)
    assert not (folder / "grades").exists()
    graded_as_if_alone(home, rollouts, grades)


def finished_grades(home: Path) -> list[Path]:
    return list(home.glob("work/sample-*/grades/*/*-*.parquet"))


def wait_for_grades(home: Path, process: subprocess.Popen[bytes]) -> None:
    """Until two shards are graded; the engine is still making others then."""
    deadline = time.monotonic() + 240
    while len(finished_grades(home)) < 2:
        assert process.poll() is None, "the run ended before two shards were graded"
        assert time.monotonic() < deadline, "no two shards were graded in four minutes"
        time.sleep(0.01)


def result_of(home: Path, label: str) -> Ref[Any]:
    workspace = Workspace(home)
    key = records.read(workspace.key_record("along", label)).key
    kept = json.loads((workspace.cache / key).read_bytes())
    found = load_result(kept["result"].encode(), workspace)
    assert isinstance(found, Ref)
    return found


def graded_as_if_alone(home: Path, rollouts: Ref[Rollout], grades: Ref[Grade]) -> None:
    """Each grade is what the grader says of that answer, one at a time."""
    store = Workspace(home).store
    (digest,) = store.manifest(rollouts).parents
    (folder,) = (home / "store" / "prompts").glob(f"*/{digest}")
    prompts: Ref[Prompt] = Ref("prompts", digest, 0, 0, str(folder.relative_to(home / "store")))
    golds = {prompt.prompt_id: prompt.answers for prompt in store.read(prompts, Prompt)}
    policy = eval_math.Policy.reward()
    for rollout, given in zip(store.read(rollouts, Rollout), store.read(grades, Grade), strict=True):
        alone = eval_math.grade(rollout.text, golds[rollout.prompt_id], policy)
        assert (given.prompt_id, given.sample_index) == (rollout.prompt_id, rollout.sample_index)
        assert (given.correct, given.reason, given.answer) == (alone.correct, alone.reason.value, alone.answer)
