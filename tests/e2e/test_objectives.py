"""Other objectives on the rollouts that are there: only rows and training are new, and the first step is known."""

import json
from pathlib import Path
from typing import Any

import pytest

from artifacts import Group, Ref, Store
from tests.e2e.small_campaign import SMALL, odr, results, stages

pytestmark = pytest.mark.slow

NO_EXAM = ["evaluate.benchmarks=[]"]


def curve(home: Path, name: str) -> list[dict[str, Any]]:
    policy = Path(results(home, name)["iterations"][1]["policy"]["path"])
    return [json.loads(line) for line in (policy / "training.jsonl").read_text().splitlines()]


def test_grpo_trains_on_whole_groups_of_the_same_rollouts(home: Path) -> None:
    done = odr(home, "demo", *SMALL, *NO_EXAM, "name=grpo", "objective=grpo")

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
    assert (first["clip_fraction"], first["kl/ref"]) == (
        0,
        0,
    )  # the reference is the policy that the iteration starts from
    assert first["coef/right"] < 0 < first["coef/wrong"]
    assert last["kl/ref"] > 0


def test_two_processes_take_the_same_first_step_as_one(home: Path) -> None:
    done = odr(
        home, "demo", *SMALL, *NO_EXAM, "name=grpo-two", "objective=grpo", "train.old_logprobs=recomputed",
        "train.order=easy_first", "train.max_kl=1e-9", "machine.train_processes=2", "machine.micro_tokens=128",
    )  # fmt: skip
    other = odr(
        home, "demo", *SMALL, *NO_EXAM, "name=grpo-one", "objective=grpo", "train.old_logprobs=recomputed",
        "train.order=easy_first", "train.max_kl=2e-9",
    )  # fmt: skip

    assert done.returncode == 0, done.stderr[-4000:]
    assert other.returncode == 0, other.stderr[-4000:]
    two, one = curve(home, "grpo-two"), curve(home, "grpo-one")
    assert len(two) == len(one) == 2  # the first update moves the policy, and the second step sees it
    assert (two[0]["ratio/max"], one[0]["ratio/max"]) == pytest.approx((1, 1), abs=1e-5)
    for name in ("loss", "coef/right", "coef/wrong", "logps/mean", "clip_fraction"):
        assert two[0][name] == pytest.approx(one[0][name], rel=1e-4, abs=1e-7)
        assert two[1][name] == pytest.approx(one[1][name], rel=1e-2, abs=1e-4)
    assert "above train.max_kl after step 2" in done.stderr


def test_simpo_needs_no_reference(home: Path) -> None:
    done = odr(home, "demo", *SMALL, *NO_EXAM, "name=simpo", "objective=simpo")

    assert done.returncode == 0, done.stderr[-4000:]
    first = curve(home, "simpo")[0]
    assert "logps/chosen" in first
    assert first["coef/chosen"] < 0 < first["coef/rejected"]
    policy = Path(results(home, "simpo")["iterations"][1]["policy"]["path"])
    assert json.loads((policy / "odr-checkpoint.json").read_text())["facts"]["parents"]["reference"] is None
