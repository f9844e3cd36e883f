"""The losses against three independent sources: published vectors, TRL 1.16, and the textbook in plain Python."""

import json
import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from task_examples import a_batch
from torch import Tensor

from tasks import objectives
from tasks.objectives import Batch, Loss, Objective

VECTORS = json.loads((Path(__file__).parents[2] / "golden" / "objective_vectors.json").read_text(encoding="utf-8"))


def batch_of(policy: list[list[float]], reference: list[list[float]] | None, num_items: float) -> Batch:
    """A padded float64 batch of these rows."""
    width = max(map(len, policy))

    def padded(rows: list[list[float]]) -> Tensor:
        return torch.tensor([row + [0.0] * (width - len(row)) for row in rows], dtype=torch.float64)

    mask = padded([[1.0] * len(row) for row in policy])
    return Batch(
        logprobs=padded(policy).requires_grad_(),
        mask=mask,
        weights=torch.ones(len(policy), dtype=torch.float64),
        num_items=num_items,
        num_tokens=float(mask.sum()),
        ref_logprobs=padded(reference) if reference else None,
    )


def gradient(objective: Objective, batch: Batch) -> Tensor:
    (found,) = torch.autograd.grad(objective.loss(batch).value, batch.logprobs)
    return found


def ragged(rows: Tensor, like: list[list[float]]) -> list[list[float]]:
    return [row[: len(wanted)].tolist() for row, wanted in zip(rows, like, strict=True)]


# --- published vectors -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["sft", "raft"])
def test_the_likelihood_losses_reproduce_the_published_vector(name):
    vector = VECTORS["sft_token_mean"]
    rows = vector["inputs"]["policy_logps"]
    batch, objective = batch_of(rows, None, len(rows)), objectives.load(name)

    loss, found = objective.loss(batch).value, ragged(gradient(objective, batch), rows)

    assert loss.item() == pytest.approx(vector["expected"]["loss"], abs=1e-9)
    for row, expected in zip(found, vector["expected"]["grad"]["policy_logps"], strict=True):
        assert row == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(("name", "smoothing"), [("dpo", 0.0), ("cdpo_label_smoothing", 0.1)])
def test_dpo_reproduces_the_published_vector(name, smoothing):
    inputs, expected = VECTORS[name]["inputs"], VECTORS[name]["expected"]
    sides = [(inputs[f"{who}_chosen_logps"], inputs[f"{who}_rejected_logps"]) for who in ("policy", "ref")]
    interleaved = [[row for pair in zip(*both, strict=True) for row in pair] for both in sides]
    batch = batch_of(*interleaved, num_items=2)
    objective = objectives.load("dpo", beta=VECTORS[name]["params"]["beta"], label_smoothing=smoothing)

    loss, rows = objective.loss(batch), ragged(gradient(objective, batch), interleaved[0])

    assert loss.value.item() == pytest.approx(expected["loss"], abs=1e-9)
    for place, side in enumerate(("chosen", "rejected")):
        for row, wanted in zip(rows[place::2], expected["grad"][f"policy_{side}_logps"], strict=True):
            assert row == pytest.approx(wanted, abs=1e-9)
    if "margins" in expected:
        assert loss.metrics["rewards/margins"].tolist() == pytest.approx(expected["margins"], abs=1e-9)
        assert loss.metrics["rewards/chosen"].tolist() == pytest.approx(expected["rewards_chosen"], abs=1e-9)
        assert loss.metrics["rewards/rejected"].tolist() == pytest.approx(expected["rewards_rejected"], abs=1e-9)
        assert loss.metrics["rewards/accuracies"].mean().item() == expected["accuracy"]


# --- TRL ---------------------------------------------------------------------------------------------------------


