"""The stage `reward`: a reward model's score joins the rule's reward."""

import pytest
from task_examples import a_grade, stored

from artifacts import Grade, TokenScores
from tasks.reward import reward
from tasks.settings import RewardModel

BLEND = RewardModel(model="rm", mean=2.0, std=4.0, weight=0.5, rule_weight=3.0)


def scored(name, sequence, values):
    return TokenScores(prompt_id=name, sequence=sequence, scored_rows="0" * 64, model="1" * 64, values=values)


def blended(run, grades, scores):
    store = run.workspace.store
    found = reward.fn(stored(store, grades), stored(store, scores), BLEND, run)
    return list(store.read(found, Grade))


def test_the_score_after_the_last_token_counts_in_the_stored_scale(run):
    grades = [a_grade(), a_grade(index=1, correct=False, reward=0.0)]

    found = blended(run, grades, [scored("p0", 0, [9.0, 6.0]), scored("p0", 1, [-2.0])])

    assert [grade.reward for grade in found] == pytest.approx([3 * 1 + 0.5 * 1.0, 0 + 0.5 * -1.0])
    assert [(g.correct, g.reason, g.answer) for g in found] == [(g.correct, g.reason, g.answer) for g in grades]


def test_what_has_no_reward_gets_none(run):
    found = blended(run, [a_grade(correct=None, reward=None)], [scored("p0", 0, [6.0])])

    assert found[0].reward is None


def test_scores_of_other_rollouts_are_refused(run):
    with pytest.raises(ValueError, match="other rollouts than the grades: at prompt p0"):
        blended(run, [a_grade()], [scored("q", 0, [6.0])])
