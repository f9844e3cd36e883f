"""The training child itself, under real DeepSpeed on the CPU: however the work is dealt, the same weights come out."""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file
from transformers import AutoModelForCausalLM

from artifacts import Group, Pair, Store, TokenScores
from tasks.machine import Machine
from tasks.settings import Lora, Training
from tasks.workers.jobs import TrainJob

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
VOCABULARY = 300
RATE = 1e-3


def groups(sizes: list[int]) -> list[Group]:
    rng = np.random.default_rng(0)
    rows = []
    for g, size in enumerate(sizes):
        prompt = rng.integers(5, VOCABULARY, 4 + g % 3).tolist()
        for i in range(size):
            tokens = int(rng.integers(2, 9))
            rows.append(
                Group(
                    prompt_id=f"p{g}", sample_index=i, prompt_ids=prompt,
                    completion_ids=rng.integers(5, VOCABULARY, tokens).tolist(), logprobs=[-5.0] * tokens,
                    reward=float(i % 2), correct=i % 2 == 1, advantages=[float(rng.normal())] * tokens, pass_rate=0.5,
                )
            )  # fmt: skip
    return rows


def pairs(count: int) -> list[Pair]:
    rng = np.random.default_rng(1)
    return [
        Pair(
            prompt_id=f"p{i}", prompt_ids=rng.integers(5, VOCABULARY, 4).tolist(), chosen_index=0, rejected_index=1,
            chosen_ids=rng.integers(5, VOCABULARY, 3 + i % 3).tolist(),
            rejected_ids=rng.integers(5, VOCABULARY, 2 + i % 4).tolist(), chosen_logprobs=[-5.0] * (3 + i % 3),
            rejected_logprobs=[-5.0] * (2 + i % 4), chosen_reward=1.0, rejected_reward=0.0,
        )
        for i in range(count)
    ]  # fmt: skip


def a_job(
    folder: Path, model: Path, rows: list[Any], objective: dict[str, Any], *, stage: int = 0, reference: bool = False,
    micro_tokens: int = 4096, scored: dict[str, float] | None = None, **training: Any,
) -> Path:  # fmt: skip
    folder.mkdir()
    store = Store(folder / "store")
    with store.writer(type(rows[0])) as writer:
        writer.write_many(rows)
    lengths = [
        len(getattr(row, name))
        for row in rows
        for name in (("chosen_ids", "rejected_ids") if isinstance(row, Pair) else ("completion_ids",))
    ]
    refs = {}
    for column, value in (scored or {}).items():
        with store.writer(TokenScores) as scores:
            scores.write_many(
                TokenScores(prompt_id="p", sequence=i, scored_rows="r", model="m", values=[value] * length)
                for i, length in enumerate(lengths)
            )
        refs[column] = scores.ref.to_json()
    options = {
        "learning_rate": RATE, "schedule": "constant", "batch_size": 4, "dtype": "float32", "max_grad_norm": 0.5,
        "gradient_checkpointing": False, **training,
    }  # fmt: skip
    job = TrainJob(
        store=str(folder / "store"), model=str(model), reference=str(model) if reference else None,
        rows=writer.ref.to_json(), scored=refs, objective=objective, training=Training(**options),
        machine=Machine(micro_tokens=micro_tokens, deepspeed=ROOT / f"configs/deepspeed/zero{stage}.json"), seed=0,
        checkpoints=folder / "checkpoints", output=folder / "output", progress=folder / "progress.jsonl",
        failure=folder / "failure.json", result=folder / "result.json",
    )  # fmt: skip
    job.save(folder / "job.json")
    return folder


def launched(folder: Path, processes: int = 1) -> subprocess.CompletedProcess[str]:
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes)]
    command = [sys.executable, *launcher, "-m", "tasks.workers.train", str(folder / "job.json")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)


def weights_of(folder: Path) -> dict[str, np.ndarray]:
    return load_file(folder / "output" / "model.safetensors")


def steps_of(folder: Path) -> list[dict[str, float]]:
    lines = [json.loads(line) for line in (folder / "progress.jsonl").read_text().splitlines()]
    return [line["metrics"] for line in lines if line["kind"] == "step"]


GRPO = {"name": "grpo", "beta_kl": 0.04}
DEALINGS: dict[str, tuple[dict[str, Any], int]] = {
    "whole": ({}, 1),
    "accumulated": ({"micro_tokens": 32}, 1),
    "two": ({}, 2),
    "zero2": ({"stage": 2, "micro_tokens": 64}, 2),
    "zero3": ({"stage": 3, "gradient_checkpointing": True}, 2),
}


@pytest.fixture(scope="module")
def dealt(tmp_path_factory: pytest.TempPathFactory, model_folder: Path) -> dict[str, Path]:
    """The same training, dealt in different ways."""
    root = tmp_path_factory.mktemp("training")
    folders = {
        name: a_job(root / name, model_folder, groups([3, 4, 2, 4, 3, 2]), GRPO, scored={"ref_logprobs": -4.0}, **how)
        for name, (how, _) in DEALINGS.items()
    }
    with ThreadPoolExecutor(2) as pool:
        done = pool.map(lambda name: launched(folders[name], DEALINGS[name][1]), DEALINGS)
        for name, result in zip(DEALINGS, done, strict=True):
            assert result.returncode == 0, f"{name}\n{result.stdout[-3000:]}{result.stderr[-3000:]}"
    return folders