def trl_loss(batch: Batch, beta: float, smoothing: float) -> Tensor:
    """`DPOTrainer._compute_loss` itself, on a model whose outputs are our log-probabilities."""
    from collections import defaultdict

    from trl import DPOTrainer

    order = [*range(0, len(batch.logprobs), 2), *range(1, len(batch.logprobs), 2)]  # TRL: all chosen, then rejected
    logprobs, mask = (batch.logprobs * batch.mask)[order], batch.mask[order]
    assert batch.ref_logprobs is not None
    reference = (batch.ref_logprobs * batch.mask)[order].sum(-1)
    outputs = SimpleNamespace(
        log_probs=logprobs,
        entropy=torch.zeros_like(logprobs),
        mean_logits=torch.zeros_like(logprobs),
        is_top1=torch.zeros_like(logprobs, dtype=torch.bool),
    )
    types, weights = (["sigmoid"], [1.0])
    if smoothing:  # "sigmoid" ignores label_smoothing; this combination is conservative DPO
        types, weights = ["sigmoid", "robust"], [2 * (1 - smoothing), -(1 - 2 * smoothing)]
    trainer = SimpleNamespace(
        model=SimpleNamespace(training=True),
        accelerator=SimpleNamespace(device=torch.device("cpu"), gather=lambda x: x, gather_for_metrics=lambda x: x),
        aux_loss_enabled=False,
        ld_alpha=None,
        precompute_ref_logps=True,
        f_divergence_type="reverse_kl",
        loss_types=types,
        loss_weights=weights,
        beta=beta,
        label_smoothing=smoothing,
        use_weighting=False,
        _metrics={"train": defaultdict(list)},
        _total_train_tokens=0,
        _tp_size=1,
    )
    ids = torch.zeros(len(mask), mask.shape[1] + 1, dtype=torch.long)
    chosen, rejected = reference.chunk(2)
    inputs = {
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
        "completion_mask": torch.cat([torch.zeros_like(mask[:, :1]), mask], dim=1),
        "ref_chosen_logps": chosen,
        "ref_rejected_logps": rejected,
    }
    return DPOTrainer._compute_loss(trainer, lambda **_: outputs, inputs, return_outputs=False)


