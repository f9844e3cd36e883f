"""Advantages and returns of PPO and RTO: published numbers, the double sum, what may not change them, mistakes."""

import json
import types
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks import objectives
from tasks.objectives import Rollouts, _gae
from tasks.objectives._gae import advantages_and_returns, dpo_rewards, gae, outcome_rewards
from tasks.objectives._rto_rewards import rto_rewards
from tests.vector_forms import flat, rollouts_of

GOLDEN = json.loads((Path(__file__).parents[2] / "golden" / "objective_vectors.json").read_text(encoding="utf-8"))
NUMBER = st.floats(-5, 5)
ANSWER = st.lists(st.tuples(NUMBER, NUMBER), min_size=1, max_size=8)
FACTOR = st.floats(0, 1)


def rollouts(seed=0, *, rewards=(1.0, 0.0, 0.5), gap=0.3, dtype=np.float64):
    """Ragged answers with everything that PPO and RTO read; old log-probs lie `gap` above the reference's."""
    rng = np.random.default_rng(seed)
    lengths = [1 + (i + seed) % 4 for i in range(len(rewards))]
    old, values, dpo, dpo_ref = ([(-2 * rng.random(n)).astype(dtype) for n in lengths] for _ in range(4))
    return Rollouts(
        rewards=np.array(rewards, np.float64),
        advantages=[np.full(n, 9, dtype) for n in lengths],
        old_logprobs=old,
        ref_logprobs=[each - dtype(gap) for each in old],
        values=[-each for each in values],
        dpo_logprobs=dpo,
        dpo_ref_logprobs=dpo_ref,
        groups=np.zeros(len(rewards), np.int64),
    )


def double_sum(rewards, values, gamma, lam):
    """A_t of the docstring, term by term."""
    behind = [*values, 0.0]
    deltas = [r + gamma * behind[t + 1] - behind[t] for t, r in enumerate(rewards)]
    return [sum((gamma * lam) ** (s - t) * deltas[s] for s in range(t, len(deltas))) for t in range(len(deltas))]


def to_go(rewards):
    return np.cumsum(np.asarray(rewards)[::-1])[::-1]


# --- the estimate --------------------------------------------------------------------------------------------------


@given(answer=ANSWER, gamma=FACTOR, lam=FACTOR)
def test_the_recursion_is_the_double_sum(answer, gamma, lam):
    rewards, values = (np.array(part) for part in zip(*answer, strict=True))

    assert gae(rewards, values, gamma, lam) == pytest.approx(double_sum(rewards, values, gamma, lam), abs=1e-9)


@given(answer=ANSWER)
def test_without_discount_and_decay_it_is_the_reward_to_go_less_the_value(answer):
    rewards, values = (np.array(part) for part in zip(*answer, strict=True))

    assert gae(rewards, values, 1.0, 1.0) == pytest.approx(to_go(rewards) - values, abs=1e-9)


@given(answer=ANSWER, gamma=FACTOR)
def test_with_full_decay_it_is_one_step_of_the_critic(answer, gamma):
    rewards, values = (np.array(part) for part in zip(*answer, strict=True))

    expected = rewards + gamma * np.append(values[1:], 0) - values
    assert gae(rewards, values, gamma, 0.0) == pytest.approx(expected, abs=1e-9)


@given(answer=ANSWER, gamma=FACTOR, lam=FACTOR)
def test_a_critic_that_is_right_leaves_no_advantage(answer, gamma, lam):
    rewards = np.array([reward for reward, _ in answer])
    values = np.array(double_sum(rewards, [0.0] * len(rewards), gamma, 1.0))

    assert gae(rewards, values, gamma, lam) == pytest.approx(np.zeros(len(rewards)), abs=1e-9)


@given(answer=ANSWER, constant=NUMBER, lam=FACTOR)
def test_raising_the_outcome_and_all_values_alike_changes_no_advantage(answer, constant, lam):
    rewards, values = (np.array(part) for part in zip(*answer, strict=True))
    raised = rewards.copy()
    raised[-1] += constant

    assert gae(raised, values + constant, 1.0, lam) == pytest.approx(gae(rewards, values, 1.0, lam), abs=1e-8)


