"""The whole loop with real parts: vLLM, DeepSpeed, Prefect and MLflow, on a shrunken demo."""

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from artifacts import Grade, Pair, Ref, Rollout, Store, read_part
from tests.documents import ROOT
from tests.e2e import processes
from tests.e2e.small_campaign import SMALL, environment, odr, results, stages

pytestmark = pytest.mark.slow

ZERO_2 = [
    "name=zero2", "machine.deepspeed=configs/deepspeed/zero2.json", "machine.train_processes=2",
    "machine.micro_tokens=128",
]  # fmt: skip


def test_every_stage_ran_and_left_an_artifact_that_verifies(home: Path, first_results: dict[str, Any]) -> None:
    store = Store(home / "store")

    ran = stages(first_results)

    assert [stage for label, stage, _ in ran if label == "iteration 1"] == [
        "sample", "grade", "pair", "train", "evaluate",
    ]  # fmt: skip
    assert not any(cached for _, _, cached in ran)
    for row in first_results["iterations"]:
        store.verify(Ref.from_json(row["scores"]))
        assert (Path(row["policy"]["path"]) / "model.safetensors").exists()


def test_training_tokens_are_the_sampled_tokens(home: Path) -> None:
    store = Store(home / "store")
    row = results(home)["iterations"][1]
    pairs = list(store.read(Ref.from_json(row["rows"]), Pair))
    grades = Ref.from_json(row["grades"])
    rollouts_digest, _ = store.manifest(grades).parents
    (manifest,) = (home / "store" / "rollouts").glob(f"*/{rollouts_digest}*/manifest.json")
    sampled: dict[tuple[str, int], Rollout] = {}
    for part in sorted(manifest.parent.glob("*.parquet")):
        sampled |= {(r.prompt_id, r.sample_index): r for r in read_part(part, Rollout)}
    verdicts = {(g.prompt_id, g.sample_index): g.correct for g in store.read(grades, Grade)}

    assert pairs
    for pair in pairs:
        chosen = sampled[pair.prompt_id, pair.chosen_index]
        rejected = sampled[pair.prompt_id, pair.rejected_index]
        assert (pair.prompt_ids, pair.chosen_ids) == (chosen.prompt_ids, chosen.completion_ids)
        assert pair.rejected_ids == rejected.completion_ids
        assert verdicts[pair.prompt_id, pair.chosen_index] is True
        assert verdicts[pair.prompt_id, pair.rejected_index] is False
        assert chosen.finish_reason == rejected.finish_reason == "stop"


def test_deepspeed_really_ran_and_the_sampler_agrees_with_the_trainer(home: Path) -> None:
    policy = Path(results(home)["iterations"][1]["policy"]["path"])

    facts = json.loads((policy / "odr-checkpoint.json").read_text())["facts"]
    first = json.loads((policy / "training.jsonl").read_text().splitlines()[0])

    assert facts["zero_stage"] == 0
    assert facts["processes"] == 1
    assert first["loss"] == pytest.approx(0.6931, abs=1e-3)  # policy == reference before the first update
    assert first["sampler_gap_max"] < 1e-4
    assert (policy / "README.md").exists()
    assert (policy / "chat_template.jinja").exists()


