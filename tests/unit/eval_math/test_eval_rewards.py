"""Rewards and their names."""

import pytest

from eval_math import Policy, Reason, grade, rewards
from eval_math.verdict import Grade

REWARD = Policy.reward()
UNKNOWN = Grade(None, Reason.GOLD_UNREADABLE, 0)


@pytest.mark.parametrize(
    ("response", "boxed_correct", "seed_rule"),
    [(r"\boxed{5}", 1.0, 1.0), (r"\boxed{6}", 0.0, -0.5), ("5", 0.0, -1.0), (r"\boxed{}", 0.0, -1.0),
     (r"<think>\boxed{5}", 0.0, -1.0), ("", 0.0, -1.0)],
)  # fmt: skip
def test_the_reward_of_a_response(response: str, boxed_correct: float, seed_rule: float) -> None:
    verdict = grade(response, "5", REWARD)

    assert rewards.boxed_correct(verdict, response) == boxed_correct
    assert rewards.seed_rule(verdict, response) == seed_rule


@pytest.mark.parametrize("name", rewards.names())
def test_no_verdict_is_no_reward(name: str) -> None:
    assert rewards.load(name)(UNKNOWN, r"\boxed{5}") is None


def test_a_reward_is_loaded_by_name_or_by_module_and_function() -> None:
    assert rewards.load("seed_rule") is rewards.seed_rule
    assert rewards.load("eval_math.rewards:boxed_correct") is rewards.boxed_correct


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("seed_rul", "did you mean 'seed_rule'"),
        ("zzz", "unknown reward 'zzz'"),
        ("no_such_module:f", "cannot import module 'no_such_module'"),
        ("eval_math.rewards:boxed_corect", "did you mean 'boxed_correct'"),
        ("eval_math.rewards:__doc__", "has no function"),
        (":f", "cannot import module ''"),
    ],
)
def test_an_unknown_name_is_an_error_that_names_the_nearest(name: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        rewards.load(name)
