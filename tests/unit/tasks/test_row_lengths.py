"""Rows that are longer than the model's context, found before a child starts."""

import json

import pytest
from task_examples import stored

from artifacts import Accepted, Pair
from tasks.pairing.lengths import check_lengths


@pytest.fixture
def model(tmp_path):
    def make(**config):
        (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
        return tmp_path

    return make


def accepted(name, tokens):
    return Accepted(prompt_id=name, sample_index=0, prompt_ids=[2, 3], completion_ids=[5] * (tokens - 2), logprobs=[])


@pytest.fixture
def rows(workspace):
    return stored(workspace.store, [accepted("a", 8), accepted("b", 12), accepted("c", 9)])


def test_what_fits_passes(workspace, rows, model):
    check_lengths(workspace.store, rows, model(max_position_embeddings=12), None)


def test_the_longest_row_is_named_with_what_to_do(workspace, rows, model):
    with pytest.raises(ValueError, match=r"prompt b has 12 tokens, .* holds 11; .* set train.max_length=11"):
        check_lengths(workspace.store, rows, model(max_position_embeddings=11), None)


@pytest.mark.parametrize("max_length", [11, 4])
def test_what_training_drops_does_no_harm(workspace, rows, model, max_length):
    check_lengths(workspace.store, rows, model(max_position_embeddings=11), max_length)


def test_a_max_length_above_the_context_does_not_help(workspace, rows, model):
    with pytest.raises(ValueError, match="prompt b"):
        check_lengths(workspace.store, rows, model(max_position_embeddings=11), 100)


def test_of_a_pair_the_longer_answer_counts(workspace, model):
    pair = Pair(
        prompt_id="p", prompt_ids=[2], chosen_index=0, rejected_index=1, chosen_ids=[5], rejected_ids=[6] * 6,
        chosen_logprobs=[], rejected_logprobs=[], chosen_reward=1.0, rejected_reward=0.0,
    )  # fmt: skip

    with pytest.raises(ValueError, match="prompt p has 7 tokens"):
        check_lengths(workspace.store, stored(workspace.store, [pair]), model(max_position_embeddings=6), None)


def test_a_model_that_does_not_say_is_trusted(workspace, rows, model):
    check_lengths(workspace.store, rows, model(), None)
