"""A config says what will run, and every mistake in one is answered with its place and its remedy."""

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from flows.config import BadConfig, RunConfig, load, load_fields

ROOT = Path(__file__).parents[3]
CONFIGS = sorted((ROOT / "configs").glob("*.yaml"))
DEEPSPEED = sorted((ROOT / "configs" / "deepspeed").glob("*.json"))
SEVEN_B = [path for path in CONFIGS if "7b" in path.name]
MINIMAL = "name: small\nmodel: some/folder\nprompts: {path: train.jsonl}\n"


@pytest.fixture
def config(tmp_path: Path):
    """Write a YAML text and return its path."""

    def write(text: str) -> Path:
        path = tmp_path / "run.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def refusal(path: Path, *overrides: str) -> str:
    with pytest.raises(BadConfig) as caught:
        load(path, list(overrides))
    return str(caught.value)


# ------------------------------------------------------------------------------------------ the files we ship


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_every_config_loads(path: Path) -> None:
    assert load(path).name


def test_the_published_recipes_are_there() -> None:
    assert {path.stem for path in SEVEN_B} == {"dpo_r1_zero_7b", "raft_r1_zero_7b", "dpo_r1_7b_after_sft"}


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_no_key_stands_twice(path: Path) -> None:
    """YAML would take the last one without a word."""
    document = yaml.compose(path.read_text(encoding="utf-8"))
    queue: list[Any] = [document]
    while queue:
        node = queue.pop()
        if isinstance(node, yaml.MappingNode):
            keys = [key.value for key, _ in node.value]
            assert len(keys) == len(set(keys)), keys
            queue += [value for _, value in node.value]
        elif isinstance(node, yaml.SequenceNode):
            queue += node.value


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_a_config_survives_being_written_down(path: Path) -> None:
    config = load(path)

    assert RunConfig.model_validate(config.model_dump(mode="json")) == config


@pytest.mark.parametrize("path", [path for path in SEVEN_B if "dpo" in path.name], ids=lambda path: path.name)
def test_the_dpo_recipes_have_the_published_numbers(path: Path) -> None:
    config = load(path)

    assert config.iterations == 9
    assert (config.sample.samples_per_prompt, config.sample.temperature, config.sample.max_tokens) == (8, 1.0, 4096)
    assert config.objective == {"name": "dpo", "beta": 0.1, "label_smoothing": 0.1}
    assert (config.reference, config.pair.rule, config.pair.pairs_per_prompt) == ("previous", "max_min", 1)
    assert (config.train.learning_rate, config.train.schedule, config.train.warmup_steps) == (5e-7, "cosine", 0)
    assert (config.train.epochs, config.train.batch_size) == (2, 128)
    assert (config.prompts.dataset, config.prompts.question, config.prompts.answer) == (
        "RLHFlow/numia_prompt_dpo{iteration}", "problem", "gt",
    )  # fmt: skip


def test_the_raft_recipe_has_the_numbers_of_the_fork() -> None:
    config = load(ROOT / "configs" / "raft_r1_zero_7b.yaml")

    assert config.objective == {"name": "raft"}
    assert (config.train.learning_rate, config.train.epochs, config.train.batch_size) == (1e-5, 2, 128)


@pytest.mark.parametrize("path", SEVEN_B, ids=lambda path: path.name)
def test_the_7b_recipes_are_scored_as_the_published_numbers_were(path: Path) -> None:
    config = load(path)
    decodings = config.evaluate.decodings(config.sample)
    greedy = {decoding.benchmark: settings for decoding, settings in decodings if decoding.greedy}

    assert list(greedy) == ["aime24", "math500", "amc23", "minerva_math", "olympiadbench"]
    assert {(each.temperature, each.max_tokens) for each in greedy.values()} == {(0.0, 3000)}