def test_mlflow_has_the_campaign_the_iteration_and_no_point_twice(home: Path) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{home / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("online-dpo-r1")
    runs = {run.data.tags["kind"]: run for run in client.search_runs([experiment.experiment_id])}

    steps = [m.step for m in client.get_metric_history(runs["iteration"].info.run_id, "train/loss")]

    assert runs["iteration"].data.tags["mlflow.parentRunId"] == runs["campaign"].info.run_id
    assert runs["campaign"].data.params["train.batch_size"] == "8"
    assert steps == list(range(1, len(steps) + 1))
    assert {m.step for m in client.get_metric_history(runs["campaign"].info.run_id, "eval/heldout/greedy")} == {0, 1}
    assert {d.dataset.name for d in runs["iteration"].inputs.dataset_inputs} == {"prompts", "pairs"}
    assert "odr.checkpoint" in runs["iteration"].data.tags
    families = {name.split("/")[0] for run in runs.values() for name in run.data.metrics}
    told = set(re.findall(r"^\| `(\w+)/", (ROOT / "docs/reference/metrics.md").read_text(), re.MULTILINE))
    # a machine's load is sampled every few seconds; DPO has no critic
    assert families | {"system", "train_critic"} == told


def test_a_second_run_executes_nothing(home: Path) -> None:
    before = results(home)

    done = odr(home, "demo", *SMALL)

    after = results(home)
    assert done.returncode == 0, done.stderr[-4000:]
    assert [(label, stage) for label, stage, cached in stages(after) if not cached] == []
    assert [row["policy"]["digest"] for row in after["iterations"]] == [
        row["policy"]["digest"] for row in before["iterations"]
    ]


def test_an_altered_artifact_is_computed_again_and_nothing_else(home: Path) -> None:
    rows = Ref.from_json(results(home)["iterations"][1]["rows"])
    (part, *_) = (home / "store" / rows.path).glob("*.parquet")
    part.write_bytes(part.read_bytes()[:-1] + b"?")

    done = odr(home, "demo", *SMALL)

    assert done.returncode == 0, done.stderr[-4000:]
    assert [stage for _, stage, cached in stages(results(home)) if not cached] == ["pair"]
    assert "cached result cannot be used" in done.stderr


def test_a_rank_that_is_killed_costs_an_attempt_and_zero_2_trains_the_same(home: Path, tmp_path: Path) -> None:
    reference = curve(results(home))
    # Saving takes longer than a step, so there is time to kill it; the longest row is far shorter than 120 tokens.
    saving = ["train.save_steps=1", "train.max_length=120", "machine.retry_seconds=0.1"]
    with (tmp_path / "log.txt").open("wb") as log:
        command = subprocess.Popen(
            [sys.executable, "-m", "flows.cli", "demo", *SMALL, *ZERO_2, *saving],
            env=environment(home), stdout=log, stderr=log,
        )  # fmt: skip

    rank = wait_for_rank(home, command)
    struck = processes.kill(rank, signal.SIGKILL)
    code = command.wait(300)

    said = (tmp_path / "log.txt").read_text()
    assert struck
    assert code == 0, said[-4000:]
    assert re.search(r"one of its processes was ended by signal (9|15); attempt 2 of 3", said)
    found = results(home, "zero2")
    facts = json.loads((Path(found["iterations"][1]["policy"]["path"]) / "odr-checkpoint.json").read_text())["facts"]
    assert (facts["zero_stage"], facts["processes"]) == (2, 2)
    for ours, theirs in zip(curve(found), reference, strict=True):
        assert ours["loss"] == pytest.approx(theirs["loss"], abs=1e-4)
        assert ours["rewards/margins"] == pytest.approx(theirs["rewards/margins"], abs=1e-4)


def wait_for_rank(home: Path, command: subprocess.Popen[bytes]) -> processes.Process:
    """One of two training processes, once they have written an optimizer checkpoint."""
    deadline = time.monotonic() + 180
    known = set(home.glob("work/train-*/checkpoints/checkpoint-*/odr-committed.json"))
    while time.monotonic() < deadline and command.poll() is None:
        ranks = sorted(each for each in processes.tree(command.pid) if processes.role(each[0]) == "trainer")
        if len(ranks) == 2 and set(home.glob("work/train-*/checkpoints/checkpoint-*/odr-committed.json")) - known:
            return ranks[-1]
        time.sleep(0.05)
    raise AssertionError("no two ranks wrote a checkpoint before the run ended")


def curve(found: dict[str, Any]) -> list[dict[str, float]]:
    path = Path(found["iterations"][1]["policy"]["path"]) / "training.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()]