@given(constant=NUMBER, seed=st.integers(0, 100), gamma=FACTOR, lam=FACTOR)
def test_a_constant_on_all_rewards_shifts_each_return_by_what_reaches_it(constant, seed, gamma, lam):
    table = rollouts(seed)
    raised = replace(table, rewards=table.rewards + constant)

    plain, other = (advantages_and_returns(outcome_rewards(t, 0.1), t, gamma, lam)[1] for t in (table, raised))

    for before, after in zip(plain, other, strict=True):
        reach = (gamma * lam) ** np.arange(len(before) - 1, -1, -1.0)
        assert after - before == pytest.approx(constant * reach, abs=1e-9)


@given(seed=st.integers(0, 100))
def test_an_answer_does_not_depend_on_the_others(seed):
    table = rollouts(seed, rewards=(1.0, 0.0, 0.5, -1.0))
    alone = replace(
        table,
        **{
            name: getattr(table, name)[2:3]
            for name in ("rewards", "advantages", "old_logprobs", "ref_logprobs", "values", "groups")
        },
    )

    of_all, of_one = (advantages_and_returns(outcome_rewards(t, 0.1), t, 1.0, 0.9) for t in (table, alone))

    assert of_all[0][2] == pytest.approx(of_one[0][0])
    assert of_all[1][2] == pytest.approx(of_one[1][0])


# --- rewards on tokens ---------------------------------------------------------------------------------------------


def test_the_outcome_stands_on_the_last_token_and_kl_on_every_one():
    table = rollouts(2, rewards=(1.0, -1.0), gap=0.5)  # lengths 3 and 4

    found = outcome_rewards(table, 0.1)

    assert found[0] == pytest.approx([-0.05, -0.05, 0.95])
    assert found[1] == pytest.approx([-0.05, -0.05, -0.05, -1.05])


def test_without_kl_no_reference_is_read():
    table = replace(rollouts(2, rewards=(1.0, -1.0)), ref_logprobs=None)

    assert flat([each.tolist() for each in outcome_rewards(table, 0.0)]) == [0, 0, 1, 0, 0, 0, -1]


def test_a_tokens_reward_is_bounded_after_scaling_and_the_outcome_at_ten():
    table = rollouts(1, rewards=(50.0,), gap=0.0)  # two tokens
    table = replace(table, dpo_logprobs=[np.array([-0.1, -3.0])], dpo_ref_logprobs=[np.array([-0.3, -0.5])])

    assert dpo_rewards(table, 0.1, 0.05)[0] == pytest.approx([0.02, -0.05])
    assert rto_rewards(table, 0.1, 0.05, 0.01)[0] == pytest.approx([0.02, 9.95])


def test_without_token_rewards_rto_is_ppo_up_to_the_normalisation():
    table = rollouts(3)
    ppo, rto = (
        objectives.load(name, kl_coef=0.05, **options).final_columns(table)
        for name, options in (("ppo_critic", {}), ("rto_critic", {"token_scale": 0.0}))
    )

    for a, b in zip(ppo["returns"], rto["returns"], strict=True):
        assert a == pytest.approx(b)


# --- final columns -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "ddof"), [("ppo", 1), ("rto", 0)])
def test_advantages_have_mean_0_and_deviation_1_over_all_tokens(name, ddof):
    tokens = np.concatenate(objectives.load(name).final_columns(rollouts(5))["advantages"])

    assert tokens.mean() == pytest.approx(0, abs=1e-6)
    assert tokens.std(ddof=ddof) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("name", ["ppo", "rto"])
def test_actor_and_critic_see_the_same_estimate(name):
    table = rollouts(7)
    actor = objectives.load(name, kl_coef=0.2, lam=0.8, gamma=0.9)
    critic = objectives.load(f"{name}_critic", kl_coef=0.2, lam=0.8, gamma=0.9)

    advantages = np.concatenate(actor.final_columns(table)["advantages"])
    raw = np.concatenate(critic.final_columns(table)["returns"]) - np.concatenate(table.values)

    assert advantages == pytest.approx((raw - raw.mean()) / raw.std(ddof=1 if name == "ppo" else 0), abs=1e-5)