@pytest.mark.parametrize("path", SEVEN_B, ids=lambda path: path.name)
def test_the_7b_recipes_ask_for_a_box_and_stop_at_the_end_of_turn(path: Path) -> None:
    template = load(path).template

    assert template.suffix == r" Let's think step by step and output the final answer within \boxed{}"
    assert template.stop == ("<|im_end|>",)


@pytest.mark.parametrize("path", SEVEN_B, ids=lambda path: path.name)
def test_every_setting_of_a_recipe_says_where_it_comes_from(path: Path) -> None:
    """RAFT's evaluation and machine are those of DPO and say so once."""
    lines = path.read_text(encoding="utf-8").splitlines()
    silent = [line for line in lines if ": " in line and "#" not in line and "{name:" not in line]

    assert {line.split(":")[0].strip() for line in silent} <= {
        "name", "reward", "rule", "accepted_per_prompt",  # explained in the comment above
        "max_tokens", "devices", "tensor_parallel", "gpu_memory", "max_num_seqs", "deepspeed",  # RAFT, as DPO
    }  # fmt: skip


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_the_deepspeed_file_a_config_names_is_there(path: Path) -> None:
    assert (ROOT / load(path).machine.deepspeed) in DEEPSPEED


@pytest.mark.parametrize("path", DEEPSPEED, ids=lambda path: path.name)
def test_a_deepspeed_file_sets_its_stage_and_nothing_that_the_worker_decides(path: Path) -> None:
    fields = json.loads(path.read_text(encoding="utf-8"))

    assert fields["zero_optimization"]["stage"] == int(path.stem.removeprefix("zero"))
    assert set(fields) <= {"zero_optimization", "data_types"}


def test_zero3_gathers_the_weights_it_saves() -> None:
    fields = json.loads((ROOT / "configs" / "deepspeed" / "zero3.json").read_text(encoding="utf-8"))

    assert fields["zero_optimization"]["stage3_gather_16bit_weights_on_model_save"] is True


@pytest.mark.parametrize("path", SEVEN_B, ids=lambda path: path.name)
def test_a_7b_recipe_can_be_planned_without_gpu_model_or_hub(path: Path, workspace) -> None:
    from flows.plan import Planner
    from flows.steps import Steps

    config = load(path)

    lines = Planner(Steps.of(config, workspace)).walk()

    base = next(line for line in lines if line.stage == "model")
    assert base.status == "there" or f"{config.model} is not on this machine" in base.why
    assert [line.label for line in lines if line.stage == "train"] == [f"iteration {n}" for n in range(1, 10)]
    assert {line.status for line in lines if line.stage == "train"} == {"run"}


# ------------------------------------------------------------------------------------------------- bad input


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert "absent.yaml cannot be read: No such file" in refusal(tmp_path / "absent.yaml")


@pytest.mark.parametrize("text", ["name: [", "a: b: c", "\t- x"], ids=["open bracket", "two colons", "tab"])
def test_unreadable_yaml_is_refused_with_its_line(config, text: str) -> None:
    message = refusal(config(text))

    assert "run.yaml is not YAML" in message
    assert "line 1" in message


@pytest.mark.parametrize(("text", "found"), [("", "NoneType"), ("- a\n- b\n", "list"), ("just words", "str")])
def test_yaml_that_is_no_mapping_is_refused(config, text: str, found: str) -> None:
    assert f"expected `key: value` lines, found {found}" in refusal(config(text))


@pytest.mark.parametrize(
    "tag",
    ["!!python/object/apply:os.system ['touch {target}']", "!!python/object/new:os.system ['touch {target}']",
     "!!python/name:os.system", "!!python/object:flows.config.RunConfig {{}}"],
)  # fmt: skip
def test_a_tag_that_would_build_a_python_object_is_refused_in_file_and_override(
    config, tmp_path: Path, tag: str
) -> None:
    target = tmp_path / "executed"
    hostile = tag.format(target=target)

    assert "is not YAML" in refusal(config(MINIMAL + f"seed: {hostile}\n"))
    assert "the value is not YAML" in refusal(config(MINIMAL), f"seed={hostile}")
    assert not target.exists()


