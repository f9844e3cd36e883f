"""Grading part by part: while engines sample, in several goes, after damage; always the same table, nothing twice."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import counted_reward
import pytest
from task_examples import a_prompt, a_rollout, stored

import eval_math
from artifacts import Checkpoint, Grade, PartWriter, Rollout
from artifacts.hashing import sha256_file
from artifacts.leftovers import leftovers
from tasks import generate, verdicts
from tasks.alongside import Alongside, ShardGrader, Watched
from tasks.generate import Wanted, collect
from tasks.grade import grade, rule_of
from tasks.graded_parts import GradedParts, RolloutPart
from tasks.machine import Machine
from tasks.sample import sample
from tasks.settings import Grading, Sampling, Template
from tasks.verdicts import Rule

SHARDS, PROMPTS, ANSWERS = 4, 3, 5
OWN = Grading(reward="counted_reward:rate")
POLICY = Checkpoint("unused", "c" * 64, 1)


@pytest.fixture(autouse=True)
def forgotten():
    """What the reward was asked by an earlier test."""
    counted_reward.ASKED.clear()
    counted_reward.FAIL_AT[0] = -1


@pytest.fixture
def here(run):
    """As `run`, with one grading process: with none, grading waits for the end of sampling."""
    return replace(run, machine=Machine(grade_workers=1))


@pytest.fixture
def prompts(here):
    names = range(SHARDS * PROMPTS)
    return stored(here.workspace.store, [a_prompt(f"p{i}", answers=[str(i)]) for i in names])


def text_of(prompt: int, index: int) -> str:
    return f"{prompt}/{index}: \\boxed{{{prompt if (prompt + index) % 3 else 99}}}"


def write_shard(path: Path, number: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with PartWriter(path, Rollout) as part:
        for prompt in range(number * PROMPTS, (number + 1) * PROMPTS):
            part.write_many(a_rollout(f"p{prompt}", i, text=text_of(prompt, i)) for i in range(ANSWERS))


def texts_of(*shards: int) -> list[str]:
    return [text_of(p, i) for n in shards for p in range(n * PROMPTS, (n + 1) * PROMPTS) for i in range(ANSWERS)]


@pytest.fixture
def wanted(here, prompts):
    """Answers to them, with nothing sampled yet."""
    return Wanted(prompts, Sampling(samples_per_prompt=ANSWERS, shard_prompts=PROMPTS), 7, here.workdir / "sample")


@pytest.fixture
def rollouts(here, wanted):
    """The same, sampled."""
    request = wanted.request(here)
    for number in range(SHARDS):
        write_shard(request.shard_path(number), number)
    return collect(wanted, POLICY, Template(), here)


def at(run, name):
    """The same run in an empty work folder."""
    folder = run.workdir / name
    folder.mkdir()
    return replace(run, workdir=folder)


def parts_of(run, rollouts):
    folder = run.workspace.root / "store" / rollouts.path
    return [RolloutPart.of(path) for path in sorted(folder.glob("*.parquet"))]


# --- in several goes ---------------------------------------------------------------------------------------------


def test_there_is_one_part_of_grades_for_each_part_of_rollouts(here, rollouts, prompts):
    grades = grade.fn(rollouts, prompts, OWN, 0, at(here, "whole"))

    store = here.workspace.store
    assert [part.rows for part in store.manifest(grades).parts] == [PROMPTS * ANSWERS] * SHARDS
    assert [part.rows for part in store.manifest(rollouts).parts] == [PROMPTS * ANSWERS] * SHARDS
    for row, rollout in zip(store.read(grades, Grade), store.read(rollouts, Rollout), strict=True):
        right = (int(rollout.prompt_id[1:]) + rollout.sample_index) % 3 != 0
        assert (row.prompt_id, row.sample_index) == (rollout.prompt_id, rollout.sample_index)
        assert (row.correct, row.reward) == (right, 1.0 if right else -len(rollout.text))


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_grading_that_fails_in_the_middle_goes_on_behind_the_last_finished_part(here, rollouts, prompts, workers):
    run = replace(here, machine=Machine(grade_workers=workers))
    whole = grade.fn(rollouts, prompts, OWN, 0, at(run, "whole"))
    broken = at(run, "broken")
    counted_reward.FAIL_AT[0] = 2 * PROMPTS * ANSWERS + 4
    with pytest.raises(RuntimeError, match="planted"):
        grade.fn(rollouts, prompts, OWN, 0, broken)
    counted_reward.ASKED.clear()

    again = grade.fn(rollouts, prompts, OWN, 0, broken)

    assert texts_of(2, 3) == counted_reward.ASKED
    assert again == whole
    assert run.workspace.store.manifest(again).summary == run.workspace.store.manifest(whole).summary


def test_a_killed_grading_goes_on_behind_the_last_finished_part(here, rollouts, prompts, tmp_path):
    notes, workdir = tmp_path / "notes", at(here, "killed").workdir
    script = [sys.executable, str(Path(__file__).with_name("grade_slowly.py")), str(here.workspace.root), str(workdir)]
    tables = [json.dumps(table.to_json()) for table in (rollouts, prompts)]
    child = subprocess.Popen([*script, *tables], env={**os.environ, "COUNTED_REWARD_NOTES": str(notes)})
    deadline = time.monotonic() + 120
    while not (notes.exists() and len(notes.read_text(encoding="utf-8").splitlines()) > PROMPTS * ANSWERS + 2):
        assert child.poll() is None, "it ended by itself"
        assert time.monotonic() < deadline, "it never came so far"
        time.sleep(0.01)
    child.send_signal(signal.SIGKILL)
    child.wait()
    begun = -(-len(notes.read_text(encoding="utf-8").splitlines()) // (PROMPTS * ANSWERS))

    again = grade.fn(rollouts, prompts, OWN, 0, replace(here, workdir=workdir))

    assert counted_reward.ASKED in (texts_of(*range(begun - 1, SHARDS)), texts_of(*range(begun, SHARDS)))
    assert begun in (2, 3)
    assert again == grade.fn(rollouts, prompts, OWN, 0, at(here, "whole"))


def test_the_control_is_shuffled_over_all_parts_and_grades_nothing_twice(here, rollouts, prompts):
    shuffled = OWN.model_copy(update={"shuffle": True})
    whole = grade.fn(rollouts, prompts, shuffled, 5, at(here, "whole"))
    broken = at(here, "broken")
    counted_reward.FAIL_AT[0] = PROMPTS * ANSWERS
    with pytest.raises(RuntimeError, match="planted"):
        grade.fn(rollouts, prompts, shuffled, 5, broken)
    counted_reward.ASKED.clear()

    again = grade.fn(rollouts, prompts, shuffled, 5, broken)

    assert again == whole
    assert texts_of(1, 2, 3) == counted_reward.ASKED
    store = here.workspace.store
    plain = list(store.read(grade.fn(rollouts, prompts, OWN, 5, at(here, "plain")), Grade))
    first_part = list(store.read(again, Grade))[: PROMPTS * ANSWERS]
    assert {row.answer for row in first_part} - {row.answer for row in plain[: PROMPTS * ANSWERS]}


# --- finished parts ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("damage", ["flipped bit", "shortened", "empty"])
def test_a_finished_part_that_was_damaged_is_graded_again(here, rollouts, prompts, damage, caplog):
    whole = grade.fn(rollouts, prompts, OWN, 0, at(here, "whole"))
    other = at(here, "other")
    kept = GradedParts(other.workdir, rule_of(OWN).digest(prompts))
    kept.take(GradedParts(here.workdir / "whole", rule_of(OWN).digest(prompts)).files())
    second = parts_of(here, rollouts)[1]
    path = kept.find(second)
    assert path is not None
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.unlink()
    path.write_bytes({"flipped bit": bytes(content), "shortened": content[:-9], "empty": b""}[damage])
    counted_reward.ASKED.clear()

    again = grade.fn(rollouts, prompts, OWN, 0, other)

    assert again == whole
    assert texts_of(1) == counted_reward.ASKED
    assert f"{path} was altered; its answers are graded again" in caplog.messages


def test_a_part_that_cannot_be_finished_leaves_nothing_behind(tmp_path):
    kept, part = GradedParts(tmp_path, "rule"), RolloutPart(tmp_path / "shard", "a" * 64)
    files, temporary = [], []

    def grades():
        yield Grade(prompt_id="p", sample_index=0, correct=True, reward=1.0, reason="same_text", answer="7")
        files.extend(path for path in tmp_path.rglob("*") if path.is_file())
        temporary.extend(leftovers(tmp_path))
        raise RuntimeError("planted")

    with pytest.raises(RuntimeError, match="planted"):
        kept.keep(part, grades())

    assert kept.find(part) is None
    assert kept.files() == []
    assert files == temporary != []  # what a kill would leave is known to `odr gc` as temporary
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


RULE = Rule(eval_math.Policy.reward())


@pytest.mark.parametrize(
    "other",
    [
        replace(RULE, policy=RULE.policy.with_tolerance(0.1)), replace(RULE, reward="seed_rule"),
        replace(RULE, reward="length_penalty", options={"max_chars": 9, "cache_chars": 3}),
        replace(RULE, deadline=4.0), replace(RULE, reward="counted_reward:rate"),
    ],
    ids=str,
)  # fmt: skip
def test_another_rule_has_other_parts(prompts, other):
    assert other.digest(prompts) != RULE.digest(prompts)
    assert RULE.digest(prompts) == Rule(eval_math.Policy.reward()).digest(prompts)


def test_other_references_have_other_parts(here, prompts):
    others = stored(here.workspace.store, [a_prompt(f"p{i}", answers=["0"]) for i in range(SHARDS * PROMPTS)])

    assert RULE.digest(others) != RULE.digest(prompts)


@pytest.mark.parametrize("change", ["settings", "code"])
def test_parts_of_other_settings_or_of_other_code_are_not_used(here, rollouts, prompts, change, monkeypatch):
    used = at(here, "used")
    grade.fn(rollouts, prompts, OWN, 0, used)
    counted_reward.ASKED.clear()
    settings = OWN.model_copy(update={"deadline": 4.0}) if change == "settings" else OWN
    if change == "code":
        monkeypatch.setattr(verdicts, "code_digest", lambda *_: "another")

    grade.fn(rollouts, prompts, settings, 0, used)

    assert texts_of(*range(SHARDS)) == counted_reward.ASKED


# --- while others are sampled ------------------------------------------------------------------------------------


class Engine:
    """Stands in for `launch.run`: makes the missing shards, and goes on only when the one before is graded."""

    def __init__(self, request, grades: Path, *, waits_for=range(SHARDS), fails: bool = False) -> None:
        self.request, self.grades, self.waits_for, self.fails = request, grades, waits_for, fails
        self.started_with_graded: list[int] = []

    def __call__(self, children, progress_file, on_progress) -> None:
        on_progress({"kind": "ready"})
        for number in range(SHARDS):
            shard = self.request.shard_path(number)
            self.started_with_graded.append(len(list(self.grades.glob("*/*.parquet"))))
            if not shard.exists():
                write_shard(shard, number)
                on_progress({"kind": "shard", "file": shard.name})
            deadline = time.monotonic() + 120
            while number in self.waits_for and not self.graded(shard):
                assert time.monotonic() < deadline, f"{shard.name} is not graded while the engine waits for it"
                time.sleep(0.01)
        if self.fails:
            raise RuntimeError("the engine died")

    def graded(self, shard: Path) -> bool:
        return any(self.grades.glob(f"*/{sha256_file(shard)}-*.parquet"))


@pytest.fixture
def stage(here, wanted, prompts, monkeypatch):
    """`sample` with that engine, whose grades are wanted in the folder `later`; returns the engine and the table."""
    later = at(here, "later")

    def call(*, grading=OWN, run=here, **engine_options):
        engine = Engine(wanted.request(run), wanted.folder / "grades", **engine_options)
        monkeypatch.setattr(generate.launch, "run", engine)
        wanted.folder.mkdir(exist_ok=True)
        along = Alongside(rule_of(grading), lambda _: later.workdir)
        at_work = replace(run, workdir=wanted.folder)
        return engine, sample.fn(POLICY, prompts, wanted.sampling, Template(), 7, at_work, along=along)

    call.later = later
    return call


def test_shards_are_graded_while_others_are_sampled_and_grade_finds_them(here, stage, prompts):
    engine, rollouts = stage()
    assert engine.started_with_graded == [0, 1, 2, 3]  # each was there before the engine went on
    assert texts_of(0, 1, 2, 3) == counted_reward.ASKED
    counted_reward.ASKED.clear()

    grades = grade.fn(rollouts, prompts, OWN, 0, stage.later)

    assert counted_reward.ASKED == []
    assert grades == grade.fn(rollouts, prompts, OWN, 0, at(here, "whole"))


def test_shards_that_an_interrupted_run_has_left_are_graded_and_none_twice(here, stage, wanted, prompts):
    for number in (0, 1):
        write_shard(wanted.request(here).shard_path(number), number)
    kept = GradedParts(wanted.folder, rule_of(OWN).digest(prompts))
    first = RolloutPart.of(wanted.request(here).shard_path(0))
    list(verdicts.grade_parts([first], prompts, rule_of(OWN), here.workspace.store, kept, workers=0))

    _, rollouts = stage()
    grades = grade.fn(rollouts, prompts, OWN, 0, stage.later)

    assert texts_of(0, 1, 2, 3) == counted_reward.ASKED
    assert grades == grade.fn(rollouts, prompts, OWN, 0, at(here, "whole"))


def test_shards_that_are_graded_with_one_start_get_their_own_verdicts(here, stage, wanted, prompts):
    for number in range(SHARDS - 1):  # they wait together, while the engine makes the last one
        write_shard(wanted.request(here).shard_path(number), number)

    _, rollouts = stage()
    counted_reward.ASKED.clear()
    grades = grade.fn(rollouts, prompts, OWN, 0, stage.later)

    assert counted_reward.ASKED == []
    assert grades == grade.fn(rollouts, prompts, OWN, 0, at(here, "whole"))


def test_a_reward_that_fails_does_not_fail_sampling_and_is_met_by_grade(here, stage, prompts, caplog):
    counted_reward.FAIL_AT[0] = 2

    _, rollouts = stage(waits_for=())

    assert rollouts.rows == SHARDS * PROMPTS * ANSWERS
    assert "iteration 1 · grading waits for the end of sampling: RuntimeError: planted" in caplog.messages
    counted_reward.FAIL_AT[0] = 2
    with pytest.raises(RuntimeError, match="planted"):
        grade.fn(rollouts, prompts, OWN, 0, stage.later)


def test_sampling_that_fails_keeps_the_grades_that_are_finished(stage, wanted):
    with pytest.raises(RuntimeError, match="the engine died"):
        stage(fails=True)
    assert "grading" not in {thread.name for thread in threading.enumerate()}
    counted_reward.ASKED.clear()

    _, rollouts = stage()

    assert rollouts.rows == SHARDS * PROMPTS * ANSWERS
    assert counted_reward.ASKED == []


def test_an_answer_that_was_slow_beside_the_engines_leaves_its_part_to_grade(here, stage, wanted, prompts, monkeypatch):
    slow, really = text_of(PROMPTS, 1), eval_math.grade_many

    def loaded(rows, *arguments, **options):
        seen = []
        for verdict in really(((seen.append(text) or text, golds) for text, golds in rows), *arguments, **options):
            yield replace(verdict, seconds=4.0) if seen.pop(0) == slow else verdict

    for number in range(SHARDS):  # all of them wait, so that the slow one is amid a batch
        write_shard(wanted.request(here).shard_path(number), number)
    wanted.request(here).shard_path(3).unlink()
    with monkeypatch.context() as patch:
        patch.setattr(verdicts.eval_math, "grade_many", loaded)
        _, rollouts = stage(waits_for=(0, 2, 3))
    counted_reward.ASKED.clear()

    grades = grade.fn(rollouts, prompts, OWN, 0, stage.later)

    assert texts_of(1) == counted_reward.ASKED
    assert grades == grade.fn(rollouts, prompts, OWN, 0, at(here, "whole"))


def test_without_grading_processes_nothing_is_graded_before_sampling_has_ended(here, stage):
    stage(run=replace(here, machine=Machine(grade_workers=0)), waits_for=())

    assert counted_reward.ASKED == []


def test_grading_beside_engines_has_a_low_priority_and_this_process_keeps_its_own(here, wanted, prompts, monkeypatch):
    write_shard(wanted.request(here).shard_path(0), 0)
    niceness: dict[str, int] = {}

    def rate(grade, response):
        niceness["thread"] = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
        for path in Path("/proc").glob("[0-9]*"):
            try:
                parent = int((path / "stat").read_text().rsplit(")", 1)[1].split()[1])
                command = (path / "cmdline").read_bytes()
            except (OSError, IndexError):
                continue
            if parent == os.getpid() and b"eval_math.workers.worker" in command:
                niceness["worker"] = os.getpriority(os.PRIO_PROCESS, int(path.name))
        return 1.0

    monkeypatch.setattr(counted_reward, "rate", rate)
    before = os.getpriority(os.PRIO_PROCESS, 0)
    along = Alongside(rule_of(OWN), lambda _: here.workdir)
    watched = Watched(along, prompts, wanted.folder, [wanted.request(here).shard_path(0)])

    with ShardGrader(here.workspace.store, [watched], "test") as grader:
        deadline = time.monotonic() + 120
        while not grader.graded:
            assert time.monotonic() < deadline
            time.sleep(0.01)

    assert niceness == {"thread": 10, "worker": 10}
    assert os.getpriority(os.PRIO_PROCESS, 0) == before