@pytest.mark.parametrize("name", [name for name in DEALINGS if name != "whole"])
def test_stages_processes_and_accumulation_train_the_same_weights(
    dealt: dict[str, Path], model_folder: Path, name: str
) -> None:
    before, expected = load_file(model_folder / "model.safetensors"), weights_of(dealt["whole"])

    found = weights_of(dealt[name])

    assert found.keys() == expected.keys() == before.keys()
    # AdamW divides by the gradient's size: a gradient of 0 but for rounding may move a weight by the learning rate.
    moved = np.concatenate([(expected[key] - before[key]).ravel() for key in before])
    apart = np.concatenate([(expected[key] - found[key]).ravel() for key in before])
    assert np.abs(moved).max() > RATE / 2
    assert np.linalg.norm(apart) < 1e-3 * np.linalg.norm(moved)
    assert np.abs(apart).max() < RATE / 10


@pytest.mark.parametrize("name", [name for name in DEALINGS if name != "whole"])
def test_the_curves_agree_too(dealt: dict[str, Path], name: str) -> None:
    expected, found = steps_of(dealt["whole"]), steps_of(dealt[name])

    assert len(found) == len(expected) == 2
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.keys() == theirs.keys()
        assert ours == {key: pytest.approx(value, rel=1e-3, abs=1e-5) for key, value in theirs.items()}
        assert ours["grad_norm"] > 0


def test_the_facts_say_what_ran(dealt: dict[str, Path]) -> None:
    facts = json.loads((dealt["zero3"] / "result.json").read_text())

    assert facts == {
        "steps": 2, "processes": 2, "zero_stage": 3, "rows": 18, "dropped": {"longer than max_length": 0},
        "stopped": None,
    }  # fmt: skip


OTHERS: dict[str, tuple[list[Any], dict[str, Any], dict[str, Any]]] = {
    "lora": (
        groups([3, 3, 4]), GRPO,
        {"stage": 3, "lora": Lora(rank=2, alpha=4), "scored": {"ref_logprobs": -4.0}, "gradient_checkpointing": True},
    ),
    "critic": (groups([3, 3, 4]), {"name": "ppo_critic", "kl_coef": 0.0}, {"stage": 3, "scored": {"values": 0.0}}),
    "whole distribution": (
        pairs(8), {"name": "tdpo1"},
        {"stage": 2, "dtype": "bfloat16", "reference": True, "reference_logprobs": "recorded"},
    ),
    "not finite": (groups([3, 3, 4]), GRPO, {"scored": {"ref_logprobs": -4.0, "old_logprobs": -1e4}}),
}  # fmt: skip


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory, model_folder: Path) -> dict[str, tuple[Path, Any]]:
    """Other kinds of training: folder, and how the child ended."""
    root = tmp_path_factory.mktemp("others")
    folders = [
        a_job(root / name, model_folder, rows, objective, **how) for name, (rows, objective, how) in OTHERS.items()
    ]
    with ThreadPoolExecutor(2) as pool:
        return dict(zip(OTHERS, zip(folders, pool.map(launched, folders), strict=True), strict=True))


def test_an_adapter_ends_up_in_the_weights(others: dict[str, tuple[Path, Any]], model_folder: Path) -> None:
    folder, done = others["lora"]
    assert done.returncode == 0, done.stderr[-3000:]
    before, after = load_file(model_folder / "model.safetensors"), weights_of(folder)

    model = AutoModelForCausalLM.from_pretrained(folder / "output")

    assert type(model).__name__ == "Qwen2ForCausalLM"
    assert after.keys() == before.keys()
    for name, weight in before.items():
        changed = after[name] - weight
        if name.endswith("_proj.weight"):
            assert np.abs(changed).max() > 1e-5
            assert np.linalg.matrix_rank(changed, tol=1e-6) <= 2
        else:
            assert not changed.any(), name


def test_a_critic_is_made_of_the_policy_and_saved(others: dict[str, tuple[Path, Any]], model_folder: Path) -> None:
    folder, done = others["critic"]
    assert done.returncode == 0, done.stderr[-3000:]

    weights = weights_of(folder)

    assert np.abs(weights["score.weight"]).max() > RATE / 2
    assert "lm_head.weight" not in weights
    assert steps_of(folder)[0]["values/mean"] == 0  # of a fresh critic, though ZeRO-3 has dealt its head out
    assert {"coef/right", "coef/wrong", "loss"} <= steps_of(folder)[0].keys()
    assert not any(name.startswith("sampler_gap") for name in steps_of(folder)[0])


def test_a_divergence_from_the_whole_reference_starts_at_zero(others: dict[str, tuple[Path, Any]]) -> None:
    folder, done = others["whole distribution"]
    assert done.returncode == 0, done.stderr[-3000:]

    first, second = steps_of(folder)

    divergences = [name for name in first if name.startswith("kl/")]
    assert divergences
    for name in divergences:
        assert first[name] == pytest.approx(0, abs=1e-4)
        assert abs(second[name]) > 1e-4


def test_a_loss_that_is_not_a_number_names_its_rows(others: dict[str, tuple[Path, Any]]) -> None:
    folder, done = others["not finite"]

    told = json.loads((folder / "failure.json").read_text())

    assert done.returncode != 0
    assert told["kind"] == "not_finite"
    assert "in step 1, rows p" in told["message"]
    assert not (folder / "result.json").exists()
