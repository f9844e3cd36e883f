"""The arguments of each stage, and the names under which a campaign appears elsewhere."""

import json
import shutil

import pytest
from flow_examples import small
from hypothesis import given
from hypothesis import strategies as st

from artifacts import Checkpoint, Ref
from flows.mirror.parameters import campaign_key, flat_parameters
from flows.mirror.points import prefixed
from flows.steps import Steps, derive_seed
from tasks.models import ModelMissing


def a_ref(kind):
    return Ref(kind, "ab" * 32, rows=1, bytes=1, path=f"{kind}/ab/{'ab' * 32}")


def a_checkpoint(letter):
    return Checkpoint(f"/{letter}", letter * 64, 1)


# --- seeds -------------------------------------------------------------------------------------------------------


def test_derived_seeds_are_what_they_always_were():
    assert derive_seed(0, "prompts") == 2947910952
    assert derive_seed(3, "sample", 2) == 3109380448


@given(seed=st.integers(0, 2**40), iteration=st.integers(0, 1000))
def test_purposes_iterations_and_campaigns_have_their_own_seeds(seed, iteration):
    found = [derive_seed(seed, purpose, iteration) for purpose in ("sample", "grade", "pair", "train")]
    found += [derive_seed(seed, "sample", iteration + 1), derive_seed(seed + 1, "sample", iteration)]

    assert all(0 <= each < 2**32 for each in found)
    assert len(set(found)) == len(found)


# --- arguments ---------------------------------------------------------------------------------------------------


@pytest.fixture
def steps(tmp_path, workspace, model_folder):
    return lambda *overrides: Steps.of(small(tmp_path, model_folder, *overrides), workspace)


def test_the_reference_is_the_policy_at_the_start_of_the_iteration_or_of_the_campaign(steps):
    current, initial, rows = a_checkpoint("b"), a_checkpoint("a"), a_ref("pairs")

    scored = {"ref_logprobs": a_ref("token_scores")}
    assert steps().train(2, current, rows, initial, scored)["reference"] == current
    assert steps("reference=initial").train(2, current, rows, initial, scored)["reference"] == initial
    assert steps("objective={name: raft}").train(2, current, rows, initial, {})["reference"] is None


def test_each_column_is_scored_by_the_model_it_is_named_after(steps):
    current, initial, critic = a_checkpoint("b"), a_checkpoint("a"), a_checkpoint("c")

    assert steps().scorers(current, initial, critic) == {"ref_logprobs": current}
    assert steps("objective=raft").scorers(current, initial, critic) == {}
    assert steps("objective=ppo").scorers(current, initial, critic) == {"ref_logprobs": initial, "values": critic}
    recomputed = steps("objective=grpo", "train.old_logprobs=recomputed").scorers(current, initial, critic)
    assert recomputed == {"ref_logprobs": initial, "old_logprobs": current}


def test_recorded_reference_log_probabilities_need_no_scoring(steps):
    made = steps("train.reference_logprobs=recorded")

    assert made.scorers(a_checkpoint("b"), a_checkpoint("a"), None) == {}
    assert made.train(2, a_checkpoint("b"), a_ref("pairs"), a_checkpoint("a"), {})["scored"] == {}