@pytest.mark.parametrize(
    ("wrong", "place", "near"),
    [
        ("iteratons=2", "iteratons", "iterations"),
        ("train.learnig_rate=1e-5", "train.learnig_rate", "learning_rate"),
        ("sample.temprature=1", "sample.temprature", "temperature"),
        ("machine.devises=auto", "machine.devises", "devices"),
        ("prompts.pth=x", "prompts.pth", "path"),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest_known_one(config, wrong: str, place: str, near: str) -> None:
    assert f"{place}: unknown key, did you mean '{near}'?" in refusal(config(MINIMAL), wrong)


def test_an_unknown_key_like_no_other_is_refused_with_all_known_ones(config) -> None:
    message = refusal(config(MINIMAL), "grade.xyzzy=1")

    assert "grade.xyzzy: unknown key; known: reward, reward_options, deadline, shuffle" in message


def test_an_unknown_key_inside_a_list_is_found(config) -> None:
    text = MINIMAL + "evaluate: {benchmarks: [{name: a}, {name: b, smaples: 2}]}\n"

    assert "evaluate.benchmarks.1.smaples: unknown key, did you mean 'samples'?" in refusal(config(text))


def test_all_problems_are_told_at_once(config) -> None:
    message = refusal(config(MINIMAL), "train.epochs=0", "sample.top_p=2", "iteratons=1")

    assert all(place in message for place in ("train.epochs", "sample.top_p", "iteratons"))


def test_what_is_required_is_named(config) -> None:
    message = refusal(config("name: small\n"))

    assert "model: required, but not set" in message
    assert "prompts: required, but not set" in message


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("name=Has Spaces", "name: String should match pattern"),
        ("iterations=-1", "iterations: Input should be greater than or equal to 0 (found -1)"),
        ("train.learning_rate=0", "train.learning_rate: Input should be greater than 0 (found 0)"),
        ("train.learning_rate=fast", "train.learning_rate: Input should be a valid number"),
        ("train.batch_size=1.5", "train.batch_size: Input should be a valid integer"),
        ("train.schedule=cosin", "train.schedule: Input should be 'constant', 'linear' or 'cosine' (found 'cosin')"),
        ("train.dtype=float16", "train.dtype: Input should be 'float32' or 'bfloat16' (found 'float16')"),
        ("sample.samples_per_prompt=0", "sample.samples_per_prompt: Input should be greater than or equal to 1"),
        ("machine.gpu_memory=1.5", "machine.gpu_memory: Input should be less than or equal to 1"),
        ("machine.devices=[]", "machine.devices"),
        ("reference=first", "reference: Input should be 'previous' or 'initial' (found 'first')"),
    ],
)
def test_a_bad_value_is_refused_with_what_is_expected(config, override: str, expected: str) -> None:
    assert expected in refusal(config(MINIMAL), override)


def test_a_file_can_be_laid_over_another(config, tmp_path: Path) -> None:
    over = tmp_path / "over.yaml"
    over.write_text("objective: {name: simpo}\ntrain: {epochs: 3}\n", encoding="utf-8")
    path = config(MINIMAL + "objective: {name: dpo, beta: 0.3}\ntrain: {epochs: 2, batch_size: 5}\n")

    found = load(path, [str(over), "train.epochs=4"])

    assert found.objective == {"name": "simpo"}  # another objective has hyperparameters of its own
    assert (found.train.epochs, found.train.batch_size) == (4, 5)


def test_a_file_to_lay_over_that_is_missing_is_named(config, tmp_path: Path) -> None:
    assert "none.yaml cannot be read: No such file" in refusal(config(MINIMAL), str(tmp_path / "none.yaml"))


