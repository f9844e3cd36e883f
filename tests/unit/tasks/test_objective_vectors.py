"""The published vectors through the registered objectives, however the same numbers are laid out."""

import json
from pathlib import Path

import pytest
import torch

from tasks import objectives
from tasks.objectives import Batch
from tests import vectors
from tests.vectors import Layout, case_of, differences, entries

GOLDEN = Path(__file__).parents[2] / "golden" / "objective_vectors.json"
ENTRIES = entries(GOLDEN)
WITH_LOSS = [name for name, entry in ENTRIES.items() if case_of(name, entry)]


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("extra_width", [0, 5])
@pytest.mark.parametrize("name", WITH_LOSS)
def test_loss_and_gradient_are_those_of_the_vector(name, extra_width, backwards):
    loss, gradient = differences(name, ENTRIES[name], Layout(extra_width, backwards))

    assert loss < 1e-6
    assert gradient < 1e-6


@pytest.mark.parametrize("name", WITH_LOSS)
def test_single_precision_is_near(name):
    loss, gradient = differences(name, ENTRIES[name], Layout(dtype=torch.float32))

    assert loss < 1e-4
    assert gradient < 1e-4


def test_only_data_steps_are_left_out():
    without = {name: entry["reduction"] for name, entry in ENTRIES.items() if name not in WITH_LOSS}

    assert len(WITH_LOSS) == 27
    assert all("data step" in words for words in without.values()), without


def test_an_entry_with_a_strange_name_is_known_by_its_card():
    renamed = {name: case_of(f"v{i}", ENTRIES[name]) for i, name in enumerate(WITH_LOSS) if ENTRIES[name]["card"]}

    same = {name for name, case in renamed.items() if case and case == case_of(name, ENTRIES[name])}

    assert same == set(WITH_LOSS)


@pytest.mark.parametrize("name", ["drpo", "mdpo_off_policy", "dapo_direct_advantage", "diffusion_dpo_eps", "seppo"])
def test_other_algorithms_are_not_mistaken_for_ours(name):
    entry = {"card": name.upper(), "inputs": {}, "expected": {"grad": {"policy_logps": []}}}

    assert case_of(name, entry) is None


def test_several_pairs_of_logits_are_a_batch_like_one():
    one = ENTRIES["tdpo1"]
    twice = {
        **one,
        "inputs": {name: [values, values] for name, values in one["inputs"].items()},
        "expected": {
            "loss": one["expected"]["loss"],
            "grad": {
                name: [[[x / 2 for x in token] for token in rows]] * 2 for name, rows in one["expected"]["grad"].items()
            },
        },
    }

    assert max(differences("tdpo1", twice, Layout(2, True))) < 1e-9


@pytest.mark.parametrize(("alpha", "expected"), [(None, "tdpo1"), (0.5, "tdpo2")])
def test_one_card_of_two_losses_is_told_apart_by_its_parameters(alpha, expected):
    case = case_of("v1", {**ENTRIES["tdpo1"], "params": {"beta": 0.1, "alpha": alpha}})

    assert case is not None
    assert case.objective == expected


@pytest.mark.parametrize(
    ("name", "key"),
    [("ppo", "token_rewards"), ("ppo", "returns"), ("rto", "gae_raw"), ("rto", "advantages"), ("ppo", "value_loss")],
)
def test_what_an_entry_lists_beside_its_loss_is_compared(name, key):
    entry = json.loads(json.dumps(ENTRIES[name]))
    listed = entry["expected"]
    if isinstance(listed[key], list):
        listed[key][0][0] += 0.1
    else:
        listed[key] += 0.1

    assert max(differences(name, entry)) == pytest.approx(0.1, abs=1e-6)


def test_an_entry_that_brings_its_advantages_needs_no_critic():
    entry = json.loads(json.dumps(ENTRIES["ppo"]))
    expected = entry["expected"]
    entry["inputs"]["advantages"] = expected["advantages_whitened"]
    entry["expected"] = {"loss": expected["policy_loss"], "grad": {"policy_logps": expected["grad"]["policy_logps"]}}
    del entry["inputs"]["values"], entry["inputs"]["old_values"]

    assert max(differences("ppo", entry)) < 1e-9


def test_the_published_reward_model_example_is_ours():
    example = ENTRIES["grpo_iterative"]["expected"]["rm_pairwise_example"]
    scores = torch.tensor([[7.0, each] for pair in zip(example["chosen"], example["rejected"], strict=True)
                           for each in pair], dtype=torch.float64, requires_grad=True)  # fmt: skip
    batch = Batch(
        logprobs=torch.zeros(4, 2), mask=torch.ones(4, 2), weights=torch.ones(4), num_items=2.0, num_sequences=4.0,
        num_tokens=8.0, predicted=scores,
    )  # fmt: skip

    value = objectives.load("reward_model").loss(batch).value
    (slope,) = torch.autograd.grad(value, scores)

    assert value.item() == pytest.approx(example["loss"], abs=1e-9)
    assert slope[0::2, 1].tolist() == pytest.approx(example["grad_chosen"], abs=1e-9)
    assert not slope[:, 0].any()


# --- the command -------------------------------------------------------------------------------------------------


def test_the_command_lists_every_entry_and_counts_what_it_skips(capsys):
    assert vectors.main([str(GOLDEN)]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[: len(WITH_LOSS)]] == WITH_LOSS
    assert "27 entries replayed; 4 skipped" in lines[-2]
    assert "rft_filter" in lines[-1]


def test_the_command_fails_on_the_first_difference(tmp_path, capsys):
    content = {"vectors": {"simpo": ENTRIES["simpo"], "dpo": {**ENTRIES["dpo"]}, "nca": ENTRIES["light_r1_nca"]}}
    content["vectors"]["dpo"]["expected"] = {**ENTRIES["dpo"]["expected"], "loss": 0.7}
    path = tmp_path / "others.json"
    path.write_text(json.dumps(content), encoding="utf-8")

    assert vectors.main([str(path)]) == 1

    printed = capsys.readouterr().out
    assert "FAILED: dpo differs by more than 1e-06" in printed
    assert "nca" not in printed


@pytest.mark.parametrize("place", [0, 2])
def test_a_gradient_that_is_no_number_is_a_difference(tmp_path, capsys, place):
    entry = json.loads(json.dumps(ENTRIES["simpo"]))
    entry["expected"]["grad"]["policy_chosen_logps"][0][place] = float("nan")
    path = tmp_path / "others.json"
    path.write_text(json.dumps({"simpo": entry}), encoding="utf-8")

    assert vectors.main([str(path)]) == 1
    assert "FAILED: simpo" in capsys.readouterr().out


def test_the_command_without_a_file_says_how_it_is_used(capsys):
    assert vectors.main(["nowhere.json"]) == 2
    assert "usage: python -m tests.vectors FILE.json" in capsys.readouterr().err
