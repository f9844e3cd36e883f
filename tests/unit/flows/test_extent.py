"""--refresh, --from-iteration and --stop-after: what they mean, and what `odr plan` shows of them."""

import json
import re

import pytest
from flow_examples import small

from artifacts import Prompt
from flows.extent import ITERATION, STOPS, is_finished, refreshed, stopping_point, until
from flows.plan import Line, Planner
from flows.steps import Steps
from tasks import records
from tasks.sample import sample


@pytest.fixture
def config(tmp_path, model_folder):
    return lambda *overrides: small(tmp_path, model_folder, "iterations=3", *overrides)


def plan_of(*finished, iterations=3):
    """A plan in which these labels are cached."""
    labels = ["base", *(f"iteration {n}" for n in range(1, iterations + 1))]
    lines = [Line("base", "model", "there", "")]
    for label in labels:
        stages = [stage for stage in ITERATION if stage in STOPS] if label != "base" else ["sample", "evaluate"]
        for stage in stages:
            done = label in finished or (label, stage) in finished
            lines.append(Line(label, stage, "cached" if done else "run", ""))
    return lines


def test_from_an_iteration_on_every_stage_of_it_and_later_ones_is_anew(config):
    anew = refreshed(config(), ["pair"], 2)

    assert anew[0] == "pair"
    assert set(anew[1:]) == {f"{stage}@{number}" for stage in ITERATION for number in (2, 3)}
    assert refreshed(config(), [], None) == ()


@pytest.mark.parametrize(("number", "has"), [(0, "iterations 1 to 3"), (4, "iterations 1 to 3")])
def test_an_iteration_that_the_config_lacks_is_refused(config, number, has):
    with pytest.raises(ValueError, match=f"--from-iteration {number}: small has {has}"):
        refreshed(config(), [], number)


@pytest.mark.parametrize(("name", "near"), [("trian", "train"), ("samples", "sample"), ("grades", "grade")])
def test_an_unknown_stage_names_the_nearest(config, name, near):
    message = f"{name}: no such stage; did you mean '{near}'? there are: demonstrate, sample, grade"

    with pytest.raises(ValueError, match=re.escape(f"--refresh {message}")):
        refreshed(config(), [name], None)
    with pytest.raises(ValueError, match=re.escape(f"--stop-after {message}")):
        stopping_point(config(), name, [])


def test_a_stage_unlike_any_other_is_refused_without_a_guess(config):
    with pytest.raises(ValueError, match=r"--refresh xyz: no such stage; there are: demonstrate"):
        refreshed(config(), ["xyz"], None)


@pytest.mark.parametrize(
    ("finished", "stop"),
    [
        ((), "pair@1"),
        (("base", "iteration 1"), "pair@2"),
        (
            ("base", "iteration 1", ("iteration 2", "sample"), ("iteration 2", "grade"), ("iteration 2", "pair")),
            "pair@2",
        ),
        (("base", "iteration 1", "iteration 2", "iteration 3"), ""),
    ],
)
def test_the_iteration_in_progress_is_the_first_that_is_not_finished(config, finished, stop):
    assert stopping_point(config(), "pair", plan_of(*finished)) == stop


def test_the_warm_up_has_a_stage_of_its_own(config, tmp_path):
    warm = f"warmup={{demonstrations: {{path: {tmp_path}/train.jsonl, solution: solution}}, train: {{}}}}"

    assert stopping_point(config(warm), "demonstrate", []) == "demonstrate@warm-up"
    with pytest.raises(ValueError, match="--stop-after demonstrate: small has no warm-up"):
        stopping_point(config(), "demonstrate", [])


def test_what_follows_the_stopping_point_is_shown_as_later():
    lines = until(plan_of("base"), "pair@1")

    assert [line.status for line in lines[:6]] == ["there", "cached", "cached", "run", "run", "run"]
    assert {line.status for line in lines[6:]} == {"later"}
    assert {line.why for line in lines[6:]} == {"after --stop-after pair"}
    assert until(plan_of("base"), "") == plan_of("base")


def test_a_campaign_is_finished_when_every_stage_is_cached():
    labels = ["base", "iteration 1", "iteration 2"]

    assert is_finished(plan_of(*labels, iterations=2))
    assert not is_finished(plan_of(*labels, iterations=3))
    assert not is_finished(plan_of("iteration 1", "iteration 2", ("base", "sample"), iterations=2))
    assert not is_finished([Line("base", "model", "missing", ""), *plan_of(*labels, iterations=2)[1:]])


@pytest.fixture
def finished_sample(tmp_path, workspace, model_folder):
    """The first iteration's answers are cached."""
    steps = Steps.of(small(tmp_path, model_folder), workspace)
    arguments = steps.sample(1, steps.base_model(), steps.prompts(1))
    fields = sample.key(**arguments).fields
    with workspace.store.writer(Prompt) as writer:  # any table will do
        writer.write_many(workspace.store.read(steps.prompts(1), Prompt))
    blob = json.dumps({"kind": "table", "ref": writer.ref.to_json()})
    workspace.cache.mkdir(parents=True, exist_ok=True)
    (workspace.cache / records.key_of(fields)).write_text(json.dumps({"result": blob}))
    records.finish(workspace, "small", "iteration 1 sample", fields)
    return lambda *refresh: Planner(Steps.of(steps.config, workspace, frozenset(refresh))).walk()


def test_the_plan_shows_what_a_refresh_of_one_iteration_does(finished_sample):
    def first(lines):
        return next((line.status, line.why) for line in lines if (line.label, line.stage) == ("iteration 1", "sample"))

    assert first(finished_sample()) == ("cached", "")
    assert first(finished_sample("sample@2")) == ("cached", "")
    assert first(finished_sample("sample@1")) == ("run", "refresh was asked for")
    assert first(finished_sample("sample")) == ("run", "refresh was asked for")
