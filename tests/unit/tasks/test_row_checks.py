"""Rows that an objective cannot be trained on are refused before a child starts, in one sentence."""

from dataclasses import replace

import pytest
from task_examples import stored
from test_group_batches import accepted, groups, pairs

from artifacts import Store
from tasks import objectives
from tasks.pairing.checks import check_rows
from tasks.settings import Training


@pytest.fixture
def refusal(tmp_path):
    def check(name, rows, *, has_reference=True, old="recorded", **options):
        store = Store(tmp_path / "store")
        check_rows(
            store, stored(store, rows), objectives.load(name, **options), Training(old_logprobs=old), has_reference
        )

    return check


def test_what_pair_makes_is_taken(refusal):
    refusal("dpo", pairs(3))
    refusal("raft", accepted(3), has_reference=False)
    refusal("grpo", groups([2, 3]))
    refusal("brain", groups([2, 3]))
    refusal("ppo", groups([1, 1]))
    refusal("rto_critic", groups([1, 1]))
    refusal("reward_model", pairs(2), has_reference=False)


@pytest.mark.parametrize(
    ("name", "rows", "message"),
    [
        (
            "grpo",
            pairs(2),
            "grpo trains on groups, found pairs; make groups of the graded rollouts with the task `pair`",
        ),
        ("dpo", groups([2]), "dpo trains on pairs, found groups"),
        ("raft", pairs(2), "raft trains on accepted, found pairs"),
    ],
)
def test_another_kind_of_rows_is_refused(refusal, name, rows, message):
    with pytest.raises(ValueError, match=message):
        refusal(name, rows)


def test_an_objective_with_a_reference_needs_one(refusal):
    with pytest.raises(ValueError, match="dpo needs reference log-probabilities, and there is no reference policy"):
        refusal("dpo", pairs(1), has_reference=False)
    with pytest.raises(ValueError, match="tdpo1 needs reference log-probabilities, and there is no reference policy"):
        refusal("tdpo1", pairs(1), has_reference=False)
    refusal("grpo", groups([2]), has_reference=False, beta_kl=0.0)
    refusal("ppo_critic", groups([2]), has_reference=False, kl_coef=0.0)


@pytest.mark.parametrize(("chosen", "rejected"), [(0.5, 0.5), (0.0, 1.0), (float("nan"), 0.0)])
def test_a_pair_whose_chosen_answer_is_not_better_is_refused(refusal, chosen, rejected):
    rows = [*pairs(2), replace(pairs(3)[2], chosen_reward=chosen, rejected_reward=rejected)]

    with pytest.raises(ValueError, match=rf"a pair of prompt p2 has reward {chosen:g} for the chosen answer"):
        refusal("dpo", rows)


def test_a_reward_that_is_no_number_is_refused(refusal):
    rows = groups([3])
    rows[1] = replace(rows[1], reward=float("nan"))

    with pytest.raises(
        ValueError, match="the reward of prompt p0, sample 1 is nan: rewards are made by the task `grade`"
    ):
        refusal("grpo", rows)


def test_a_missing_column_is_named_with_the_task_that_makes_it(refusal):
    rows = groups([3])
    without_old = [rows[0], replace(rows[1], logprobs=[]), rows[2]]
    without_advantages = [rows[0], rows[1], replace(rows[2], advantages=[])]

    with pytest.raises(
        ValueError, match=r"grpo needs the sampler's log-probabilities .* has 0 for .* the task `sample`"
    ):
        refusal("grpo", without_old)
    with pytest.raises(ValueError, match=r"rft needs advantages .*sample 2 has 0 for .* the task `pair`"):
        refusal("rft", without_advantages)
    refusal("rft", without_old)
    refusal("grpo", without_old, old="recomputed")


def test_an_advantage_that_is_no_number_is_refused(refusal):
    rows = groups([2])
    rows[0] = replace(rows[0], advantages=[float("inf")] * len(rows[0].advantages))

    with pytest.raises(ValueError, match="advantages of a group are not all finite numbers"):
        refusal("grpo", rows)