def test_settings_of_a_critic_need_an_objective_that_has_one(config) -> None:
    path = config(MINIMAL)

    assert "critic: dpo has no critic; remove it" in refusal(path, "critic={learning_rate: 1e-5}")
    assert "learning_rate" in refusal(path, "objective=ppo", "critic={learning_rate: -1}")


def test_pairs_need_two_answers_per_prompt(config) -> None:
    message = refusal(config(MINIMAL), "sample.samples_per_prompt=1")

    assert "sample.samples_per_prompt is 1, but dpo trains on pairs; set it to at least 2" in message


def test_accepted_answers_need_only_one(config) -> None:
    assert load(config(MINIMAL), ["sample.samples_per_prompt=1", "objective={name: raft}"]).objective["name"] == "raft"


def test_equal_answers_are_not_asked_for(config) -> None:
    assert "set it to about 1" in refusal(config(MINIMAL), "sample.temperature=0")


def test_an_unknown_algorithm_is_refused_with_the_nearest_one(config) -> None:
    message = refusal(config(MINIMAL), "objective={name: dpoo}")

    assert "unknown objective 'dpoo', did you mean 'dpo'?" in message


def test_an_unknown_hyperparameter_is_refused_with_the_nearest_one(config) -> None:
    message = refusal(config(MINIMAL), "objective={name: dpo, betta: 1}")

    assert "objective dpo has no hyperparameter 'betta', did you mean 'beta'?" in message


def test_an_objective_without_a_name_is_dpo(config) -> None:
    loaded = load(config(MINIMAL), ["objective={beta: 0.3}"])

    assert loaded.objective == {"name": "dpo", "beta": 0.3}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("{max_char: 5}", "reward 'length_penalty' has no option 'max_char'; did you mean 'max_chars'?"),
        ("{max_chars: 5}", "max_chars is 5 and cache_chars 3072; expected numbers with 0 <= cache_chars <= max_chars"),
        ("{max_chars: long}", "max_chars is 'long'"),
    ],
)
def test_a_wrong_option_of_a_reward_is_refused_before_anything_starts(config, options: str, message: str) -> None:
    text = MINIMAL + f"grade: {{reward: length_penalty, reward_options: {options}}}\n"

    assert message in refusal(config(text))


def test_a_benchmark_is_sampled_as_often_as_is_customary_unless_told_otherwise(config) -> None:
    text = MINIMAL + "evaluate: {benchmarks: [{name: aime24}, {name: math500}, {name: x}, {name: amc23, samples: 0}]}\n"

    assert [bench.samples for bench in load(config(text)).evaluate.benchmarks] == [32, 0, 0, 0]


def test_a_benchmark_of_ones_own_does_not_hide_one_that_is_built_in(config) -> None:
    text = MINIMAL + "evaluate: {benchmarks: [{name: math500, source: {path: mine.jsonl}}]}\n"

    assert "'math500' is built in; give your own another name" in refusal(config(text))


def test_an_unknown_reward_is_refused_with_the_nearest_one(config) -> None:
    assert "unknown reward 'boxed_corect'; did you mean 'boxed_correct'?" in refusal(
        config(MINIMAL), "grade.reward=boxed_corect"
    )


@pytest.mark.parametrize("source", ["{}", "{path: a.jsonl, dataset: b}"], ids=["neither", "both"])
def test_prompts_come_from_one_place(config, source: str) -> None:
    assert "give either `path` (a local file) or `dataset`" in refusal(config(MINIMAL), f"prompts={source}")


def test_a_benchmark_may_not_stand_twice(config) -> None:
    assert "a name occurs twice" in refusal(config(MINIMAL), "evaluate.benchmarks=[{name: a}, {name: a}]")


def test_a_benchmark_without_answers_is_refused(config) -> None:
    message = refusal(config(MINIMAL), "evaluate.benchmarks=[{name: a, greedy: false}]")

    assert "benchmark a: set `greedy: true` or `samples` to at least 1" in message


