"""`odr plan`: what would run and why, without starting anything."""

import json
import shutil

import pytest
import torch
from flow_examples import small, write_rows
from hypothesis import given
from hypothesis import strategies as st

from flows.plan import Planner, hardware
from flows.steps import Steps
from tasks import launch
from tasks.machine import Machine
from tasks.settings import Training
from tasks.workers import batches


@pytest.fixture(autouse=True)
def nothing_starts(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(launch, "run", lambda *_: pytest.fail("a plan started a child"))


@pytest.fixture
def planned(tmp_path, workspace, model_folder):
    """Lines of the plan of the small campaign with these overrides."""

    def plan(*overrides, refresh=(), model=model_folder):
        return Planner(Steps.of(small(tmp_path, model, *overrides), workspace, frozenset(refresh))).walk()

    return plan


def shown(lines):
    return [(line.label, line.stage, line.status, line.why) for line in lines]


WAITING = "its inputs are not made yet"


def test_at_first_everything_runs_and_says_why(planned):
    lines = planned("iterations=1", "evaluate.benchmarks.0.samples=0")

    assert shown(lines)[1:] == [
        ("base · exam/greedy", "sample", "run", "never run"),
        ("base", "evaluate", "run", WAITING),
        ("iteration 1", "sample", "run", "never run"),
        ("iteration 1", "grade", "run", WAITING),
        ("iteration 1", "pair", "run", WAITING),
        ("iteration 1 · ref_logprobs", "score", "run", WAITING),
        ("iteration 1", "train", "run", WAITING),
        ("iteration 1 · exam/greedy", "sample", "run", WAITING),
        ("iteration 1", "evaluate", "run", WAITING),
    ]
    assert (lines[0].stage, lines[0].status) == ("model", "there")
    assert lines[0].size.endswith("MiB")


def test_every_iteration_and_decoding_has_its_lines(planned):
    lines = planned()

    assert [line.label for line in lines if line.stage == "sample"] == [
        "base · exam/greedy",
        "base · exam/sampled",
        "iteration 1",
        "iteration 1 · exam/greedy",
        "iteration 1 · exam/sampled",
        "iteration 2",
        "iteration 2 · exam/greedy",
        "iteration 2 · exam/sampled",
    ]
    assert {line.status for line in lines} == {"there", "run"}


def test_sizes_are_spelled_out(planned):
    sizes = {(line.label, line.stage): line.size for line in planned("iterations=1")}

    assert sizes["iteration 1", "sample"] == "4 prompts x 3 = 12 answers"
    assert sizes["base · exam/sampled", "sample"] == "10 answers"
    assert sizes["base · exam/greedy", "sample"] == "5 answers"
    assert sizes["iteration 1", "train"] == "at most 4 rows, 2 steps of 2 on 1 x 64 tokens"


def test_accepted_rows_are_counted_by_their_own_cap(planned):
    few = planned("objective={name: raft}", "pair.accepted_per_prompt=2", "iterations=1")
    every = planned("objective={name: raft}", "pair.accepted_per_prompt=null", "iterations=1")

    sizes = [next(line.size for line in lines if line.stage == "train") for lines in (few, every)]
    assert sizes[0].startswith("at most 8 rows, 4 steps")
    assert sizes[1].startswith("at most 12 rows, 6 steps")


def test_a_warm_up_comes_first(planned, tmp_path):
    rows = write_rows(tmp_path / "warm.jsonl", 6)
    lines = planned(
        f"warmup={{demonstrations: {{path: {rows}, solution: solution}}, train: {{batch_size: 4, epochs: 2}}}}",
        "iterations=0",
        "evaluate.benchmarks=[]",
    )

    assert shown(lines)[1:] == [
        ("warm-up", "demonstrate", "run", "never run"),
        ("warm-up", "train", "run", WAITING),
    ]
    assert lines[2].size.startswith("at most 6 rows, 4 steps of 4")


def test_a_changed_setting_is_named_with_both_values(planned, tmp_path, workspace, model_folder):
    steps = Steps.of(small(tmp_path, model_folder), workspace)
    arguments = steps.sample(1, steps.base_model(), steps.prompts(1))
    from tasks.sample import sample

    record = workspace.key_record("small", "iteration 1 sample")
    record.parent.mkdir(parents=True)
    record.write_text(json.dumps(sample.key(**arguments).fields), encoding="utf-8")

    def why(*overrides, refresh=()):
        lines = planned(*overrides, refresh=refresh)
        return next(line.why for line in lines if (line.label, line.stage) == ("iteration 1", "sample"))

    assert why("sample.temperature=0.7") == "changed: sampling.temperature 1.0 -> 0.7"
    assert why("template.suffix=Box it") == 'changed: template.suffix "" -> "Box it"'
    assert why() == "its result is gone or altered"
    assert why("machine.threads=2") == "its result is gone or altered"  # no reason of its own
    assert why(refresh=["sample"]) == "refresh was asked for"


def test_a_missing_model_is_a_line_not_an_error(planned):
    lines = planned(model="/no/such/model")

    assert (lines[0].stage, lines[0].status) == ("model", "missing")
    assert "no model folder /no/such/model" in lines[0].why
    assert {line.why for line in lines[1:]} == {WAITING}


def test_missing_data_are_a_line_not_an_error(planned, tmp_path):
    lines = planned("prompts.path=/no/such.jsonl")

    missing = [line for line in lines if line.status == "missing"]
    assert [(line.label, line.stage) for line in missing] == [("iteration 1", "data"), ("iteration 2", "data")]
    assert all("no file /no/such.jsonl" in line.why for line in missing)


def test_a_plan_writes_no_result(planned, workspace):
    planned()

    assert {record.name.partition("-")[0] for record in workspace.cache.iterdir()} == {"prompts"}  # read once for all
    assert not workspace.checkpoints.exists()


def test_what_the_plan_looks_at_may_be_gone_afterwards(planned, workspace):
    planned()
    shutil.rmtree(workspace.root / "work", ignore_errors=True)

    assert shown(planned())[1][2:] == ("run", "never run")


def test_the_hardware_line_says_where_the_work_would_run(tmp_path, workspace, model_folder, monkeypatch):
    def line(*overrides):
        return hardware(Steps.of(small(tmp_path, model_folder, *overrides), workspace))

    assert line() == "runs on the CPU (no GPU found): 1 sampling engine(s), 1 training process(es), zero0"
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    assert line("machine.tensor_parallel=2").startswith("runs on GPUs 0, 1, 2, 3: 2 sampling engine(s), 4 training")
    assert line("machine.devices=[7]").startswith("devices: machine.devices names GPU 7")


@given(rows=st.integers(1, 300), batch=st.integers(1, 64), processes=st.integers(1, 4), epochs=st.integers(1, 3))
def test_the_number_of_steps_is_that_of_the_trainers_plan(rows, batch, processes, epochs):
    from types import SimpleNamespace

    machine = Machine(train_processes=processes)
    planner = Planner(SimpleNamespace(config=SimpleNamespace(machine=machine)))  # type: ignore[arg-type]

    size = planner._training_size(rows, Training(batch_size=batch, epochs=epochs), exact=True)

    made = batches.plan([1] * rows, batch_size=batch, micro_tokens=64, processes=processes, epochs=epochs, seed=0)
    assert f", {made.num_steps:,} steps of {batch} on {processes} x 8,192 tokens" in size


def test_a_critic_and_its_values_have_their_lines(planned):
    lines = planned("objective=ppo", "iterations=2")

    found = [(line.label, line.stage) for line in lines if line.stage in ("score", "train")]
    assert found == [
        (f"iteration {number}{part}", stage)
        for number in (1, 2)
        for part, stage in ((" · ref_logprobs", "score"), (" · values", "score"), ("", "train"), (" · critic", "train"))
    ]


def test_a_reward_model_has_its_lines(planned, model_folder):
    lines = planned(f"reward_model={{model: {model_folder}, mean: 0, std: 1}}", "iterations=1")

    found = [(line.label, line.stage) for line in lines if line.stage in ("grade", "score", "reward", "pair")]
    assert found == [
        ("iteration 1", "grade"),
        ("iteration 1 · reward model", "score"),
        ("iteration 1", "reward"),
        ("iteration 1", "pair"),
        ("iteration 1 · ref_logprobs", "score"),
    ]
