"""From `objective=grpo` to what pairing and training are called with, and the table that lists the algorithms."""

import io
from pathlib import Path

import pytest
from flow_examples import small
from rich.console import Console
from test_steps_and_mirror import a_checkpoint, a_ref

from flows.config import BadConfig, load
from flows.objectives import objectives_table
from flows.plan import Planner
from flows.steps import Steps
from tasks import objectives

DEMO = Path(__file__).parents[3] / "configs" / "demo.yaml"
NAMES = [name for name in objectives.available() if objectives.find(name).trains == "policy"]
EVERY = dict.fromkeys(objectives.SCORED, a_ref("token_scores"))


def chosen(name: str, *fields: str) -> list[str]:
    """Overrides that a campaign with this objective cannot do without."""
    return [f"objective={name}", *fields, *(["token_reward={policy: a, reference: b}"] if name == "rto" else [])]


@pytest.fixture
def steps(tmp_path, workspace, model_folder):
    return lambda *overrides: Steps.of(small(tmp_path, model_folder, *overrides), workspace)


def trained(made: Steps):
    return made.train(2, a_checkpoint("b"), a_ref("rows"), a_checkpoint("a"), EVERY)


# --- naming an objective -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_every_objective_runs_the_demo_by_its_name_alone(name):
    config = load(DEMO, chosen(name))

    assert config.objective == {"name": name}
    assert config.loaded_objective().name == name


def test_hyperparameters_follow_by_their_dotted_names():
    config = load(DEMO, ["objective=grpo", "objective.beta_kl=1e-3", "objective.clip_eps=0.1"])

    assert config.loaded_objective() == objectives.load("grpo", beta_kl=0.001, clip_eps=0.1)


def test_a_hyperparameter_of_another_objective_is_named():
    with pytest.raises(BadConfig, match="objective grpo has no hyperparameter 'beta', did you mean 'beta_kl'"):
        load(DEMO, ["objective.name=grpo"])  # the demo's beta is DPO's


# --- the reference -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_the_reference_is_the_one_of_the_objectives_paper(steps, name):
    expected = {"previous": a_checkpoint("b"), "initial": a_checkpoint("a"), "none": None}

    assert trained(steps(*chosen(name)))["reference"] == expected[objectives.load(name).reference]


@pytest.mark.parametrize(("choice", "letter"), [("previous", "b"), ("initial", "a")])
@pytest.mark.parametrize("name", ["dpo", "grpo"])
def test_the_config_may_choose_another_reference(steps, name, choice, letter):
    assert trained(steps(f"objective={name}", f"reference={choice}"))["reference"] == a_checkpoint(letter)


@pytest.mark.parametrize("objective", ["simpo", "{name: grpo, beta_kl: 0}", "{name: rloo, kl_coef: 0}"])
def test_without_a_use_for_a_reference_none_is_loaded(steps, objective):
    assert trained(steps(f"objective={objective}", "reference=initial"))["reference"] is None


# --- rows --------------------------------------------------------------------------------------------------------


def test_groups_are_made_by_the_recipe_of_the_objective_unless_the_config_has_one(steps):
    def recipe(*overrides):
        return steps(*overrides).pair(1, a_ref("rollouts"), a_ref("grades"), a_checkpoint("b"))["pairing"].advantage

    assert recipe("objective=grpo") == "standardised"
    assert recipe("objective=dr_grpo") == "centred"
    assert recipe("objective=rloo") == "leave_one_out"
    assert recipe("objective=grpo", "pair.advantage=centred") == "centred"
    assert recipe("objective=dpo") is None


def test_objectives_with_the_same_rows_share_one_key_of_pairing(steps):
    from tasks.pair import pair

    def key(name):
        made = steps(f"objective={name}")
        return pair.key(**made.pair(1, a_ref("rollouts"), a_ref("grades"), a_checkpoint("b"))).digest

    assert key("dpo") == key("simpo") == key("nca")
    assert key("grpo") == key("gspo") == key("mdpo_on")
    assert len({key(name) for name in ("dpo", "raft", "grpo", "dr_grpo")}) == 4


def test_a_constant_length_is_the_sampling_budget_unless_it_is_given(steps):
    assert trained(steps("objective=dr_grpo", "sample.max_tokens=24"))["objective"]["max_tokens"] == 24
    given = trained(steps("objective={name: dr_grpo, max_tokens: 9}", "sample.max_tokens=24"))
    assert given["objective"]["max_tokens"] == 9
    assert trained(steps("objective=grpo"))["objective"] == {"name": "grpo"}


# --- settings that contradict an objective -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["objective=grop"], r"unknown objective 'grop', did you mean 'grpo'\?"),
        (["objective={name: 5}"], "unknown objective 5; known: brain"),
        (["objective={name: grpo, clip_eps: 2}"], "grpo needs 0 < clip_eps < 1"),
        (["objective={name: dpo, label_smoothing: 0.7}"], r"0 <= label_smoothing < 0\.5"),
        (
            ["objective=grpo", "sample.temperature=0.7"],
            r"grpo divides by the sampler's probabilities.*temperature=0\.7",
        ),
        (
            ["objective=gspo", "sample.top_p=0.9"],
            r"sample\.top_p=0\.9; set both to 1, or train\.old_logprobs=recomputed",
        ),
        (["objective=dpo", "train.max_kl=0.1"], "dpo has no such ratio"),
        (["objective=rloo", "pair.advantage=centred"], r"kl_coef exclude each other.*set objective\.kl_coef=0"),
        (["objective=grpo", "sample.samples_per_prompt=1"], "grpo trains on groups; set it to at least 2"),
        (["objective=brain", "sample.samples_per_prompt=1"], "brain trains on groups; set it to at least 2"),
        (["objective=dpo", "sample.samples_per_prompt=1"], "dpo trains on pairs; set it to at least 2"),
        (["warmup.train.max_kl=0.1"], r"warmup\.train\.max_kl is 0\.1, but nobody sampled the demonstrations"),
        (["warmup.train.order=easy_first"], r"warmup\.train\.order is 'easy_first'"),
        (["objective=[grpo]"], "objective: Input should be a valid dictionary"),
    ],
    ids=str,
)
def test_what_cannot_work_is_refused_before_anything_starts(overrides, message):
    with pytest.raises(BadConfig, match=message):
        load(DEMO, overrides)


@pytest.mark.parametrize(
    "overrides",
    [
        ["objective=grpo", "sample.temperature=0.7", "train.old_logprobs=recomputed"],
        ["objective=simpo", "sample.temperature=0.7"],
        ["objective=reinforce_pp", "sample.samples_per_prompt=1"],
        ["objective={name: rloo, kl_coef: 0}", "pair.advantage=centred"],
        ["objective=grpo", "train.max_kl=0.1"],
    ],
    ids=str,
)
def test_what_can_work_is_taken(overrides):
    assert load(DEMO, overrides)


# --- what a person sees ------------------------------------------------------------------------------------------


def test_the_plan_counts_groups(steps):
    lines = Planner(steps("objective=grpo", "iterations=1")).walk()

    (size,) = (line.size for line in lines if (line.label, line.stage) == ("iteration 1", "train"))
    assert size == "at most 4 groups, 2 steps of 2"


def test_the_table_has_a_line_for_every_objective():
    console = Console(width=240, record=True, file=io.StringIO())

    console.print(objectives_table())

    text = console.export_text()
    for name in NAMES:
        cls = objectives.find(name)
        (line,) = (line for line in text.splitlines() if line.split()[1:2] == [name])
        assert cls.rows in line
        assert cls.reference in line
        assert cls.about.paper.split()[0] in line
