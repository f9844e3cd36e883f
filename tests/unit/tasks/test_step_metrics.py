"""What is logged of an optimizer step: exact averages, largest values, and gradient coefficients by kind of answer."""

from collections import defaultdict
from types import SimpleNamespace

import pytest
import torch
from task_examples import a_batch, rows_only

from tasks import objectives
from tasks.workers.failure import NotFinite
from tasks.workers.stepreport import StepReport
from tasks.workers.trainer import ObjectiveTrainer


def a_trainer(name, **options):
    """The trainer without a model: what it measures of losses."""
    trainer = ObjectiveTrainer.__new__(ObjectiveTrainer)
    trainer.objective = objectives.load(name, **options)
    trainer.sums = defaultdict(lambda: (0.0, 0.0))
    trainer.largest = {}
    trainer.args = SimpleNamespace(device=torch.device("cpu"))
    return trainer


def measure(trainer, batch, right):
    loss = trainer.objective.loss(batch)
    inputs = {"mask": batch.mask, "weights": batch.weights, "right": torch.tensor(right)}
    trainer._measure_coefficients(loss.value, batch.logprobs, inputs)


@pytest.mark.parametrize("sizes", [[8], [2, 6], [4, 2, 2]])
def test_coefficients_are_means_over_all_tokens_of_a_kind_however_the_step_is_dealt(sizes):
    batch, trainer = a_batch(3), a_trainer("dpo", beta=0.5)
    (slopes,) = torch.autograd.grad(trainer.objective.loss(batch).value, batch.logprobs)

    start = 0
    for size in sizes:
        rows = list(range(start, start + size))
        leaf = batch.logprobs[rows].detach().requires_grad_()
        measure(trainer, rows_only(batch, rows, logprobs=leaf), [True, False] * (size // 2))
        start += size

    found = trainer.drain()
    for name, first in (("coef/chosen", 0), ("coef/rejected", 1)):
        kind = batch.mask[first::2]
        assert found[name] == pytest.approx(float((slopes[first::2] * kind).sum() / kind.sum()))
    assert found["coef/chosen"] < 0 < found["coef/rejected"]


def test_a_kind_of_answer_that_a_step_does_not_hold_has_no_average():
    trainer = a_trainer("rft")

    measure(trainer, a_batch(0), [True] * 8)

    assert set(trainer.drain()) == {"coef/right"}


def test_of_the_largest_only_the_largest_counts_and_fillers_do_not():
    trainer = a_trainer("mdpo_on")

    for values, weight in (([1.0, 3.0], 1.0), ([2.0], 1.0), ([99.0], 0.0)):
        trainer._keep_largest("ratio/max", torch.tensor(values), weight)

    assert trainer.drain() == {"ratio/max": 3.0}
    assert trainer.drain() == {}


def test_the_objective_sees_the_columns_it_asked_for_and_no_others():
    batch = a_batch(1)
    names = ("mask", "weights", "num_items", "num_sequences", "num_tokens", "num_chosen_tokens", "ref_logprobs",
             "old_logprobs", "advantages", "rewards", "groups")  # fmt: skip
    inputs = {name: getattr(batch, name) for name in names}

    seen = a_trainer("gspo")._batch(batch.logprobs, inputs)
    of_pairs = a_trainer("simpo")._batch(batch.logprobs, inputs)

    assert seen.ref_logprobs is None
    assert seen.rewards is None
    assert seen.advantages is batch.advantages
    assert of_pairs.groups is None
    assert of_pairs.old_logprobs is None


@pytest.mark.parametrize(("max_kl", "stops"), [(None, False), (0.5, False), (0.05, True)])
def test_training_stops_after_a_step_that_went_too_far(tmp_path, max_kl, stops):
    engine = SimpleNamespace(get_global_grad_norm=lambda: 0.5)
    trainer = SimpleNamespace(drain=lambda: {"kl/old": 0.1, "loss": 1.0}, model_wrapped=engine)
    report = StepReport(trainer, tmp_path / "progress.jsonl", max_kl)
    control = SimpleNamespace(should_training_stop=False)
    state = SimpleNamespace(is_world_process_zero=True, global_step=4, max_steps=9)

    report.on_step_end(None, state, control, lr_scheduler=SimpleNamespace(get_last_lr=lambda: [0.1]))

    assert control.should_training_stop is stops
    assert (report.stopped == "kl/old 0.1 above train.max_kl after step 4") is stops


@pytest.mark.parametrize("norm", [float("nan"), float("inf")])
def test_a_gradient_that_is_not_a_number_ends_training_and_names_the_rows(tmp_path, norm):
    trainer = a_trainer("sft")
    sequences = SimpleNamespace(name=lambda row: f"p{row}[0]")
    trainer.train_dataset, trainer.rows = SimpleNamespace(sequences=sequences), [7, 3, 7]
    trainer.state = SimpleNamespace(is_world_process_zero=True, global_step=5, max_steps=9)
    trainer.model_wrapped = SimpleNamespace(get_global_grad_norm=lambda: norm)

    with pytest.raises(NotFinite) as caught:
        StepReport(trainer, tmp_path / "progress.jsonl").on_step_end(None, trainer.state, None)

    assert caught.value.message == f"the gradient's norm is {norm} in step 5, rows p3[0], p7[0]"
