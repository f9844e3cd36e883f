"""How much was sampled and trained: counted from rows and facts, remembered by iteration."""

import json

import pytest
from recorded_campaigns import TOKENS

from artifacts import Accepted, Checkpoint, Grade, Group, Pair, checkpoints
from flows.mirror.amounts import Amounts, Ledger, amounts_of

TRAINING = {"epochs": 3, "batch_size": 2, "max_length": None}


@pytest.fixture
def grades(workspace):
    with workspace.store.writer(Grade) as writer:
        writer.write(Grade(prompt_id="p", sample_index=0, correct=True, reward=1.0, reason="same_text", answer="1"))
        writer.summary.update({"tokens": 700})
    return writer.ref


def policy(workspace, **facts):
    made = workspace.work(f"train-{len(facts)}-{json.dumps(facts, sort_keys=True)[:40].replace('/', '')}") / "output"
    made.mkdir()
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        (made / name).write_text(json.dumps(facts), encoding="utf-8")
    return checkpoints.commit(made, workspace.checkpoints / made.parent.name, facts)


def pairs(workspace, *lengths):
    """Pairs whose chosen and rejected answers have these lengths; prompts of two tokens."""
    with workspace.store.writer(Pair) as writer:
        for number, (chosen, rejected) in enumerate(lengths):
            sides = {"chosen_ids": [3] * chosen, "chosen_logprobs": [-1.0] * chosen, "rejected_ids": [4] * rejected,
                     "rejected_logprobs": [-1.0] * rejected}  # fmt: skip
            writer.write(
                Pair(prompt_id=f"p{number}", prompt_ids=[1, 2], chosen_index=0, rejected_index=1, chosen_reward=1.0,
                     rejected_reward=0.0, **sides)
            )  # fmt: skip
    return writer.ref


def test_every_answer_of_a_row_counts_once_an_epoch(workspace, grades):
    found = amounts_of(
        workspace.store, grades, pairs(workspace, (4, 1), (2, 5)), policy(workspace, steps=3, training=TRAINING)
    )

    assert found == Amounts(steps=3, sampled_tokens=700, trained_tokens=3 * (4 + 1 + 2 + 5))


def test_rows_that_were_dropped_as_too_long_do_not_count(workspace, grades):
    rows = pairs(workspace, (4, 1), (2, 6))  # the second has 2 + 6 tokens at its longer side

    found = amounts_of(
        workspace.store, grades, rows, policy(workspace, steps=3, training={**TRAINING, "max_length": 7})
    )

    assert found.trained_tokens == 3 * 5


def test_training_that_stopped_early_counts_for_its_share(workspace, grades):
    rows = pairs(workspace, *[(3, 3)] * 8)  # 4 steps an epoch, 12 in all

    found = amounts_of(
        workspace.store, grades, rows, policy(workspace, steps=6, training=TRAINING, stopped="kl/old 0.2 above 0.1")
    )

    assert found.trained_tokens == 8 * 6 * 3 // 2


def test_of_groups_a_batch_counts_prompts(workspace, grades):
    with workspace.store.writer(Group) as writer:
        for p in range(4):
            for index in range(2):
                fields = {**TOKENS, "sample_index": index, "reward": 1.0, "correct": True, "advantages": [1.0] * 3}
                writer.write(Group(prompt_id=f"p{p}", **fields))

    found = amounts_of(
        workspace.store, grades, writer.ref, policy(workspace, steps=3, training=TRAINING, stopped="kl/old 1 above 0")
    )

    assert found.trained_tokens == 8 * 3 * 3 // 2  # 2 steps an epoch, 6 in all


def test_a_policy_from_elsewhere_was_trained_on_nothing_here(workspace, grades, model_folder):
    with workspace.store.writer(Accepted) as writer:
        writer.write(Accepted(prompt_id="p", sample_index=0, **TOKENS))

    found = amounts_of(workspace.store, grades, writer.ref, Checkpoint(str(model_folder), "a" * 64, 1))

    assert found == Amounts(sampled_tokens=700)


def test_a_ledger_knows_what_came_before_only_if_it_knows_all_of_it(tmp_path):
    ledger = Ledger(tmp_path / "reported" / "key.json")
    assert ledger.before(1) == Amounts()
    assert ledger.before(2) is None

    ledger.note(2, "b" * 64, Amounts(20, 200, 2000))
    assert ledger.before(3) is None
    ledger.note(1, "a" * 64, Amounts(10, 100, 1000))

    again = Ledger(tmp_path / "reported" / "key.json")
    assert again.before(3) == Amounts(30, 300, 3000)
    assert again.before(2) == Amounts(10, 100, 1000)
    assert again.of(2, "b" * 64) == Amounts(20, 200, 2000)
    assert again.of(2, "c" * 64) is None  # another policy was made since


@pytest.mark.parametrize("text", ["", "{", "[]", '{"1": 3}', '{"1": {"steps": "x"}}', "[" * 100_000])
def test_a_damaged_ledger_is_as_good_as_none(tmp_path, text):
    path = tmp_path / "key.json"
    path.write_text(text, encoding="utf-8")
    ledger = Ledger(path)

    assert ledger.of(1, "a" * 64) is None
    assert ledger.before(2) is None
    ledger.note(1, "a" * 64, Amounts(1, 2, 3))
    assert ledger.before(2) == Amounts(1, 2, 3)
