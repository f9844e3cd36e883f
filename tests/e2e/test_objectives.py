"""Other objectives on the rollouts that are there: only rows and training are new, and the first step is known."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from safetensors.numpy import load_file

from artifacts import Grade, Group, Ref, Store
from tests.e2e.small_campaign import SMALL, odr, results, stages

pytestmark = pytest.mark.slow

NO_EXAM = ["evaluate.benchmarks=[]"]
GRPO = ["objective=grpo", "train.old_logprobs=recomputed", "train.order=easy_first"]


def curve(home: Path, name: str) -> list[dict[str, Any]]:
    policy = Path(results(home, name)["iterations"][1]["policy"]["path"])
    return [json.loads(line) for line in (policy / "training.jsonl").read_text().splitlines()]


def test_grpo_trains_on_whole_groups_of_the_same_rollouts(home: Path) -> None:
    done = odr(home, "demo", *SMALL, *NO_EXAM, *GRPO, "name=grpo")

    found = results(home, "grpo")
    assert done.returncode == 0, done.stderr[-4000:]
    assert [s for label, s, cached in stages(found) if label == "iteration 1" and not cached][:2] == ["pair", "train"]
    rows = list(Store(home / "store").read(Ref.from_json(found["iterations"][1]["rows"]), Group))
    by_prompt: dict[str, list[Group]] = {}
    for row in rows:
        by_prompt.setdefault(row.prompt_id, []).append(row)
    for group in by_prompt.values():
        assert sum(row.advantages[0] for row in group) == pytest.approx(0, abs=1e-5)
        assert all(len(row.advantages) == len(row.logprobs) == len(row.completion_ids) for row in group)
    first, *_, last = curve(home, "grpo")
    assert first["ratio/mean"] == pytest.approx(1, abs=1e-5)
    assert first["ratio/max"] == pytest.approx(1, abs=1e-3)
    # The reference is the policy that the iteration starts from, though scored in other company.
    assert (first["clip_fraction"], first["kl/ref"]) == (0, pytest.approx(0, abs=1e-6))
    assert first["coef/right"] < 0 < first["coef/wrong"]
    assert last["kl/ref"] > 0


def test_two_processes_take_the_same_steps_as_one_and_training_stops_at_the_largest_kl(home: Path) -> None:
    done = odr(
        home, "demo", *SMALL, *NO_EXAM, *GRPO, "name=grpo-two", "train.max_kl=1e-9", "machine.train_processes=2",
        "machine.micro_tokens=128",
    )  # fmt: skip

    assert done.returncode == 0, done.stderr[-4000:]
    two, one = curve(home, "grpo-two"), curve(home, "grpo")
    assert len(two) == 2 < len(one)  # the first update moves the policy, and the second step sees it
    assert two[0]["ratio/max"] == pytest.approx(1, abs=1e-5)
    for name in ("loss", "coef/right", "coef/wrong", "logps/mean", "clip_fraction"):
        assert two[0][name] == pytest.approx(one[0][name], rel=1e-4, abs=1e-7)
        assert two[1][name] == pytest.approx(one[1][name], rel=1e-2, abs=1e-4)
    assert "above train.max_kl after step 2" in done.stderr


def test_ppo_trains_a_critic_on_the_same_rows_in_a_child_of_its_own(home: Path) -> None:
    done = odr(home, "demo", *SMALL, *NO_EXAM, "name=ppo", "objective=ppo", "critic={learning_rate: 1e-3}")

    assert done.returncode == 0, done.stderr[-4000:]
    found = results(home, "ppo")["iterations"][1]
    made = [(s["label"], s["stage"]) for s in found["stages"] if s["stage"] in ("score", "train")]
    assert made == [
        ("iteration 1 · ref_logprobs", "score"),
        ("iteration 1 · values", "score"),
        ("iteration 1", "train"),
        ("iteration 1 · critic", "train"),
    ]
    critic = Path(found["critic"]["path"])
    steps = [json.loads(line) for line in (critic / "training.jsonl").read_text().splitlines()]
    assert steps[0]["values/mean"] == 0  # a new critic says 0 everywhere
    assert steps[0]["errors/squared"] == pytest.approx(steps[0]["returns/squared"])
    assert steps[-1]["values/mean"] != 0
    assert abs(load_file(critic / "model.safetensors")["score.weight"]).max() > 0
    assert curve(home, "ppo")[0]["ratio/mean"] == pytest.approx(1, abs=1e-5)


def test_a_reward_model_learns_from_pairs_and_joins_the_rule(home: Path) -> None:
    done = odr(home, "reward-model", "demo/1", "train.learning_rate=1e-3")
    assert done.returncode == 0, done.stderr[-4000:]
    section = yaml.safe_load(done.stdout[done.stdout.index("reward_model:") :])["reward_model"]
    assert section["std"] > 0

    judged = odr(home, "demo", *SMALL, *NO_EXAM, "name=judged", f"reward_model={json.dumps(section)}")

    assert judged.returncode == 0, judged.stderr[-4000:]
    found = results(home, "judged")["iterations"][1]
    assert [s["stage"] for s in found["stages"]][:4] == ["sample", "grade", "score", "reward"]
    rule = list(Store(home / "store").read(Ref.from_json(found["grades"]), Grade))
    assert {grade.reward for grade in rule} == {0.0, 1.0}
    (reward,) = (home / "cache").glob("reward-*")
    ref = json.loads(json.loads(reward.read_text())["result"])["ref"]
    both = list(Store(home / "store").read(Ref.from_json(ref), Grade))
    assert [(a.prompt_id, a.correct) for a in both] == [(b.prompt_id, b.correct) for b in rule]
    assert len({a.reward for a in both}) > 10
