"""What a cache key is made of: all that the result depends on, and nothing else."""

from dataclasses import replace
from pathlib import Path

import pytest

from artifacts import Checkpoint, Ref
from tasks.caching import Run, stage
from tasks.evaluate import evaluate
from tasks.generate import Wanted
from tasks.grade import grade
from tasks.machine import Machine
from tasks.pair import pair
from tasks.reward import reward
from tasks.sample import sample, wanted_later
from tasks.score import score
from tasks.settings import Decoding, Grading, Pairing, RewardModel, Sampling, Settings, Template, Training
from tasks.train import train
from tasks.workspace import Workspace


def a_ref(kind, letter="a"):
    digest = letter * 64
    return Ref(kind, digest, rows=3, bytes=9, path=f"{kind}/{digest[:2]}/{digest}")


def a_checkpoint(letter="c", path="/models/a"):
    return Checkpoint(path, letter * 64, 9)


@pytest.fixture
def here(tmp_path):
    return Run(Workspace(tmp_path), Machine(), "here")


@pytest.fixture
def calls(here):
    """Every stage with one full set of arguments."""
    prompts, rollouts, grades, pairs = (a_ref(kind) for kind in ("prompts", "rollouts", "grades", "pairs"))
    return {
        "sample": (
            sample,
            {"policy": a_checkpoint(), "prompts": prompts, "sampling": Sampling(), "template": Template(), "seed": 1},
        ),
        "grade": (grade, {"rollouts": rollouts, "prompts": prompts, "grading": Grading(), "seed": 1}),
        "pair": (pair, {"rollouts": rollouts, "grades": grades, "pairing": Pairing(), "rows": "pairs", "seed": 1}),
        "train": (
            train,
            {
                "policy": a_checkpoint(), "rows": pairs, "reference": a_checkpoint(), "objective": {"name": "dpo"},
                "training": Training(), "seed": 1, "scored": {"ref_logprobs": a_ref("token_scores")},
            },
        ),
        "score": (score, {"model": a_checkpoint(), "rows": pairs, "scores": "policy", "dtype": "float32"}),
        "reward": (
            reward,
            {"grades": grades, "scored": a_ref("token_scores"), "blend": RewardModel(model="a", mean=0.5, std=2.0)},
        ),
        "evaluate": (
            evaluate,
            {
                "answers": {"a/greedy": rollouts}, "problems": {"a": prompts},
                "decodings": [Decoding(benchmark="a", samples=1, greedy=True)],
            },
        ),
    }  # fmt: skip


STAGES = ["sample", "grade", "reward", "pair", "score", "train", "evaluate"]


@pytest.mark.parametrize("name", STAGES)
def test_where_and_for_whom_a_stage_runs_changes_no_key(calls, here, tmp_path, name):
    called, arguments = calls[name]
    key = called.key(**arguments, run=here)
    others = [
        replace(here, campaign="there"),
        replace(here, label="iteration 7"),
        replace(here, refresh=frozenset({name})),
        replace(here, workspace=Workspace(tmp_path / "elsewhere")),
        replace(here, on_metrics=print, events=[{}], workdir=tmp_path),
    ]

    assert {called.key(**arguments, run=other).digest for other in others} == {key.digest}
    assert key.digest.startswith(f"{name}-")
    assert len(key.digest) == len(name) + 33


