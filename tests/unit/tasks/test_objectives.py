"""The losses against the textbook, what must hold of every loss whatever its paper, and how they are found."""

import dataclasses
import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from task_examples import a_batch, rows_only
from textbook import HYPERPARAMETERS, KL_SLOPES, TEXTBOOK
from torch import Tensor

from tasks import objectives
from tasks.objectives import Batch, Loss, Objective

NAMES = objectives.available()
CASES = [(name, options) for name in NAMES for options in HYPERPARAMETERS[name]]
PREFERENCE = ["dpo", "dpo_nll", "ipo", "nca", "r_dpo", "rdpo", "simpo", "slic", "sppo", "tdpo1", "tdpo2"]
POLICY_GRADIENT = [
    "dapo_clip", "dr_grpo", "grpo", "grpo_process", "gspo", "mdpo_on", "ppo", "raft_pp", "reinforce_pp", "rloo", "rto",
]  # fmt: skip
IN_A_BATCH = [column for column in objectives.COLUMNS if hasattr(a_batch(0), column)]
IN_THE_LOSS = {
    **dict.fromkeys(["rloo", "reinforce_pp", "ppo", "rto"], ("old_logprobs", "advantages")),
    **dict.fromkeys(["ppo_critic", "rto_critic"], ("values", "returns")),
}
"""Of those whose other columns are used up before the first step."""
CRITICS = [name for name in NAMES if objectives.find(name).trains == "critic"]


def loaded(name: str) -> Objective:
    return objectives.load(name, **HYPERPARAMETERS[name][0])


def trained(objective: Objective, batch: Batch) -> Tensor:
    """[N, T] what the trainer differentiates by."""
    found = batch.logprobs if objective.trains == "policy" else batch.predicted
    assert found is not None
    return found


def gradient(objective: Objective, batch: Batch) -> Tensor:
    (found,) = torch.autograd.grad(objective.loss(batch).value, trained(objective, batch))
    return found


def slopes_of(value: Tensor, batch: Batch) -> Tensor:
    """[N, 3T] the gradient by whatever carries one."""
    assert batch.ref_kl is not None
    assert batch.predicted is not None
    inputs = (batch.logprobs, batch.ref_kl, batch.predicted)
    return torch.cat(torch.autograd.grad(value, inputs, allow_unused=True, materialize_grads=True), dim=1)


# --- the textbook ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "options"), CASES, ids=str)
@settings(max_examples=25)
@given(seed=st.integers(0, 10_000))
def test_loss_is_the_textbooks_and_autograd_is_minus_norm_times_the_coefficient(name, options, seed):
    objective, batch = objectives.load(name, **options), a_batch(seed)

    loss, slopes = TEXTBOOK[name](batch, objective)

    found = gradient(objective, batch)
    assert objective.loss(batch).value.item() == pytest.approx(loss, rel=1e-9, abs=1e-11)
    for row, mask, expected in zip(found, batch.mask, slopes, strict=True):
        assert row[mask.bool()].tolist() == pytest.approx(expected, rel=1e-9, abs=1e-11)
        assert not row[~mask.bool()].any()


@pytest.mark.parametrize(("name", "options"), [case for case in CASES if case[0] in KL_SLOPES], ids=str)
@given(seed=st.integers(0, 10_000))
def test_the_gradient_by_the_divergence_is_the_textbooks(name, options, seed):
    objective, batch = objectives.load(name, **options), a_batch(seed)
    assert batch.ref_kl is not None

    _, slopes = KL_SLOPES[name](batch, objective)
    (found,) = torch.autograd.grad(objective.loss(batch).value, batch.ref_kl, allow_unused=True, materialize_grads=True)

    for row, mask, expected in zip(found, batch.mask, slopes, strict=True):
        assert row[mask.bool()].tolist() == pytest.approx(expected, rel=1e-9, abs=1e-11)
        assert not row[~mask.bool()].any()


def test_every_loss_that_reads_the_divergence_has_its_slopes_in_the_textbook():
    assert set(KL_SLOPES) == {name for name in NAMES if "ref_kl" in objectives.find(name).needs}


def test_every_objective_is_in_the_textbook():
    assert set(TEXTBOOK) == set(HYPERPARAMETERS) == set(NAMES)


# --- first-step identities ---------------------------------------------------------------------------------------