@pytest.mark.parametrize(("beta", "smoothing"), [(0.1, 0.0), (0.5, 0.0), (0.1, 0.1), (0.3, 0.4)])
def test_dpo_equals_trl_in_loss_and_gradient(beta, smoothing):
    batch = a_batch(3)
    objective = objectives.load("dpo", beta=beta, label_smoothing=smoothing)

    theirs = trl_loss(batch, beta, smoothing)
    (their_gradient,) = torch.autograd.grad(theirs, batch.logprobs)

    torch.testing.assert_close(objective.loss(batch).value, theirs, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(gradient(objective, batch), their_gradient, rtol=1e-12, atol=1e-12)


# --- the textbook ------------------------------------------------------------------------------------------------


def sequence_sums(batch: Batch, values: Tensor) -> list[Tensor]:
    """sum_t over the completion tokens of each row, token by token."""
    zero = torch.zeros((), dtype=values.dtype)
    return [
        sum((values[n, t] for t in range(values.shape[1]) if batch.mask[n, t]), start=zero) for n in range(len(values))
    ]


def textbook_dpo(batch: Batch, objective: Objective) -> Tensor:
    """Rafailov et al., equation 7, and the noise-aware form: probabilities, not log-sigmoids."""
    assert batch.ref_logprobs is not None
    beta, eps = objective.beta, objective.label_smoothing  # type: ignore[attr-defined]
    policy, reference = sequence_sums(batch, batch.logprobs), sequence_sums(batch, batch.ref_logprobs)
    losses = []
    for w in range(0, len(policy), 2):
        odds = torch.exp(beta * (policy[w] - reference[w]) - beta * (policy[w + 1] - reference[w + 1]))
        right = odds / (1 + odds)
        losses.append(-(1 - eps) * torch.log(right) - eps * torch.log(1 - right))
    return sum(losses) / len(losses)  # type: ignore[return-value]


def textbook_likelihood(batch: Batch, objective: Objective) -> Tensor:
    """Negative log-likelihood per completion token of the batch."""
    total = sum(sequence_sums(batch, batch.logprobs))
    return -total / int(batch.mask.sum())  # type: ignore[return-value, operator]


TEXTBOOK = {"dpo": textbook_dpo, "sft": textbook_likelihood, "raft": textbook_likelihood}
"""One entry per file in tasks/objectives: a new algorithm comes with its own."""

OTHER_HYPERPARAMETERS = {"dpo": {"beta": 0.7, "label_smoothing": 0.2}}


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("name", objectives.available())
def test_loss_and_gradient_are_those_of_the_textbook(name, seed):
    batch = a_batch(seed)
    for objective in (objectives.load(name), objectives.load(name, **OTHER_HYPERPARAMETERS.get(name, {}))):
        expected = TEXTBOOK[name](batch, objective)
        (expected_gradient,) = torch.autograd.grad(expected, batch.logprobs)

        torch.testing.assert_close(objective.loss(batch).value, expected)
        torch.testing.assert_close(gradient(objective, batch), expected_gradient)


# --- properties --------------------------------------------------------------------------------------------------


@given(seed=st.integers(0, 10_000), smoothing=st.floats(0, 0.49), beta=st.floats(0.01, 5))
def test_a_policy_equal_to_its_reference_has_loss_ln_2(seed, smoothing, beta):
    batch = a_batch(seed)
    batch = replace(batch, ref_logprobs=batch.logprobs.detach())

    loss = objectives.load("dpo", beta=beta, label_smoothing=smoothing).loss(batch)

    assert loss.value.item() == pytest.approx(math.log(2), abs=1e-12)
    assert loss.metrics["rewards/margins"].abs().max().item() == 0


def part_of(batch: Batch, rows: list[int], leaf: Tensor) -> Batch:
    """Some rows as a micro-batch of the same optimizer step."""
    assert batch.ref_logprobs is not None
    return replace(
        batch,
        logprobs=leaf[rows],
        mask=batch.mask[rows],
        weights=batch.weights[rows],
        ref_logprobs=batch.ref_logprobs[rows],
    )


@pytest.mark.parametrize("name", objectives.available())
@given(seed=st.integers(0, 10_000), cuts=st.lists(st.integers(0, 5), max_size=4), order=st.permutations(range(5)))
def test_any_split_into_micro_batches_gives_the_same_loss_and_gradient(name, seed, cuts, order):
    objective, batch = objectives.load(name), a_batch(seed, pairs=5)
    bounds = [0, *sorted(cuts), 5]
    parts = [order[a:b] for a, b in pairwise(bounds) if b > a]
    rows = [[row for pair in part for row in (2 * pair, 2 * pair + 1)] for part in parts]

    total = sum(objective.loss(part_of(batch, part, batch.logprobs)).value for part in rows)
    (found,) = torch.autograd.grad(total, batch.logprobs)

    torch.testing.assert_close(total, objective.loss(batch).value, rtol=1e-12, atol=1e-13)
    torch.testing.assert_close(found, gradient(objective, batch), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("name", objectives.available())
@given(seed=st.integers(0, 10_000))
def test_filler_rows_of_weight_zero_change_nothing(name, seed):
    objective, batch, filler = objectives.load(name), a_batch(seed), a_batch(seed + 1)
    assert batch.ref_logprobs is not None
    assert filler.ref_logprobs is not None
    together = replace(
        batch,
        logprobs=torch.cat([batch.logprobs, filler.logprobs]),
        mask=torch.cat([batch.mask, filler.mask]),
        weights=torch.cat([batch.weights, torch.zeros_like(filler.weights)]),
        ref_logprobs=torch.cat([batch.ref_logprobs, filler.ref_logprobs]),
    )

    loss = objective.loss(together).value
    found, of_filler = torch.autograd.grad(loss, [batch.logprobs, filler.logprobs])

    torch.testing.assert_close(loss, objective.loss(batch).value, rtol=1e-12, atol=1e-13)
    torch.testing.assert_close(found, gradient(objective, batch), rtol=1e-12, atol=1e-13)
    assert of_filler.abs().max().item() == 0


@pytest.mark.parametrize("name", objectives.available())
@given(seed=st.integers(0, 10_000), noise=st.floats(-50, 50))
def test_what_stands_on_padding_does_not_matter(name, seed, noise):
    objective, batch = objectives.load(name), a_batch(seed)
    assert batch.ref_logprobs is not None
    dirty = replace(
        batch,
        logprobs=batch.logprobs + noise * (1 - batch.mask),
        ref_logprobs=batch.ref_logprobs - noise * (1 - batch.mask),
    )

    clean, other = objective.loss(batch), objective.loss(dirty)

    torch.testing.assert_close(other.value, clean.value)
    for metric in clean.metrics:
        torch.testing.assert_close(other.metrics[metric], clean.metrics[metric])


@pytest.mark.parametrize("name", objectives.available())
def test_metrics_are_one_detached_number_per_row_or_pair(name):
    batch = a_batch(0)

    loss = objectives.load(name).loss(batch)

    assert isinstance(loss, Loss)
    assert loss.metrics
    rows = len(batch.mask) // 2 if objectives.load(name).rows == "pairs" else len(batch.mask)
    for values in loss.metrics.values():
        assert values.shape == (rows,)
        assert not values.requires_grad


def test_raising_the_chosen_answer_lowers_the_dpo_loss():
    batch = a_batch(5)
    better = torch.zeros_like(batch.mask)
    better[0::2] = 0.1 * batch.mask[0::2]

    before = objectives.load("dpo").loss(batch).value
    after = objectives.load("dpo").loss(replace(batch, logprobs=batch.logprobs + better)).value

    assert after < before


def test_extreme_margins_stay_finite():
    batch = a_batch(1)
    assert batch.ref_logprobs is not None
    far = replace(batch, ref_logprobs=batch.ref_logprobs - 1e5 * torch.tensor([[1.0], [-1.0]] * 4) * batch.mask)

    for flipped in (1, -1):
        loss = objectives.load("dpo", beta=1.0, label_smoothing=0.1).loss(
            replace(far, ref_logprobs=flipped * far.ref_logprobs)  # type: ignore[operator]
        )
        (found,) = torch.autograd.grad(loss.value, batch.logprobs)
        assert torch.isfinite(loss.value)
        assert torch.isfinite(found).all()


# --- loading -----------------------------------------------------------------------------------------------------


def test_the_files_of_the_folder_are_the_objectives():
    files = {path.stem for path in Path(objectives.__file__).parent.glob("*.py")} - {"__init__"}

    assert set(objectives.available()) == files
    assert {objectives.load(name).rows for name in files} <= {"pairs", "accepted"}
    assert [name for name in sorted(files) if objectives.load(name).needs_reference] == ["dpo"]


def test_an_unknown_name_names_the_nearest_one():
    with pytest.raises(ValueError, match=r"unknown objective 'dop', did you mean 'dpo'\?; known: dpo, raft, sft"):
        objectives.load("dop")


def test_a_name_like_nothing_lists_what_there_is():
    with pytest.raises(ValueError, match=r"unknown objective 'xyzzy'; known: .*raft"):
        objectives.load("xyzzy")


def test_an_unknown_hyperparameter_names_the_nearest_one():
    with pytest.raises(ValueError, match=r"no hyperparameter 'bata', did you mean 'beta'\?; it has: beta, label"):
        objectives.load("dpo", bata=0.1)


def test_an_objective_without_hyperparameters_says_so():
    with pytest.raises(ValueError, match="sft has no hyperparameter 'beta'; it has no hyperparameters"):
        objectives.load("sft", beta=0.1)


@pytest.mark.parametrize("wrong", [{"beta": 0}, {"beta": -1}, {"label_smoothing": 0.5}, {"label_smoothing": -0.1}])
def test_a_hyperparameter_out_of_range_is_refused(wrong):
    with pytest.raises(ValueError, match=r"dpo needs beta > 0 and 0 <= label_smoothing < 0\.5, found"):
        objectives.load("dpo", **wrong)


def test_dpo_without_a_reference_is_refused():
    with pytest.raises(ValueError, match="dpo needs reference log-probabilities"):
        objectives.load("dpo").loss(replace(a_batch(0), ref_logprobs=None))