def other_value(value):
    """Something else of the same kind."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return (value / 2 or 0.5) if isinstance(value, float) else value + 1
    if isinstance(value, Path):
        return value / "other"
    if isinstance(value, dict):
        return {**value, "other": 1}
    return {None: 9, "auto": "direct", (): ("x",), "max_min": "max_min"}.get(value, value)


@pytest.mark.parametrize("field", Machine.model_fields)
@pytest.mark.parametrize("name", STAGES)
def test_no_machine_setting_changes_a_key(calls, here, name, field):
    called, arguments = calls[name]
    setting = (1, 2) if field == "devices" else Path("x") if field == "hostfile" else None
    machine = Machine().model_copy(update={field: setting or other_value(getattr(Machine(), field))})
    assert machine != Machine()

    assert called.key(**arguments, run=replace(here, machine=machine)) == called.key(**arguments, run=here)


SPECIAL = {
    "engine": "transformers", "overlong_prompts": "drop", "dtype": "float32", "betas": (0.9, 0.95),
    "schedule": "linear", "reward": "seed_rule", "suffix": "!", "system": "s", "order": "easy_first",
    "old_logprobs": "recomputed", "reference_logprobs": "recorded", "model": "b",
    "rule": "max_max", "accept": "best", "uniform_groups": "drop",
}  # fmt: skip


def changes(arguments):
    """Every single change of an argument: (what, changed arguments)."""
    for name, value in arguments.items():
        if isinstance(value, Ref | Checkpoint):
            changed = a_checkpoint("d") if isinstance(value, Checkpoint) else a_ref(value.kind, "b")
            yield name, {**arguments, name: changed}
        elif isinstance(value, Settings):
            for field in type(value).model_fields:
                old = getattr(value, field)
                new = SPECIAL.get(field, other_value(old))
                if new != old:  # a Literal with one member has no other value
                    yield f"{name}.{field}", {**arguments, name: value.model_copy(update={field: new})}
        elif isinstance(value, int):
            yield name, {**arguments, name: value + 1}


@pytest.mark.parametrize("name", STAGES)
def test_every_input_and_every_setting_of_a_stage_changes_its_key(calls, here, name):
    called, arguments = calls[name]
    digests = {"nothing": called.key(**arguments, run=here).digest}

    for what, changed in changes(arguments):
        digests[what] = called.key(**changed, run=here).digest

    assert len(digests) > 1 or name == "evaluate"
    assert len(set(digests.values())) == len(digests), digests


def test_settings_of_a_stage_are_all_there(calls):
    changed = {what for name in STAGES for what, _ in changes(calls[name][1])}

    classes = {"sampling": Sampling, "grading": Grading, "pairing": Pairing, "training": Training, "template": Template}
    for name, cls in classes.items():
        assert {f"{name}.{field}" for field in cls.model_fields} <= changed


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("pair", {"rows": "accepted"}),
        ("train", {"reference": None}),
        ("train", {"objective": {"name": "dpo", "beta": 0.2}}),
        ("train", {"objective": {"name": "raft"}}),
        ("train", {"scored": {}}),
        ("train", {"scored": {"ref_logprobs": a_ref("token_scores", "b")}}),
        ("score", {"scores": "critic"}),
        ("score", {"dtype": "bfloat16"}),
        ("evaluate", {"answers": {"a/greedy": a_ref("rollouts", "b")}}),
        ("evaluate", {"problems": {"a": a_ref("prompts", "b")}}),
        ("evaluate", {"decodings": [Decoding(benchmark="a", samples=2, greedy=False)]}),
    ],
    ids=str,
)
def test_these_too_change_a_key(calls, here, name, change):
    called, arguments = calls[name]

    assert called.key(**{**arguments, **change}, run=here).digest != called.key(**arguments, run=here).digest


def test_where_a_checkpoint_lies_does_not_matter(calls, here):
    called, arguments = calls["sample"]
    moved = {**arguments, "policy": a_checkpoint(path="/elsewhere/b")}

    assert called.key(**moved, run=here) == called.key(**arguments, run=here)


def test_what_an_engine_makes_ahead_is_no_part_of_the_key(calls, here, tmp_path):
    _, arguments = calls["sample"]
    ahead = [Wanted(a_ref("prompts", "b"), Sampling(), 9, tmp_path)]

    assert sample.key(**arguments, run=here, ahead=ahead) == sample.key(**arguments, run=here)


def test_work_done_ahead_lies_where_the_later_call_looks(calls, here):
    _, arguments = calls["sample"]

    wanted = wanted_later(**arguments, run=here)

    assert wanted.folder == here.workspace.root / "work" / sample.key(**arguments, run=here).digest
    assert (wanted.prompts, wanted.sampling, wanted.seed) == (arguments["prompts"], arguments["sampling"], 1)


def test_a_default_counts_like_the_same_value_said_aloud(here):
    @stage("toy", code=lambda _: ("tasks.pair",))
    def toy(seed: int, run: Run, size: int = 3) -> Ref:
        raise NotImplementedError

    assert toy.key(seed=1, run=here) == toy.key(seed=1, run=here, size=3)
    assert toy.key(seed=1, run=here) != toy.key(seed=1, run=here, size=4)


@pytest.mark.parametrize(
    "value",
    [{1, 2}, Path("/a"), object(), b"bytes", frozenset(), {"a": [{3}]}, 1j, lambda: 0],
    ids=lambda value: type(value).__name__,  # without addresses: every process must see the same names
)
def test_what_has_no_stable_form_cannot_be_part_of_a_key(here, value):
    @stage("toy", code=lambda _: ("tasks.pair",))
    def toy(value: object, run: Run) -> Ref:
        raise NotImplementedError

    with pytest.raises(TypeError, match="cannot be part of a cache key"):
        toy.key(value=value, run=here)


def test_two_stages_with_the_same_arguments_have_different_keys(here):
    made = [
        stage(name, code=lambda _: ("tasks.pair",))(lambda seed, run: None).key(seed=1, run=here)  # type: ignore[arg-type]
        for name in ("one", "two")
    ]

    assert made[0].digest != made[1].digest


def test_the_code_is_part_of_the_key(here):
    made = [
        stage("toy", code=lambda _, m=module: (m,))(lambda seed, run: None).key(seed=1, run=here)  # type: ignore[arg-type, misc]
        for module in ("tasks.pair", "tasks.grade")
    ]

    assert made[0].digest != made[1].digest


def test_a_key_says_what_it_was_made_of(calls, here):
    called, arguments = calls["train"]

    fields = called.key(**arguments, run=here).fields

    assert set(fields) == {"stage", "code", *arguments}
    assert fields["policy"] == "c" * 64
    assert fields["training"]["learning_rate"] == Training().learning_rate