def at_the_start(batch: Batch) -> Batch:
    """pi = pi_ref = pi_old, V = V_old."""
    here = batch.logprobs.detach()
    assert batch.ref_kl is not None
    assert batch.predicted is not None
    still = torch.zeros_like(batch.ref_kl).requires_grad_()
    return replace(batch, ref_logprobs=here, old_logprobs=here, ref_kl=still, values=batch.predicted.detach())


@given(seed=st.integers(0, 10_000), smoothing=st.floats(0, 0.49), beta=st.floats(0.01, 5), averaged=st.booleans())
def test_a_policy_equal_to_its_reference_has_loss_ln_2(seed, smoothing, beta, averaged):
    batch = at_the_start(a_batch(seed))

    loss = objectives.load("dpo", beta=beta, label_smoothing=smoothing, length_averaged=averaged).loss(batch)

    assert loss.value.item() == pytest.approx(math.log(2), abs=1e-12)
    assert loss.metrics["rewards/margins"].abs().max().item() == 0


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("rdpo", {"eps": 0.2}, math.log(2)),
        ("r_dpo", {"alpha": 0.0}, math.log(2)),
        ("nca", {}, 2 * math.log(2)),
        ("slic", {"delta": 0.7}, 0.7),
        ("ipo", {"beta": 0.5}, 1.0),
        ("sppo", {"beta": 0.5}, 2.0),
        ("brain", {"beta": 1e9}, 0.0),
        ("tdpo1", {"beta": 0.7}, math.log(2)),
        ("tdpo2", {"alpha": 3.0}, math.log(2)),
    ],
)
def test_the_first_loss_is_known_before_any_training(name, options, expected):
    assert objectives.load(name, **options).loss(at_the_start(a_batch(3))).value.item() == pytest.approx(expected)


@pytest.mark.parametrize("name", POLICY_GRADIENT)
def test_before_the_first_update_the_ratio_is_one_and_nothing_is_clipped(name):
    metrics = loaded(name).loss(at_the_start(a_batch(3))).metrics

    assert (metrics["ratio/mean"] == 1).all()
    assert not metrics["kl/old"].any()
    assert not metrics.get("clip_fraction", torch.zeros(1)).any()
    assert not metrics.get("kl/ref", torch.zeros(1)).any()


@pytest.mark.parametrize("name", POLICY_GRADIENT)
def test_the_first_gradient_pushes_every_token_by_its_advantage_alone(name):
    batch = at_the_start(a_batch(7))
    assert batch.advantages is not None

    pushed = -gradient(loaded(name), batch)

    assert (torch.sign(pushed) == torch.sign(batch.advantages * batch.mask)).all()


@pytest.mark.parametrize("name", CRITICS)
def test_before_the_first_update_no_value_is_clipped_and_each_moves_towards_its_return(name):
    batch = at_the_start(a_batch(9))
    assert batch.returns is not None
    assert batch.values is not None

    pushed = -gradient(loaded(name), batch)

    assert not loaded(name).loss(batch).metrics["clip_fraction"].any()
    assert (torch.sign(pushed) == torch.sign((batch.returns - batch.values) * batch.mask)).all()


def test_a_reward_model_that_says_the_same_of_all_has_loss_ln_2():
    batch = a_batch(4)
    assert batch.predicted is not None

    loss = objectives.load("reward_model").loss(replace(batch, predicted=torch.full_like(batch.predicted, 3.0)))

    assert loss.value.item() == pytest.approx(math.log(2))
    assert not loss.metrics["rewards/margins"].any()


def test_a_reward_model_is_blind_to_a_constant_unless_it_is_centred():
    batch = a_batch(4)
    assert batch.predicted is not None
    raised = replace(batch, predicted=batch.predicted + 5)

    plain, centred = (
        [objectives.load("reward_model", center=c).loss(b).value.item() for b in (batch, raised)] for c in (0.0, 0.1)
    )

    assert plain[0] == pytest.approx(plain[1])
    assert centred[1] > centred[0] + 1


def test_tdpo2_without_the_divergences_is_dpo():
    batch = a_batch(6)

    found = objectives.load("tdpo2", beta=0.3, alpha=0).loss(batch).value

    torch.testing.assert_close(found, objectives.load("dpo", beta=0.3).loss(batch).value)


