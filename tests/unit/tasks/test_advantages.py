"""What is made of the rewards of a group: published numbers, a plain formula, and what may not change anything."""

import json
import statistics
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tasks import objectives
from tasks.objectives import Rollouts
from tasks.pairing.advantages import NEED_CONTRAST, Moments, advantages
from tasks.settings import Pairing

GOLDEN = json.loads((Path(__file__).parents[2] / "golden" / "objective_vectors.json").read_text(encoding="utf-8"))
REWARDS = st.lists(st.floats(-10, 10), min_size=2, max_size=12)


def made(kind, rewards, **options):
    return advantages(kind, rewards, [reward > 0.5 for reward in rewards], **options)


def test_one_right_answer_of_three_has_the_published_advantages():
    expected, rewards = GOLDEN["grpo_outcome"]["expected"], GOLDEN["grpo_outcome"]["inputs"]["rewards"]

    assert made("standardised", rewards) == pytest.approx(expected["advantages"], abs=1e-9)
    assert made("standardised", rewards, eps=1e-6) == pytest.approx(
        expected["advantages_ddof1_eps1e-6_(verl)"], abs=1e-9
    )
    population = made("standardised", rewards, ddof=0, eps=0)
    assert population == pytest.approx(expected["advantages_ddof0_eps0_(population)"], abs=1e-9)
    assert made("centred", rewards) == pytest.approx(expected["advantages_no_std_(Dr.GRPO)"], abs=1e-9)


def test_raft_pp_keeps_the_right_answers_only():
    vector = GOLDEN["raft_pp"]

    assert made("positive", vector["inputs"]["rewards"]) == vector["expected"]["advantages"]


@given(rewards=REWARDS)
def test_the_formulas_are_those_of_the_docstring(rewards):
    assume(max(rewards) - min(rewards) > 1e-3)
    mean, deviation = statistics.fmean(rewards), statistics.stdev(rewards)
    others = [statistics.fmean([*rewards[:i], *rewards[i + 1 :]]) for i in range(len(rewards))]

    assert made("centred", rewards) == pytest.approx([r - mean for r in rewards])
    assert made("standardised", rewards, eps=0.1) == pytest.approx([(r - mean) / (deviation + 0.1) for r in rewards])
    assert made("leave_one_out", rewards) == pytest.approx([r - o for r, o in zip(rewards, others, strict=True)])
    assert made("reward", rewards) == made("whitened", rewards) == rewards
    assert made("right", rewards) == [float(reward > 0.5) for reward in rewards]


@pytest.mark.parametrize("kind", NEED_CONTRAST)
@given(rewards=REWARDS, constant=st.floats(-100, 100))
def test_a_constant_added_to_all_rewards_changes_nothing(kind, rewards, constant):
    assume(max(rewards) - min(rewards) > 1e-3)

    assert made(kind, [r + constant for r in rewards]) == pytest.approx(made(kind, rewards), abs=1e-8)


@pytest.mark.parametrize("kind", NEED_CONTRAST)
@given(reward=st.floats(-10, 10), count=st.integers(2, 20))
def test_a_group_of_equal_rewards_has_advantage_exactly_zero(kind, reward, count):
    assert made(kind, [reward] * count, eps=0.0) == [0.0] * count


@pytest.mark.parametrize("kind", NEED_CONTRAST)
@given(rewards=REWARDS)
def test_advantages_of_a_group_balance(kind, rewards):
    assert sum(made(kind, rewards)) == pytest.approx(0, abs=1e-7)


@given(rewards=REWARDS, constant=st.floats(-100, 100), lengths=st.lists(st.integers(1, 50), min_size=12, max_size=12))
def test_whitened_tokens_have_mean_0_and_deviation_1_whatever_is_added(rewards, constant, lengths):
    assume(max(rewards) - min(rewards) > 1e-2)
    answers = list(zip(rewards, lengths, strict=False))
    moments, shifted = Moments(), Moments()
    for reward, tokens in answers:
        moments.add(reward, tokens)
        shifted.add(reward + constant, tokens)

    found = np.repeat([moments.whiten(reward) for reward, _ in answers], [tokens for _, tokens in answers])

    assert found.mean() == pytest.approx(0, abs=1e-6)
    assert found.std() == pytest.approx(1, abs=1e-4)
    for reward, _ in answers:
        assert shifted.whiten(reward + constant) == pytest.approx(moments.whiten(reward), abs=1e-6)