@pytest.mark.parametrize("name", ["ppo", "rto"])
def test_one_token_alone_is_no_division_by_zero(name):
    table = rollouts(0, rewards=(1.0,))

    (advantages,) = objectives.load(name).final_columns(table)["advantages"]

    assert advantages.tolist() == [0.0]


@pytest.mark.parametrize("name", ["ppo_critic", "rto_critic"])
def test_returns_are_in_the_precision_of_the_values(name):
    for dtype in (np.float32, np.float64):
        returns = objectives.load(name).final_columns(rollouts(dtype=dtype))["returns"]
        assert {each.dtype for each in returns} == {np.dtype(dtype)}


# --- published numbers ---------------------------------------------------------------------------------------------


def published(name, file=_gae):
    """Token rewards, raw advantages and returns of an entry."""
    entry = GOLDEN[name]
    table, params = rollouts_of(entry["inputs"]), entry["params"]
    if name == "ppo":
        rewards = file.outcome_rewards(table, params["kl_coef"])
    else:
        tokens = file.dpo_rewards(table, params["beta1_dpo_reward_scale"], params["dpo_reward_clip"])
        outcome = file.outcome_rewards(table, params["beta2_kl_coef"])
        rewards = [a + b for a, b in zip(tokens, outcome, strict=True)]
    return rewards, *file.advantages_and_returns(rewards, table, params["gamma"], params["lam"])


@pytest.mark.parametrize("name", ["ppo", "rto"])
def test_rewards_advantages_and_returns_are_the_published_ones(name):
    expected = GOLDEN[name]["expected"]

    for found, key in zip(published(name), ("token_rewards", "gae_raw", "returns"), strict=True):
        assert np.concatenate(found).tolist() == pytest.approx(flat(expected[key]), abs=1e-9)


def test_normalised_advantages_are_the_published_ones():
    ppo, rto = (
        objectives.load(name, kl_coef=coef).final_columns(rollouts_of(GOLDEN[name]["inputs"]))["advantages"]
        for name, coef in (("ppo", 0.05), ("rto", 0.01))
    )

    assert np.concatenate(ppo) == pytest.approx(flat(GOLDEN["ppo"]["expected"]["advantages_whitened"]), abs=1e-6)
    assert np.concatenate(rto) == pytest.approx(flat(GOLDEN["rto"]["expected"]["advantages"]), abs=1e-6)


# --- planted mistakes ----------------------------------------------------------------------------------------------

MISTAKES = [
    ("gamma * following", "following"),
    ("gamma * lam * carried", "lam * carried"),
    ("gamma * lam * carried", "gamma * carried"),
    ("np.append(values_C[1:], 0.0)", "np.append(values_C[1:], values_C[-1])"),
    ("- values_C", "+ values_C"),
    ("rewards[-1] += outcome", "rewards[0] += outcome"),
    ("rewards[-1] += outcome", "rewards += outcome"),
    ("-kl_coef * (old", "kl_coef * (old"),
    ("np.clip(scale * (dpo.astype(np.float64) - ref), -bound, bound)",
     "scale * np.clip(dpo.astype(np.float64) - ref, -bound, bound)"),
    ("(advantage + value)", "(advantage)"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new"), MISTAKES)
def test_a_planted_mistake_is_seen(old, new):
    source = Path(_gae.__file__).read_text(encoding="utf-8")
    assert old in source
    mutated = types.ModuleType("tasks.objectives._gae")
    exec(compile(source.replace(old, new), "_gae.py", "exec"), mutated.__dict__)
    rewards, values = np.array([0.3, -0.2, 1.0]), np.array([0.5, 0.1, -0.4])

    same = mutated.gae(rewards, values, 0.7, 0.6) == pytest.approx(double_sum(rewards, values, 0.7, 0.6))
    for name in ("ppo", "rto"):
        for found, key in zip(published(name, mutated), ("token_rewards", "gae_raw", "returns"), strict=True):
            same &= np.concatenate(found).tolist() == pytest.approx(flat(GOLDEN[name]["expected"][key]), abs=1e-6)

    assert not same