def test_a_warm_up_needs_worked_solutions(config) -> None:
    message = refusal(config(MINIMAL), "warmup={demonstrations: {path: a.jsonl}, train: {}}")

    assert "warmup.demonstrations.solution: name the column" in message


# ------------------------------------------------------------------------------------------------- overrides


@pytest.mark.parametrize("number", ["1e-5", "1.0e-5", "1E-05", "0.00001"])
def test_a_number_may_be_written_in_any_usual_way(config, number: str) -> None:
    """YAML 1.1 takes 1e-5 for a text; it is still the number that was meant."""
    assert load(config(MINIMAL), [f"train.learning_rate={number}"]).train.learning_rate == 1e-5


def test_a_number_in_the_file_may_be_written_so_too(config) -> None:
    assert load(config(MINIMAL + "train: {learning_rate: 1e-5}\n")).train.learning_rate == 1e-5


def test_an_override_reaches_into_a_list(config) -> None:
    path = config(MINIMAL + "evaluate: {benchmarks: [{name: a}, {name: b}]}\n")

    changed = load(path, ["evaluate.benchmarks.1.samples=4", "evaluate.benchmarks.0={name: c}"])

    assert [(bench.name, bench.samples) for bench in changed.evaluate.benchmarks] == [("c", 0), ("b", 4)]


@pytest.mark.parametrize("key", ["evaluate.benchmarks.2.samples", "evaluate.benchmarks.2", "evaluate.benchmarks.x"])
def test_an_index_that_is_not_there_is_refused(config, key: str) -> None:
    path = config(MINIMAL + "evaluate: {benchmarks: [{name: a}, {name: b}]}\n")

    assert "holds no keys" in refusal(path, f"{key}=4")


def test_an_override_makes_the_section_it_needs(config) -> None:
    assert load(config(MINIMAL), ["machine.micro_tokens=64"]).machine.micro_tokens == 64


def test_an_override_fills_a_section_that_is_empty(config) -> None:
    assert load(config(MINIMAL + "machine:\n"), ["machine.micro_tokens=64"]).machine.micro_tokens == 64


def test_the_last_override_counts(config) -> None:
    assert load(config(MINIMAL), ["seed=1", "seed=2"]).seed == 2


def test_null_takes_a_value_back(config) -> None:
    assert load(config(MINIMAL + "pair: {accepted_per_prompt: 2}\n"), ["pair.accepted_per_prompt=null"]) == load(
        config(MINIMAL), ["pair.accepted_per_prompt="]
    )


@pytest.mark.parametrize("override", ["iterations", "=2", "iterations:2"])
def test_an_override_without_key_and_value_is_refused_with_an_example(config, override: str) -> None:
    assert "expected dotted.key=value, such as train.learning_rate=1e-5" in refusal(config(MINIMAL), override)


def test_an_override_below_a_value_is_refused(config) -> None:
    assert "'name' holds no keys" in refusal(config(MINIMAL), "name.first=x")


def test_a_value_may_hold_an_equals_sign(config) -> None:
    assert load(config(MINIMAL), ["template.suffix= x = "]).template.suffix == "x ="


def test_the_fields_a_caller_gives_are_checked_alike() -> None:
    with pytest.raises(BadConfig, match="somewhere:\n  model: required"):
        load_fields({"name": "a", "prompts": {"path": "x"}}, [], "somewhere")


KEYS = st.from_regex(r"[a-z_.0-9]{0,12}", fullmatch=True)
VALUES = st.text(max_size=12) | st.sampled_from(["1", "null", "{}", "[]", "1e-5", "true", "{a: 1}", "&a [*a]", "*a"])


@given(st.lists(st.builds("{}={}".format, KEYS | st.sampled_from(sorted(RunConfig.model_fields)), VALUES), max_size=3))
def test_no_override_ends_in_another_error_than_a_clear_one(overrides: list[str]) -> None:
    with contextlib.suppress(BadConfig):
        load_fields(yaml.safe_load(MINIMAL), overrides, "config")
