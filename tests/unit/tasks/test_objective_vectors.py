"""The published vectors through the registered objectives, however the same numbers are laid out."""

import json
from pathlib import Path

import pytest
import torch

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

    assert len(WITH_LOSS) == 22
    assert all("data step" in words for words in without.values()), without


def test_an_entry_with_a_strange_name_is_known_by_its_card():
    renamed = {name: case_of(f"v{i}", ENTRIES[name]) for i, name in enumerate(WITH_LOSS) if ENTRIES[name]["card"]}

    same = {name for name, case in renamed.items() if case and case == case_of(name, ENTRIES[name])}

    assert same == set(WITH_LOSS)


@pytest.mark.parametrize(
    "name", ["ppo", "rto", "drpo", "tdpo1", "grpo_process", "mdpo_off_policy", "dapo_direct_advantage"]
)
def test_other_algorithms_are_not_mistaken_for_ours(name):
    entry = {"card": name.upper(), "inputs": {}, "expected": {"grad": {"policy_logps": []}}}

    assert case_of(name, entry) is None


# --- the command -------------------------------------------------------------------------------------------------


def test_the_command_lists_every_entry_and_counts_what_it_skips(capsys):
    assert vectors.main([str(GOLDEN)]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[: len(WITH_LOSS)]] == WITH_LOSS
    assert "22 entries replayed; 4 skipped" in lines[-2]
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
