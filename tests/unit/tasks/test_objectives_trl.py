"""The losses against TRL's own code, where TRL 1.16 has the same one: its trainers' methods on our log-probabilities.

A stub stands in for the trainer and for the model, so that nothing but the arithmetic of the loss is compared.
"""

from collections import defaultdict
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from task_examples import a_batch
from torch import Tensor

from tasks import objectives
from tasks.objectives import Batch


def gradients(value: Tensor, batch: Batch) -> Tensor:
    (found,) = torch.autograd.grad(value, batch.logprobs)
    return found


def assert_equal(name: str, options: dict, batch: Batch, theirs: Tensor) -> None:
    ours = objectives.load(name, **options).loss(batch).value

    torch.testing.assert_close(ours, theirs, rtol=1e-11, atol=1e-12)
    torch.testing.assert_close(gradients(ours, batch), gradients(theirs, batch), rtol=1e-11, atol=1e-12)


def accelerator() -> SimpleNamespace:
    return SimpleNamespace(
        device=torch.device("cpu"), num_processes=1,
        gather=lambda x: x, gather_for_metrics=lambda x: x, reduce=lambda x, **_: x,
    )  # fmt: skip


# --- DPOTrainer --------------------------------------------------------------------------------------------------


def dpo_trainer_loss(
    batch: Batch, types: list[str], weights: list[float] | None = None, *, beta: float, smoothing: float = 0.0
) -> Tensor:
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
    trainer = SimpleNamespace(
        model=SimpleNamespace(training=True),
        accelerator=accelerator(),
        aux_loss_enabled=False,
        ld_alpha=None,
        precompute_ref_logps=True,
        f_divergence_type="reverse_kl",
        loss_types=types,
        loss_weights=weights or [1.0] * len(types),
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


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("name", "options", "types", "settings"),
    [
        ("dpo", {"beta": 0.1}, ["sigmoid"], {"beta": 0.1}),
        ("dpo", {"beta": 0.5}, ["sigmoid"], {"beta": 0.5}),
        ("dpo", {"beta": 0.5, "length_averaged": True}, ["sigmoid_norm"], {"beta": 0.5}),
        ("dpo_nll", {"beta": 0.2, "alpha": 1.0, "nll": "token"}, ["sigmoid", "sft"], {"beta": 0.2}),
        ("ipo", {"beta": 0.3, "length_averaged": True}, ["ipo"], {"beta": 0.3}),
        ("rdpo", {"beta": 0.4, "eps": 0.1}, ["robust"], {"beta": 0.4, "smoothing": 0.1}),
        ("nca", {"beta": 0.3}, ["nca_pair"], {"beta": 0.3}),
        ("sppo", {"beta": 0.5}, ["sppo_hard"], {"beta": 0.5}),
        ("slic", {"beta": 0.2}, ["hinge"], {"beta": 0.2}),
    ],
    ids=str,
)
def test_a_preference_loss_equals_trl_in_loss_and_gradient(name, options, types, settings, seed):
    batch = a_batch(seed)

    assert_equal(name, options, batch, dpo_trainer_loss(batch, types, **settings))


@pytest.mark.parametrize(("beta", "smoothing"), [(0.1, 0.1), (0.3, 0.4)])
def test_conservative_dpo_is_a_mixture_of_two_losses_of_trl(beta, smoothing):
    """TRL's "sigmoid" ignores label_smoothing; this combination does not."""
    batch = a_batch(3)
    mixture = dpo_trainer_loss(
        batch, ["sigmoid", "robust"], [2 * (1 - smoothing), -(1 - 2 * smoothing)], beta=beta, smoothing=smoothing
    )

    assert_equal("dpo", {"beta": beta, "label_smoothing": smoothing}, batch, mixture)


@pytest.mark.parametrize("seed", range(3))
def test_simpo_equals_trl_in_loss_and_gradient(seed):
    from trl.experimental.cpo import CPOTrainer

    batch = a_batch(seed)
    mean = (batch.logprobs * batch.mask).sum(-1) / batch.mask.sum(-1)
    trainer = SimpleNamespace(
        loss_type="simpo", simpo_gamma=1.1, beta=2.0, label_smoothing=0.0, alpha=0.0, accelerator=accelerator()
    )

    losses, *_ = CPOTrainer.cpo_loss(trainer, mean[0::2], mean[1::2])

    assert_equal("simpo", {"beta": 2.0, "gamma_beta_ratio": 0.55}, batch, losses.mean())


# --- GRPOTrainer and RLOOTrainer ---------------------------------------------------------------------------------


def policy_inputs(batch: Batch) -> dict[str, Tensor]:
    ids = torch.zeros(batch.mask.shape, dtype=torch.long)
    assert batch.advantages is not None
    assert batch.old_logprobs is not None
    assert batch.ref_logprobs is not None
    return {
        "prompt_ids": ids[:, :1],
        "prompt_mask": torch.ones_like(ids[:, :1]),
        "completion_ids": ids,
        "completion_mask": batch.mask,
        "advantages": batch.advantages[:, 0],
        "old_per_token_logps": batch.old_logprobs,
        "old_logps": (batch.old_logprobs * batch.mask).sum(-1),
        "ref_per_token_logps": batch.ref_logprobs,
        "num_items_in_batch": batch.mask.sum(),
    }


