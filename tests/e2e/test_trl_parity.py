"""The same pairs, model, optimizer and order: our loss after each of 20 steps is TRL's."""

import math
from pathlib import Path

import pytest

from artifacts import Store
from tests.bench.train_data import TINY, Setup, Spec, build_model, write_pairs
from tests.bench.train_ours import run

pytestmark = pytest.mark.slow

SPEC = Spec(prompts=4, answers=8, median=70, vocabulary=int(TINY["vocab_size"]))
PAIRS, PER_STEP, EPOCHS = 16, 4, 5


def test_twenty_steps_of_dpo_lose_what_trl_loses(tmp_path: Path) -> None:
    from tests.bench.train_trl import dpo  # imports TRL, which takes seconds

    build_model(tmp_path / "model", TINY)
    rows = write_pairs(Store(tmp_path / "store"), SPEC)
    setup = Setup(
        folder=str(tmp_path), rows=rows.to_json(), answers=SPEC.answers, batch_size=PER_STEP, epochs=EPOCHS,
        learning_rate=3e-4, checkpointing=False, micro_tokens=1500, micro=PER_STEP, order="easy_first",
    )  # fmt: skip

    ours = run(setup, tmp_path / "ours", {"name": "dpo", "beta": 0.1})["losses"]
    overrides = {"logging_steps": 1, "train_sampling_strategy": "sequential", "save_strategy": "no"}
    trainer = dpo(setup, str(tmp_path / "trl"), **overrides)
    assert trainer.args.loss_type == ["sigmoid"]
    trainer.train()
    theirs = [line["loss"] for line in trainer.state.log_history if "loss" in line]

    assert rows.rows == PAIRS
    assert len(ours) == len(theirs) == EPOCHS * PAIRS // PER_STEP == 20
    assert ours[0] == pytest.approx(math.log(2), abs=1e-6)  # the policy is still the reference
    assert ours[-1] < 0.2  # and then it is not: the curves agree on something
    assert ours == pytest.approx(theirs, abs=1e-4)
