"""The parent's side of training: the command for each launcher, what it keeps of a run, and its failures."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from task_examples import stored

from artifacts import Accepted, checkpoints
from tasks import train as module
from tasks.child import ChildFailed
from tasks.machine import Machine
from tasks.settings import Training
from tasks.workers.jobs import TrainJob


@pytest.fixture(autouse=True)
def no_gpus(monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)


# --- the stage around a pretended child --------------------------------------------------------------------------


@pytest.fixture
def rows(run):
    row = Accepted(prompt_id="p", sample_index=0, prompt_ids=[2], completion_ids=[5, 1], logprobs=[])
    return stored(run.workspace.store, [row])


@pytest.fixture
def child(run, monkeypatch, model_folder):
    """`launch.run` that writes what a trainer would; returns the jobs it was given."""
    jobs = []

    def pretend(children, progress_file, on_progress, *, result=True):
        job = TrainJob.load(children[0].command[-1])
        jobs.append(job)
        assert not job.output.exists()  # nothing half-written of an earlier attempt
        job.output.mkdir()
        for path in model_folder.iterdir():
            (job.output / path.name).write_bytes(path.read_bytes())
        on_progress({"kind": "ready", "rows": 1, "steps": 2})
        for step in (1, 2):
            on_progress({"kind": "step", "step": step, "metrics": {"loss": 1 / step}})
        facts = {"steps": 2, "processes": 1, "zero_stage": 0, "rows": 1}
        facts["dropped"] = {"longer than max_length": 0}
        if result:
            job.result.write_text(json.dumps(facts), encoding="utf-8")

    monkeypatch.setattr(module.launch, "run", pretend)
    jobs_and = type("Child", (), {"jobs": jobs, "pretend": staticmethod(pretend)})
    return jobs_and


def trained(run, base, rows, **options):
    arguments = {"reference": None, "objective": {"name": "raft"}, "training": Training(), "seed": 3, **options}
    return module.train.fn(base, rows, run=run, **arguments)


def test_the_result_is_a_committed_folder_that_tells_where_it_comes_from(run, base, rows, child):
    heard = []
    run = replace(run, on_metrics=lambda step, metrics: heard.append((step, metrics["loss"])))

    checkpoint = trained(run, base, rows, reference=base)

    checkpoints.verify(checkpoint)
    facts = checkpoints.facts(checkpoint)
    assert facts["parents"] == {"policy": base.digest, "rows": rows.digest, "reference": base.digest}
    assert (facts["seed"], facts["objective"], facts["steps"]) == (3, {"name": "raft"}, 2)
    assert Path(checkpoint.path).parent == run.workspace.checkpoints
    assert heard == [(1, 1.0), (2, 0.5)]
    assert [(p["step"], p["loss"]) for p in module.curve_of(checkpoint)] == [(1, 1.0), (2, 0.5)]
    assert "raft" in (Path(checkpoint.path) / "README.md").read_text(encoding="utf-8")
    assert module.curve_of(base) == []


def test_steps_of_an_earlier_attempt_stay_on_the_curve(run, base, rows, child):
    earlier = [{"kind": "ready", "steps": 2}, {"kind": "step", "step": 0, "metrics": {"loss": 9.0}}]
    (run.workdir / "progress.jsonl").write_text("".join(json.dumps(line) + "\n" for line in earlier))

    checkpoint = trained(run, base, rows)

    assert [(p["step"], p["loss"]) for p in module.curve_of(checkpoint)] == [(0, 9.0), (1, 1.0), (2, 0.5)]


def test_leftovers_of_a_broken_attempt_are_removed(run, base, rows, child):
    (run.workdir / "output").mkdir()
    (run.workdir / "output" / "model.safetensors").write_bytes(b"half")
    (run.workdir / "result.json").write_text('{"steps": 99}')

    checkpoint = trained(run, base, rows)

    assert checkpoints.facts(checkpoint)["steps"] == 2
    assert checkpoint.digest == base.digest  # the pretended child trained nothing


def test_a_child_that_ends_well_without_a_result_is_a_failure(run, base, rows, child, monkeypatch):
    (run.workdir / "result.json").write_text('{"steps": 99}')  # of an earlier attempt: not to be believed
    monkeypatch.setattr(module.launch, "run", lambda *a: child.pretend(*a, result=False))

    with pytest.raises(ChildFailed, match="ended without a result"):
        trained(run, base, rows)

    assert not list(run.workspace.checkpoints.glob("*"))


def test_training_again_replaces_a_damaged_result(run, base, rows, child):
    first = trained(run, base, rows)
    (Path(first.path) / "config.json").write_text("{}", encoding="utf-8")

    second = trained(run, base, rows)

    checkpoints.verify(second)
    assert second == first


# --- what the child makes of its job -----------------------------------------------------------------------------


def sequences_of(*lengths):
    """Pairs whose longest sequence has this many tokens."""
    import numpy as np

    from tasks.workers.sequences import Sequences

    def ids(count):
        return np.arange(count, dtype=np.int32)

    completions = [ids(count) for length in lengths for count in (length - 2, 1)]
    return Sequences([ids(2)] * len(completions), completions, [ids(0)] * len(completions), 2)


def test_rows_that_are_too_long_are_left_out_and_counted():
    from tasks.workers.prepare import short_enough

    kept, dropped = short_enough(sequences_of(8, 13, 12, 40), 12)

    assert dropped == 2
    assert [kept.longest(row) for row in range(len(kept))] == [8, 12]
    assert [len(c) for c in kept.completions] == [6, 1, 10, 1]


def test_without_a_limit_every_row_is_kept():
    from tasks.workers.prepare import short_enough

    kept, dropped = short_enough(sequences_of(8, 4000), None)

    assert (len(kept), dropped) == (2, 0)


def test_a_limit_that_no_row_meets_is_refused():
    from tasks.workers.failure import BadInput
    from tasks.workers.prepare import short_enough

    with pytest.raises(BadInput) as caught:
        short_enough(sequences_of(20, 30), 10)

    assert caught.value.message == "all 2 rows are longer than train.max_length=10"


@pytest.fixture
def job(run, tmp_path):
    def make(text, **training):
        path = tmp_path / "zero.json"
        path.write_text(text, encoding="utf-8")
        return TrainJob(
            store="", model="", reference=None, rows={}, scored={}, objective={"name": "raft"},
            training=Training(**training), machine=Machine(deepspeed=path), seed=0, checkpoints=tmp_path,
            output=tmp_path, progress=tmp_path, failure=tmp_path, result=tmp_path,
        )  # fmt: skip

    return make


def test_the_deepspeed_file_is_completed_with_the_numbers_of_the_plan(job):
    from tasks.workers.arguments import deepspeed_config

    made = deepspeed_config(job('{"zero_optimization": {"stage": 2}}', max_grad_norm=0.5), accumulation=3, processes=4)

    assert made["zero_optimization"] == {"stage": 2}
    sizes = ("train_micro_batch_size_per_gpu", "gradient_accumulation_steps", "train_batch_size")
    assert [made[name] for name in sizes] == [1, 3, 12]
    assert (made["gradient_clipping"], made["bf16"]) == (0.5, {"enabled": True})
    assert "auto" not in json.dumps(made)


@pytest.mark.parametrize(
    ("text", "expected"), [("{", "zero.json"), ('{"gradient_clipping": 1}', "zero.json sets gradient_clipping")]
)
def test_a_deepspeed_file_that_cannot_be_used_is_refused(job, text, expected):
    from tasks.workers.arguments import deepspeed_config
    from tasks.workers.failure import BadInput

    with pytest.raises(BadInput) as caught:
        deepspeed_config(job(text), 1, 1)

    assert expected in caught.value.message


@pytest.mark.parametrize("stage", [0, 2, 3])
def test_the_deepspeed_files_that_come_with_the_project_can_be_used(job, stage):
    from tasks.workers.arguments import deepspeed_config

    path = Path(module.__file__).parents[1] / "configs" / "deepspeed" / f"zero{stage}.json"

    made = deepspeed_config(job(path.read_text(encoding="utf-8")), 1, 1)

    assert made["zero_optimization"]["stage"] == stage
    assert stage < 3 or made["zero_optimization"]["stage3_gather_16bit_weights_on_model_save"] is True