def policy_trainer(batch: Batch, **settings) -> SimpleNamespace:
    zeros = torch.zeros_like(batch.mask)
    return SimpleNamespace(
        **{
            "_get_per_token_logps_and_entropies": lambda *a, **k: (batch.logprobs * batch.mask, zeros, None),
            "model": SimpleNamespace(training=True),
            "accelerator": accelerator(),
            "args": SimpleNamespace(
                use_bias_correction_kl=settings.pop("corrected_kl", False), delta=None, steps_per_generation=1
            ),
            "aux_loss_enabled": False,
            "top_entropy_quantile": 1.0,
            "off_policy_mask_threshold": None,
            "importance_sampling_level": "token",
            "beta": 0.0,
            "epsilon_low": 0.2,
            "epsilon_high": 0.2,
            "loss_type": "grpo",
            "use_vllm": False,
            "_entropy_bonus_enabled": False,
            "use_adaptive_entropy": False,
            "current_gradient_accumulation_steps": 1,
            "max_completion_length": 9,
            "_metrics": {"train": defaultdict(list)},
            **settings,
        }
    )


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("name", "options", "settings"),
    [
        ("grpo", {"beta_kl": 0.0, "clip_eps": 0.1}, {"epsilon_low": 0.1, "epsilon_high": 0.1}),
        ("grpo", {"beta_kl": 0.04}, {"beta": 0.04}),
        ("dapo_clip", {}, {"loss_type": "dapo", "epsilon_high": 0.28}),
        ("reinforce_pp", {}, {"loss_type": "bnpo"}),
        ("raft_pp", {}, {"loss_type": "bnpo"}),
        ("dr_grpo", {"max_tokens": 9}, {"loss_type": "dr_grpo"}),
        ("gspo", {}, {"importance_sampling_level": "sequence", "epsilon_low": 3e-4, "epsilon_high": 4e-4}),
        ("gspo", {"clip_low": 0.2, "clip_high": 0.1}, {"importance_sampling_level": "sequence", "epsilon_high": 0.1}),
    ],
    ids=str,
)
def test_a_policy_gradient_equals_trl_in_loss_and_gradient(name, options, settings, seed):
    from trl import GRPOTrainer

    batch = a_batch(seed)

    theirs = GRPOTrainer._compute_loss(policy_trainer(batch, **settings), None, policy_inputs(batch))

    assert_equal(name, options, batch, theirs)


@pytest.mark.parametrize(
    ("name", "options", "settings"),
    [
        ("grpo_process", {"beta_kl": 0.1}, {"beta": 0.1}),
        ("ppo", {}, {"loss_type": "bnpo"}),
        ("rto", {"clip_eps": 0.1}, {"epsilon_low": 0.1, "epsilon_high": 0.1}),
    ],
    ids=str,
)
def test_advantages_that_differ_from_token_to_token_are_taken_as_trl_takes_them(name, options, settings):
    from trl import GRPOTrainer

    batch = a_batch(5)
    assert batch.returns is not None
    batch = replace(batch, advantages=2 * batch.returns)
    inputs = policy_inputs(batch) | {"advantages": 2 * batch.returns}

    theirs = GRPOTrainer._compute_loss(policy_trainer(batch, **settings), None, inputs)

    assert_equal(name, options, batch, theirs)


@pytest.mark.parametrize("t_k", [1.0, 0.3])
def test_mirror_descent_is_trls_grpo_with_the_sampler_as_its_reference_and_no_clip(t_k):
    from trl import GRPOTrainer

    batch = a_batch(4)
    inputs = policy_inputs(batch)
    inputs["ref_per_token_logps"] = inputs["old_per_token_logps"]
    settings = {"beta": 1 / t_k, "epsilon_low": 1e9, "epsilon_high": 1e9, "loss_type": "bnpo", "corrected_kl": True}

    theirs = GRPOTrainer._compute_loss(policy_trainer(batch, **settings), None, inputs)

    assert_equal("mdpo_on", {"t_k": t_k}, batch, theirs)


@pytest.mark.parametrize("seed", range(3))
def test_rloo_equals_trl_in_loss_and_gradient(seed):
    from trl import RLOOTrainer

    batch = a_batch(seed)

    theirs = RLOOTrainer._compute_loss(policy_trainer(batch), None, policy_inputs(batch))

    assert_equal("rloo", {}, batch, theirs)


# --- RewardTrainer -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("center", [0.0, 0.01, 0.3])
@pytest.mark.parametrize("seed", range(3))
def test_a_reward_model_equals_trl_in_loss_and_gradient(center, seed):
    from trl import RewardTrainer

    batch = a_batch(seed)
    assert batch.predicted is not None
    scores = batch.predicted[range(len(batch.mask)), batch.mask.sum(-1).long() - 1]
    trainer = SimpleNamespace(
        model=SimpleNamespace(training=True), args=SimpleNamespace(center_rewards_coefficient=center or None),
        accelerator=accelerator(), _total_train_tokens=0, _tp_size=1, _metrics={"train": defaultdict(list)},
    )  # fmt: skip
    outputs = SimpleNamespace(logits=torch.cat([scores[0::2], scores[1::2]])[:, None])  # TRL: all chosen, then rejected

    theirs = RewardTrainer.compute_loss(trainer, lambda **_: outputs, {"attention_mask": batch.mask})

    ours = objectives.load("reward_model", center=center).loss(batch).value
    torch.testing.assert_close(ours, theirs, rtol=1e-11, atol=1e-12)
    found, expected = (torch.autograd.grad(value, batch.predicted, retain_graph=True)[0] for value in (ours, theirs))
    torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-12)
