"""What the stage `score` has to make for an objective, and columns that do not go with the rows."""

import pytest
from task_examples import stored

from artifacts import Accepted, Pair, TokenScores
from tasks import objectives
from tasks.pairing.scored import check_scored, scored_columns
from tasks.settings import Training

A_PAIR = Pair(
    prompt_id="p", prompt_ids=[2], chosen_index=0, rejected_index=1, chosen_ids=[5, 1], rejected_ids=[6, 1],
    chosen_logprobs=[-1.0, -1.0], rejected_logprobs=[-1.0, -1.0], chosen_reward=1.0, rejected_reward=0.0,
)  # fmt: skip


def wanted(name, **training):
    return scored_columns(objectives.load(name), Training(**training))


def test_each_objective_gets_the_columns_it_reads():
    assert wanted("dpo") == ["ref_logprobs"]
    assert wanted("raft") == []
    assert wanted("grpo") == ["ref_logprobs"]
    assert wanted("grpo", old_logprobs="recomputed") == ["ref_logprobs", "old_logprobs"]
    assert wanted("ppo") == ["ref_logprobs", "values"]
    assert wanted("rto") == ["ref_logprobs", "values", "dpo_logprobs", "dpo_ref_logprobs"]


def test_recorded_log_probabilities_need_no_pass():
    assert wanted("dpo", reference_logprobs="recorded") == []


def test_a_grpo_without_kl_needs_no_reference():
    assert scored_columns(objectives.load("grpo", beta_kl=0.0), Training()) == []


@pytest.fixture
def store(workspace):
    return workspace.store


def scores(store, rows, *, of=None, model="m" * 64):
    made = TokenScores(
        prompt_id="p", sequence=0, scored_rows=of or rows.digest, model=model, values=[-1.0, -1.0]
    )  # fmt: skip
    other = TokenScores(prompt_id="p", sequence=1, scored_rows=made.scored_rows, model=model, values=[-1.0, -1.0])
    return stored(store, [made, other])


def check(store, rows, scored, reference="m" * 64, name="dpo"):
    check_scored(store, rows, objectives.load(name), Training(), scored, reference)


def test_fitting_columns_pass(store):
    rows = stored(store, [A_PAIR])

    check(store, rows, {"ref_logprobs": scores(store, rows)})


def test_a_missing_column_names_the_stage_that_makes_it(store):
    rows = stored(store, [A_PAIR])

    with pytest.raises(ValueError, match="dpo needs reference log-probabilities; make them with the task `score`"):
        check(store, rows, {})


def test_a_column_of_other_rows_is_refused(store):
    rows = stored(store, [A_PAIR])

    with pytest.raises(ValueError, match="ref_logprobs was made of the rows 000000000000, and these are"):
        check(store, rows, {"ref_logprobs": scores(store, rows, of="0" * 64)})


def test_a_reference_column_of_another_checkpoint_is_refused(store):
    rows = stored(store, [A_PAIR])

    with pytest.raises(ValueError, match="ref_logprobs is of checkpoint xxxxxxxxxxxx, and the reference policy is mmm"):
        check(store, rows, {"ref_logprobs": scores(store, rows, model="x" * 64)})


def test_equal_numbers_of_two_models_stay_two_artifacts(store):
    """A store keeps equal content once, with the first maker's name: the maker must be part of the content."""
    rows = stored(store, [A_PAIR])

    assert scores(store, rows, model="a" * 64).digest != scores(store, rows, model="b" * 64).digest


def test_what_needs_nothing_is_given_nothing(store):
    row = Accepted(prompt_id="p", sample_index=0, prompt_ids=[2], completion_ids=[5, 1], logprobs=[])

    check(store, stored(store, [row]), {}, reference=None, name="raft")