def test_the_settings_offer_the_recipes_there_are():
    from typing import get_args

    offered = get_args(Pairing.model_fields["advantage"].annotation)

    assert set(get_args(offered[0])) == set(get_args(objectives.Advantage))
    assert {objectives.find(name).advantage for name in objectives.available()} - {None} == set(get_args(offered[0]))


# --- KL in the reward, which is known when the reference has scored the table ------------------------------------


def rollouts(rewards, groups, *, gap=0.0, seed=0):
    """Answers whose old log-probs lie `gap` above the reference's, on every token."""
    rng = np.random.default_rng(seed)
    old = [-rng.random(2 + i % 3).astype(np.float32) for i in range(len(rewards))]
    return Rollouts(
        rewards=np.array(rewards, dtype=np.float64),
        advantages=[np.full(len(each), 9, np.float32) for each in old],
        old_logprobs=old,
        ref_logprobs=[each - np.float32(gap) for each in old],
        groups=np.array(groups),
    )


def test_rloo_takes_the_kl_of_the_whole_answer_off_the_reward():
    rows = rollouts([1.0, 0.0, 0.0, 1.0], [5, 5, 5, 7], gap=0.5)  # lengths 2, 3, 4, 2

    found = objectives.load("rloo", kl_coef=0.1).final_columns(rows)["advantages"]

    shaped = [1 - 0.1, -0.15, -0.2]
    expected = [shaped[0] - (shaped[1] + shaped[2]) / 2, shaped[1] - (shaped[0] + shaped[2]) / 2]
    assert [each[0] for each in found[:2]] == pytest.approx(expected, abs=1e-6)
    assert [len(each) for each in found] == [2, 3, 4, 2]
    assert (found[0] == found[0][0]).all()


def test_reinforce_pp_takes_the_kl_to_go_off_the_reward_and_whitens_all_tokens():
    rows = rollouts([1.0, 0.0], [0, 0], gap=0.5)

    found = objectives.load("reinforce_pp", kl_coef=0.1).final_columns(rows)["advantages"]

    raw = np.array([1 - 0.1, 1 - 0.05, -0.15, -0.1, -0.05])
    assert np.concatenate(found) == pytest.approx((raw - raw.mean()) / raw.std(), abs=1e-5)


@pytest.mark.parametrize(("name", "kind"), [("rloo", "leave_one_out"), ("reinforce_pp", "whitened")])
def test_where_policy_and_reference_agree_the_advantages_are_those_of_the_table(name, kind):
    rewards = [1.0, 0.0, 0.0, 1.0]
    rows = rollouts(rewards, [0, 0, 0, 0])
    made_of_rewards = made(kind, rewards)
    if kind == "whitened":
        moments = Moments()
        for reward, tokens in zip(rewards, rows.advantages, strict=True):
            moments.add(reward, len(tokens))
        made_of_rewards = [moments.whiten(reward) for reward in rewards]

    found = objectives.load(name, kl_coef=0.1).final_columns(rows)["advantages"]

    assert [each[0] for each in found] == pytest.approx(made_of_rewards, abs=1e-5)


@pytest.mark.parametrize("name", ["rloo", "reinforce_pp"])
def test_a_constant_reward_changes_nothing_with_kl_in_the_reward_either(name):
    plain, raised = (rollouts([1 + c, 0 + c, 0.5 + c], [0, 0, 0], gap=0.3) for c in (0, 40))
    objective = objectives.load(name, kl_coef=0.2)

    for a, b in zip(
        objective.final_columns(plain)["advantages"], objective.final_columns(raised)["advantages"], strict=True
    ):
        assert a == pytest.approx(b, abs=1e-5)


@pytest.mark.parametrize("name", ["rloo", "reinforce_pp", "grpo"])
def test_without_kl_in_the_reward_the_table_has_the_last_word(name):
    options = {} if name == "grpo" else {"kl_coef": 0.0}
    rows = rollouts([1.0, 0.0], [0, 0])

    assert objectives.load(name, **options).final_columns(rows) == {}
