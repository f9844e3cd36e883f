"""One example config per algorithm: it holds every hyperparameter and loads over the demo."""

import dataclasses
from pathlib import Path

import pytest
import yaml

from flows.config import load_fields
from tasks import objectives

CONFIGS = Path(__file__).parents[3] / "configs"
TRAINING_A_POLICY = [name for name in objectives.available() if objectives.find(name).trains == "policy"]
SCALE_FREE = {"name", "objective", "iterations", "reference", "sample", "pair", "train", "token_reward"}
"""What is no matter of the model's size; learning rates are, and stay the base config's."""


def read(name):
    return yaml.safe_load((CONFIGS / "objectives" / f"{name}.yaml").read_text(encoding="utf-8"))


def test_there_is_one_for_every_algorithm():
    assert sorted(path.stem for path in (CONFIGS / "objectives").glob("*.yaml")) == TRAINING_A_POLICY


@pytest.mark.parametrize("name", TRAINING_A_POLICY)
def test_it_loads_over_the_demo(name):
    demo = yaml.safe_load((CONFIGS / "demo.yaml").read_text(encoding="utf-8"))
    example = read(name)
    merged = {
        key: {**demo.get(key, {}), **value} if isinstance(value, dict) and key != "objective" else value
        for key, value in example.items()
    }

    config = load_fields({**demo, **merged}, [], name)

    assert config.loaded_objective().name == config.name == name
    assert config.train.learning_rate == demo["train"]["learning_rate"]
    assert set(example) <= SCALE_FREE


@pytest.mark.parametrize("name", TRAINING_A_POLICY)
def test_it_lists_every_hyperparameter_with_its_default(name):
    fields = {field.name: field.default for field in dataclasses.fields(objectives.find(name))}

    listed = read(name)["objective"]

    assert listed.pop("name") == name
    assert listed == {key: default for key, default in fields.items() if default is not None}
