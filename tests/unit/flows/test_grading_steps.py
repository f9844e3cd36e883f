"""What the flow wants of `sample` beside the answers: their grades, where `grade` will look for them."""

import pytest
from flow_examples import small

from artifacts import Checkpoint, Prompt, Ref
from flows.steps import Steps
from tasks.grade import grade, rule_of
from tasks.sample import sample

POLICY = Checkpoint("/b", "b" * 64, 1)


def a_ref(kind, letters="ab"):
    return Ref(kind, letters * 32, rows=1, bytes=1, path=f"{kind}/{letters}/{letters * 32}")


@pytest.fixture
def steps(tmp_path, workspace, model_folder):
    config = small(tmp_path, model_folder, "grade={reward: seed_rule}")
    return lambda *refresh: Steps.of(config, workspace, frozenset(refresh))


def test_the_grades_are_handed_to_the_grade_stage_of_the_same_iteration(steps):
    ours, prompts, rollouts = steps(), a_ref("prompts"), a_ref("rollouts")

    along = ours.sample(2, POLICY, prompts)["along"]

    expected = {number: grade.at_work(**ours.grade(number, rollouts, prompts)).workdir for number in (1, 2)}
    assert along.workdir(rollouts) == expected[2] != expected[1]
    assert along.rule == rule_of(ours.config.grade)
    noted = ours.run.workspace.started_record(ours.config.name, "iteration 2 grade")
    assert noted.exists()  # so `odr gc` leaves that folder


@pytest.mark.parametrize("refresh", ["grade", "grade@2"])
def test_grades_that_are_to_be_made_anew_are_not_made_on_the_way(steps, refresh):
    ours = steps(refresh)

    assert ours.sample(2, POLICY, a_ref("prompts"))["along"] is None
    assert (ours.sample(1, POLICY, a_ref("prompts"))["along"] is None) == (refresh == "grade")


def test_who_wants_the_grades_changes_no_key(steps):
    arguments = steps().sample(2, POLICY, a_ref("prompts"))

    assert sample.key(**arguments) == sample.key(**{**arguments, "along": None})


def test_answers_of_benchmarks_are_graded_when_they_are_evaluated(steps):
    ours = steps()
    (decoding, *_), (sampling, *_) = zip(*ours.config.evaluate.decodings(ours.config.sample), strict=True)
    table: Ref[Prompt] = a_ref("prompts")

    assert "along" not in ours.benchmark_sample("base", POLICY, table, decoding, sampling)