def test_the_dpo_policy_of_rto_comes_with_a_reference_of_its_own(steps, model_folder, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(model_folder, other)
    (other / "note.txt").write_text("another folder", encoding="utf-8")
    section = f"token_reward={{policy: {model_folder}, reference: {other}}}"

    scorers = steps("objective=rto", section).scorers(a_checkpoint("b"), a_checkpoint("a"), a_checkpoint("c"))

    assert (scorers["dpo_logprobs"].path, scorers["dpo_ref_logprobs"].path) == (str(model_folder), str(other))


def test_models_that_the_config_names_are_found_before_anything_starts(steps, model_folder):
    judged = steps(f"reward_model={{model: {model_folder}, mean: 0, std: 1}}")

    assert [model.path for model in judged.named_models()] == [str(model_folder)]
    assert steps().named_models() == []
    with pytest.raises(ModelMissing, match="no model folder /no/such"):
        steps("objective=rto", f"token_reward={{policy: {model_folder}, reference: /no/such}}").named_models()


def test_the_critic_is_trained_on_the_same_rows_with_settings_of_its_own(steps):
    rows, critic = a_ref("groups"), a_checkpoint("c")
    made = steps("objective={name: ppo, lam: 0.5, clip_eps: 0.1}", "critic={learning_rate: 0.5}", "train.max_kl=9.0")
    scored = dict.fromkeys(("ref_logprobs", "values"), a_ref("token_scores"))

    arguments = made.train_critic(2, critic, rows, a_checkpoint("a"), scored)

    assert (arguments["policy"], arguments["rows"], arguments["scored"]) == (critic, rows, scored)
    assert arguments["objective"]["lam"] == 0.5  # the returns are the actor's
    assert "clip_eps" not in arguments["objective"]
    assert (arguments["training"].learning_rate, arguments["training"].max_kl) == (0.5, None)
    assert arguments["training"].batch_size == made.config.train.batch_size
    assert steps().critic_objective() is None


def test_a_model_of_a_campaign_is_named_by_its_iteration(steps, model_folder):
    made = steps()
    results = made.run.workspace.results("done")
    results.parent.mkdir(parents=True)
    rows = [{"policy": {"path": "/gone"}}, {"policy": {"path": str(model_folder)}}]
    results.write_text(json.dumps({"iterations": rows}), encoding="utf-8")

    assert made.named_model("done/1").path == str(model_folder)
    with pytest.raises(ValueError, match="campaign done has iterations 0 to 1, not 2"):
        made.named_model("done/2")


def test_the_rows_are_those_the_objective_wants(steps):
    rollouts, grades = a_ref("rollouts"), a_ref("grades")

    policy = a_checkpoint("b")
    made = [steps(f"objective={name}").pair(1, rollouts, grades, policy) for name in ("dpo", "raft", "grpo_process")]

    assert [arguments["rows"] for arguments in made] == ["pairs", "accepted", "groups"]
    # Only steps are found by tokens: elsewhere a policy in the key would make the same rows again.
    assert [arguments["tokenizer"] for arguments in made] == [None, None, policy]


def test_iterations_have_their_own_seeds_and_labels(steps):
    first, second = (steps().sample(number, a_checkpoint("a"), a_ref("prompts")) for number in (1, 2))

    assert first["seed"] != second["seed"]
    assert (first["run"].label, second["run"].label) == ("iteration 1", "iteration 2")


def test_iterations_take_different_prompts_until_all_were_used(steps, workspace):
    from artifacts import Prompt

    taken = [{p.prompt_id for p in workspace.store.read(steps().prompts(n), Prompt)} for n in (1, 2)]

    assert [len(part) for part in taken] == [4, 4]
    assert not taken[0] & taken[1]


def test_every_policy_is_examined_with_the_same_noise(steps):
    before, after = (steps().benchmark_samples("x", a_checkpoint(letter)) for letter in "ab")

    assert [decoding.key for decoding, _ in before] == ["exam/greedy", "exam/sampled"]
    assert [arguments["seed"] for _, arguments in before] == [arguments["seed"] for _, arguments in after]
    assert len({arguments["seed"] for _, arguments in before}) == 2


# --- names in MLflow ---------------------------------------------------------------------------------------------


@pytest.fixture
def config(tmp_path, model_folder):
    return lambda *overrides: small(tmp_path, model_folder, *overrides)


@pytest.mark.parametrize(
    "override", ["iterations=9", "machine.threads=7", "machine.devices=[0, 1]", "machine.micro_tokens=64"]
)
def test_more_iterations_or_another_machine_go_on_in_the_same_run(config, override):
    assert campaign_key(config(override)) == campaign_key(config())


@pytest.mark.parametrize(
    "override",
    ["seed=4", "train.learning_rate=1e-3", "sample.temperature=0.5", "objective={name: dpo, beta: 0.3}", "name=other"],
)
def test_another_recipe_is_another_run(config, override):
    assert campaign_key(config(override)) != campaign_key(config())


def test_the_key_names_the_campaign_and_fits_into_a_filter(config):
    key = campaign_key(config())

    assert key.startswith("small-")
    assert key.replace("-", "").isalnum()


def test_parameters_are_flat_and_hold_only_what_cannot_change(config):
    flat = flat_parameters(config("objective={name: dpo, beta: 0.2}"))

    assert flat["objective.beta"] == 0.2
    assert flat["sample.max_tokens"] == 8
    assert not [name for name in flat if name.startswith(("machine", "iterations"))]
    assert not [value for value in flat.values() if isinstance(value, dict)]
    assert flat == flat_parameters(config("objective={name: dpo, beta: 0.2}", "iterations=7", "machine.threads=3"))


def test_names_of_numbers_are_ones_that_mlflow_takes():
    assert prefixed("pair", {"answers: no verdict": 3, "all right": 2}) == {
        "pair/answers_no_verdict": 3.0,
        "pair/all_right": 2.0,
    }