@pytest.mark.parametrize("name", CRITICS)
def test_explained_variance_follows_from_the_logged_means(name):
    batch = a_batch(8)
    assert batch.predicted is not None
    assert batch.returns is not None

    of = {metric: values.mean() for metric, values in loaded(name).loss(batch).metrics.items()}
    unexplained = of["errors/squared"] - (of["returns/mean"] - of["values/mean"]) ** 2
    found = 1 - unexplained / (of["returns/squared"] - of["returns/mean"] ** 2)

    rows = batch.mask.bool()
    returns, errors = batch.returns[rows], (batch.returns - batch.predicted)[rows]
    torch.testing.assert_close(found, (1 - errors.var() / returns.var()).detach())


# --- what every loss owes the trainer ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
@given(seed=st.integers(0, 10_000), cuts=st.lists(st.integers(0, 5), max_size=4), order=st.permutations(range(5)))
def test_any_split_into_micro_batches_gives_the_same_loss_and_gradient(name, seed, cuts, order):
    objective, batch = loaded(name), a_batch(seed, pairs=5)
    bounds = [0, *sorted(cuts), 5]
    parts = [order[a:b] for a, b in pairwise(bounds) if b > a]
    rows = [[row for pair in part for row in (2 * pair, 2 * pair + 1)] for part in parts]

    total = torch.stack([objective.loss(rows_only(batch, part)).value for part in rows]).sum()
    whole = objective.loss(batch).value

    torch.testing.assert_close(total, whole, rtol=1e-11, atol=1e-12)
    torch.testing.assert_close(slopes_of(total, batch), slopes_of(whole, batch), rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
@given(seed=st.integers(0, 10_000))
def test_filler_rows_of_weight_zero_change_nothing(name, seed):
    objective, batch = loaded(name), a_batch(seed)
    real, filler = [0, 1, 2, 3, 4, 5], [6, 7]
    weights = torch.tensor([1.0] * 6 + [0.0] * 2, dtype=torch.float64)

    with_filler = objective.loss(rows_only(batch, [*real, *filler], weights=weights)).value
    found = slopes_of(with_filler, batch)

    without = objective.loss(rows_only(batch, real)).value
    torch.testing.assert_close(with_filler, without, rtol=1e-12, atol=1e-13)
    assert found[filler].abs().max().item() == 0


@pytest.mark.parametrize("name", NAMES)
@given(seed=st.integers(0, 10_000), noise=st.floats(-900, 900))
def test_what_stands_on_padding_does_not_matter(name, seed, noise):
    objective, batch = loaded(name), a_batch(seed)
    columns = ("logprobs", "ref_logprobs", "old_logprobs", "advantages", "values", "returns", "ref_kl", "predicted")
    signs = (1, -1, 0.5, 2, 1, -1, 3, -2)
    dirty = {c: getattr(batch, c) + s * noise * (1 - batch.mask) for c, s in zip(columns, signs, strict=True)}

    clean, other = objective.loss(batch), objective.loss(replace(batch, **dirty))
    torch.testing.assert_close(other.value, clean.value)
    torch.testing.assert_close(slopes_of(other.value, batch), slopes_of(clean.value, batch))
    for metric in clean.metrics:
        torch.testing.assert_close(other.metrics[metric], clean.metrics[metric])


@pytest.mark.parametrize("name", NAMES)
def test_metrics_are_one_detached_number_per_pair_row_or_token(name):
    batch = a_batch(0)

    loss = loaded(name).loss(batch)

    assert isinstance(loss, Loss)
    assert loss.metrics
    for values in loss.metrics.values():
        assert values.shape in {(len(batch.mask) // 2,), (len(batch.mask),), (int(batch.mask.sum()),)}
        assert not values.requires_grad
        assert torch.isfinite(values).all()


@pytest.mark.parametrize("name", NAMES)
def test_a_loss_reads_the_columns_it_asks_for_and_no_others(name):
    objective, batch = loaded(name), a_batch(2)
    columns = {column: getattr(batch, column, None) for column in objective.columns if column in IN_A_BATCH}
    stripped = replace(batch, **dict.fromkeys(IN_A_BATCH))
    if objective.trains == "policy":
        stripped = replace(stripped, predicted=None)

    assert torch.equal(objective.loss(replace(stripped, **columns)).value, objective.loss(batch).value)


@pytest.mark.parametrize("name", [name for name in NAMES if loaded(name).columns])
def test_a_batch_without_a_needed_column_is_refused(name):
    objective = loaded(name)
    in_loss = [c for c in objective.columns if c in IN_THE_LOSS.get(name, objective.columns)]

    for column in in_loss:
        with pytest.raises(ValueError, match=f"{name} needs .* in the batch"):
            objective.loss(replace(a_batch(0), **{column: None}))


@pytest.mark.parametrize("name", [name for name in NAMES if objectives.find(name).trains != "policy"])
def test_a_batch_without_predictions_is_refused(name):
    with pytest.raises(ValueError, match=f"{name} needs the predictions of a (critic|reward model) in the batch"):
        loaded(name).loss(replace(a_batch(0), predicted=None))


# --- direction ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PREFERENCE)
def test_raising_the_chosen_and_lowering_the_rejected_answer_lowers_the_loss(name):
    batch = at_the_start(a_batch(5))
    better = 0.01 * batch.mask
    better[1::2] *= -1

    before, after = (loaded(name).loss(replace(batch, logprobs=batch.logprobs + x)).value for x in (0, better))

    assert after < before


@pytest.mark.parametrize("name", ["rft", "online_rft", *POLICY_GRADIENT])
def test_an_answer_without_advantage_teaches_nothing(name):
    batch = at_the_start(a_batch(11))
    assert batch.advantages is not None
    advantages = batch.advantages.clone()
    advantages[2] = 0

    found = gradient(loaded(name), replace(batch, advantages=advantages))

    assert found[2].abs().max().item() == 0
    assert found.abs().max().item() > 0


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("name", sorted({*PREFERENCE} - {"ipo", "sppo", "simpo"}))
def test_extreme_margins_stay_finite(name, sign):
    batch = a_batch(1)
    assert batch.ref_logprobs is not None
    far = batch.ref_logprobs - sign * 1e5 * torch.tensor([[1.0], [-1.0]] * 4) * batch.mask

    objective = loaded(name)
    loss = objective.loss(replace(batch, ref_logprobs=far))
    (found,) = torch.autograd.grad(loss.value, batch.logprobs)

    assert torch.isfinite(loss.value)
    assert torch.isfinite(found).all()


def test_dr_grpo_needs_its_constant():
    with pytest.raises(ValueError, match="dr_grpo needs max_tokens, the constant length"):
        objectives.load("dr_grpo").loss(a_batch(0))


# --- loading -----------------------------------------------------------------------------------------------------


def test_the_files_of_the_folder_are_the_objectives():
    files = {path.stem for path in Path(objectives.__file__).parent.glob("*.py")}

    assert set(NAMES) == {name for name in files if not name.startswith("_")}
    assert len(NAMES) == 30


@pytest.mark.parametrize("name", NAMES)
def test_an_objective_says_all_that_a_run_must_know(name):
    cls, module = objectives.find(name), (Path(objectives.__file__).parent / f"{name}.py").read_text(encoding="utf-8")

    assert cls.rows in ("pairs", "accepted", "groups")
    assert ("ref_logprobs" in cls.needs) == (cls.reference != "none")
    assert (cls.advantage is not None) == (cls.rows == "groups")
    assert all(dataclasses.astuple(cls.about))
    assert "arXiv:" in module
    for field in dataclasses.fields(cls):
        assert f"    {field.name}: " in module
        assert field.default is not dataclasses.MISSING


def test_a_critic_is_named_by_its_actor_and_shares_its_defaults():
    actors = {cls.critic: cls for cls in map(objectives.find, NAMES) if cls.critic}

    assert sorted(actors) == sorted(CRITICS)
    for name, actor in actors.items():
        critic = objectives.find(name)
        shared = {field.name: field.default for field in dataclasses.fields(actor)}
        assert {field.name: field.default for field in dataclasses.fields(critic)}.items() <= shared.items()
        assert set(objectives.load(name).columns) - {"returns"} <= set(actor().columns)
        assert critic.rows == actor.rows


def test_without_a_kl_term_there_is_no_reference_to_load():
    assert objectives.load("grpo").needs_reference
    assert not objectives.load("grpo", beta_kl=0).needs_reference
    assert not objectives.load("rloo", kl_coef=0).needs_reference
    assert not objectives.load("reinforce_pp", kl_coef=0.0).needs_reference
    for name in ("ppo", "ppo_critic", "rto", "rto_critic"):
        assert objectives.load(name).needs_reference
        assert not objectives.load(name, kl_coef=0).needs_reference
    assert not objectives.load("grpo_process", beta_kl=0).needs_reference


@pytest.mark.parametrize(("written", "meant"), [("dop", "dpo"), ("grop", "grpo"), ("sim_po", "simpo")])
def test_an_unknown_name_names_the_nearest_one(written, meant):
    with pytest.raises(ValueError, match=rf"unknown objective '{written}', did you mean '{meant}'\?; known: brain, "):
        objectives.load(written)


@pytest.mark.parametrize("name", ["xyzzy", "_surrogate", "__init__"])
def test_a_name_like_nothing_lists_what_there_is(name):
    with pytest.raises(ValueError, match=rf"unknown objective '{name}'.*; known: .*raft"):
        objectives.load(name)


def test_an_unknown_hyperparameter_names_the_nearest_one():
    with pytest.raises(ValueError, match=r"no hyperparameter 'bata', did you mean 'beta'\?; it has: beta, label"):
        objectives.load("dpo", bata=0.1)


def test_an_objective_without_hyperparameters_says_so():
    with pytest.raises(ValueError, match="raft has no hyperparameter 'beta'; it has no hyperparameters"):
        objectives.load("raft", beta=0.1)


@pytest.mark.parametrize(
    ("name", "wrong", "message"),
    [
        *(("dpo", wrong, r"dpo needs beta > 0 and 0 <= label_smoothing < 0\.5, found beta=")
          for wrong in ({"beta": 0}, {"beta": -1}, {"label_smoothing": 0.5}, {"label_smoothing": -0.1})),
        ("rdpo", {"eps": 0.5}, r"rdpo needs beta > 0 and 0 <= eps < 0\.5"),
        ("grpo", {"clip_eps": 0}, "grpo needs 0 < clip_eps < 1 and beta_kl >= 0, found clip_eps=0"),
        ("grpo", {"clip_eps": 1.5}, "grpo needs 0 < clip_eps < 1"),
        ("grpo", {"beta_kl": -0.1}, "beta_kl >= 0"),
        ("dapo_clip", {"clip_high": 0}, "clip_high > 0"),
        ("gspo", {"clip_low": 1}, "0 < clip_low < 1"),
        ("simpo", {"gamma_beta_ratio": -1}, "gamma_beta_ratio >= 0"),
        ("brain", {"beta": 0}, "brain needs beta > 0"),
        ("mdpo_on", {"t_k": 0}, "mdpo_on needs t_k > 0"),
        ("rloo", {"kl_coef": -1}, "rloo needs kl_coef >= 0"),
        ("dr_grpo", {"max_tokens": 0}, "max_tokens >= 1"),
        ("ppo", {"lam": 1.1}, "0 <= lam <= 1"),
        ("ppo", {"gamma": 0}, "0 < gamma <= 1"),
        ("ppo", {"clip_eps": 1}, "ppo needs 0 < clip_eps < 1"),
        ("ppo_critic", {"value_clip": 0}, "value_clip > 0"),
        ("rto", {"token_clip": 0}, "token_clip > 0"),
        ("rto_critic", {"token_scale": -1}, "token_scale >= 0"),
        ("grpo_process", {"beta_kl": -1}, "grpo_process needs 0 < clip_eps < 1 and beta_kl >= 0"),
        ("tdpo1", {"beta": 0}, "tdpo1 needs beta > 0"),
        ("tdpo2", {"alpha": -0.1}, "tdpo2 needs beta > 0 and alpha >= 0"),
        ("reward_model", {"center": -1}, "reward_model needs center >= 0"),
        ("sft", {"reduction": "mean"}, "reduction is 'mean'; expected one of: token, sequence"),
        ("dpo", {"length_averaged": 1}, "length_averaged is 1; expected true or false"),
        ("dpo", {"beta": float("nan")}, "beta is nan; expected a finite number"),
        ("dpo", {"beta": "much"}, "beta is 'much'; expected a finite number"),
        ("dpo", {"beta": True}, "beta is True; expected a finite number"),
    ],
)  # fmt: skip
def test_a_hyperparameter_out_of_range_is_refused(name, wrong, message):
    with pytest.raises(ValueError, match=message):
        objectives.load(name, **wrong)


def test_a_number_that_yaml_reads_as_text_is_a_number():
    assert objectives.load("grpo", beta_kl="1e-3") == objectives.load("grpo", beta_kl=0.001)
    assert objectives.load("dr_grpo", max_tokens="64") == objectives.load("dr_grpo", max_tokens=64)
