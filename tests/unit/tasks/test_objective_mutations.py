"""Planted mistakes: each of these changes of a loss must be seen by the comparison with the textbook."""

import sys
import types
from pathlib import Path

import pytest
import torch
from task_examples import a_batch
from textbook import HYPERPARAMETERS, KL_SLOPES, TEXTBOOK

from tasks import objectives

FOLDER = Path(objectives.__file__).parent
MISTAKES = [
    # (objective, file, what stands there, what is put in its place)
    ("brain", "brain", "/ self.beta", "* self.beta"),
    ("brain", "brain", "log_alpha_N - log_b_N", "log_b_N - log_alpha_N"),
    ("brain", "brain", "_log_softmax(policy_N - proposal_N", "_log_softmax(policy_N"),
    ("brain", "brain", "/ batch.num_items", "/ batch.num_sequences"),
    ("dapo_clip", "dapo_clip", "self.clip_low, self.clip_high)", "self.clip_high, self.clip_low)"),
    ("dapo_clip", "dapo_clip", "token_mean(loss_NT", "sequence_mean(loss_NT"),
    ("dpo", "dpo", "reward_N[0::2] - reward_N[1::2]", "reward_N[1::2] - reward_N[0::2]"),
    ("dpo", "dpo", "- eps * logsigmoid(-margin_P)", "+ eps * logsigmoid(-margin_P)"),
    ("dpo", "dpo", "averaged=self.length_averaged", "averaged=False"),
    ("dpo_nll", "dpo_nll", "preference + self.alpha * likelihood", "preference - self.alpha * likelihood"),
    ("dpo_nll", "dpo_nll", "/ batch.num_chosen_tokens", "/ batch.num_tokens"),
    ("dpo_nll", "dpo_nll", 'averaged=self.nll == "sequence")[0::2]', "averaged=False)[0::2]"),
    ("dr_grpo", "dr_grpo", "constant_mean(loss_NT, batch, self.max_tokens)", "token_mean(loss_NT, batch)"),
    ("grpo", "grpo", "self.beta_kl * kl_NT", "-self.beta_kl * kl_NT"),
    ("grpo", "grpo", "sequence_mean(loss_NT", "token_mean(loss_NT"),
    ("grpo", "_surrogate", "torch.minimum", "torch.maximum"),
    ("grpo", "_surrogate", "return -torch.minimum", "return torch.minimum"),
    ("grpo", "_surrogate", "ratio.clamp(1 - low, 1 + high)", "ratio.clamp(1 - low, 1 + low + 1)"),
    ("grpo", "_surrogate", "minus_NT.exp() - minus_NT - 1", "minus_NT.exp() + minus_NT - 1"),
    ("grpo", "_surrogate", "minus_NT = -log_ratio", "minus_NT = log_ratio"),
    ("grpo", "_surrogate", "(batch.logprobs - other_NT) * batch.mask", "(other_NT - batch.logprobs) * batch.mask"),
    ("grpo_process", "grpo", "self.beta_kl * kl_NT", "-self.beta_kl * kl_NT"),
    ("grpo_process", "grpo", "sequence_mean(loss_NT", "token_mean(loss_NT"),
    ("gspo", "gspo", ".sum(-1) / lengths(batch)).exp()", ".sum(-1)).exp()"),
    ("gspo", "gspo", "surrogate(ratio_N, advantage_N", "-surrogate(ratio_N, advantage_N"),
    ("ipo", "ipo", "1 / (2 * self.beta)", "1 / self.beta"),
    ("ipo", "ipo", "ratio_N[0::2] - ratio_N[1::2]", "ratio_N[0::2] + ratio_N[1::2]"),
    ("mdpo_on", "mdpo_on", "-ratio_NT * advantage_NT +", "ratio_NT * advantage_NT +"),
    ("mdpo_on", "mdpo_on", "/ self.t_k", "* self.t_k"),
    ("mdpo_on", "mdpo_on", "ratio_NT * gap_NT - ratio_NT + 1", "gap_NT - ratio_NT + 1"),
    ("nca", "nca", "- 0.5 * logsigmoid(-rejected_P)", "- 0.5 * logsigmoid(rejected_P)"),
    ("nca", "nca", "- 0.5 * logsigmoid(-chosen_P)", ""),
    ("online_rft", "_likelihood", "-sequence_mean(advantage_NT * batch.logprobs", "-sequence_mean(batch.logprobs"),
    ("ppo", "ppo", "token_mean(loss_NT", "sequence_mean(loss_NT"),
    ("ppo", "ppo", "surrogate(ratio_NT, advantage_NT", "surrogate(ratio_NT, -advantage_NT"),
    ("ppo_critic", "ppo_critic", "token_mean(loss_NT", "sequence_mean(loss_NT"),
    ("ppo_critic", "_value", "0.5 * torch", "torch"),
    ("ppo_critic", "_value", "torch.maximum", "torch.minimum"),
    ("ppo_critic", "_value", "old_NT + (predicted_NT - old_NT)", "(predicted_NT - old_NT)"),
    ("ppo_critic", "_value", "clamp(-value_clip, value_clip)", "clamp(max=value_clip)"),
    ("r_dpo", "r_dpo", "+ self.alpha * (length_N", "- self.alpha * (length_N"),
    ("raft", "raft", "-token_mean(batch.logprobs", "token_mean(batch.logprobs"),
    ("raft_pp", "raft_pp", "surrogate(ratio_NT, advantage_NT", "surrogate(ratio_NT, -advantage_NT"),
    ("rdpo", "rdpo", "+ self.eps * logsigmoid(-margin_P)", "- self.eps * logsigmoid(-margin_P)"),
    ("rdpo", "rdpo", "/ (1 - 2 * self.eps)", ""),
    ("reinforce_pp", "reinforce_pp", "token_mean(loss_NT", "sequence_mean(loss_NT"),
    ("reward_model", "reward_model", "logsigmoid(margin_P)", "logsigmoid(-margin_P)"),
    ("reward_model", "reward_model", "lengths(batch).long() - 1", "lengths(batch).long() - lengths(batch).long()"),
    ("reward_model", "reward_model", "(chosen_P + rejected_P) ** 2", "(chosen_P - rejected_P) ** 2"),
    ("rft", "_likelihood", "-sequence_mean(", "sequence_mean("),
    ("rloo", "rloo", "log_ratio(batch, old_NT).sum(-1).exp()", "(log_ratio(batch, old_NT).sum(-1) / 2).exp()"),
    ("rloo", "_reductions", "(loss_N * batch.weights).sum() / batch.num_sequences", "loss_N.sum() / batch.num_items"),
    ("rto", "rto", "sequence_mean(loss_NT", "token_mean(loss_NT"),
    ("rto_critic", "rto_critic", "sequence_mean(loss_NT", "token_mean(loss_NT"),
    ("rto_critic", "_value", "predicted_NT - return_NT) ** 2", "predicted_NT - old_NT) ** 2"),
    ("sft", "sft", 'self.reduction == "token"', 'self.reduction != "token"'),
    ("sft", "_reductions", "/ batch.num_tokens", "/ batch.num_sequences"),
    ("simpo", "simpo", "- self.beta * self.gamma_beta_ratio", "+ self.beta * self.gamma_beta_ratio"),
    ("simpo", "simpo", "- self.beta * self.gamma_beta_ratio", "- self.gamma_beta_ratio"),
    ("simpo", "simpo", "averaged=True", "averaged=False"),
    ("slic", "slic", "self.delta - (", "self.delta + ("),
    ("sppo", "sppo", "ratio_N[1::2] + target", "ratio_N[1::2] - target"),
    ("tdpo1", "tdpo1", "+ divergence_N)", "- divergence_N)"),
    ("tdpo1", "tdpo1", "+ divergence_N)", "+ divergence_N.detach())"),
    ("tdpo1", "_pairs", 'objective.column(batch, "ref_kl") * batch.mask', 'objective.column(batch, "ref_kl") / 2'),
    ("tdpo2", "tdpo2", "divergence_N[0::2].detach()", "divergence_N[0::2]"),
    ("tdpo2", "tdpo2", "- self.alpha * drift_P", "+ self.alpha * drift_P"),
    ("tdpo2", "tdpo2", "- self.alpha * drift_P", "- drift_P"),
    ("sppo", "_pairs", "sequence_logprobs(batch) - (reference", "sequence_logprobs(batch) + (reference"),
]  # fmt: skip


def agrees(cls, name: str) -> bool:
    """Whether the class computes what the textbook says, for all hyperparameters and some batches."""
    for options in HYPERPARAMETERS[name]:
        for seed in range(4):
            objective, batch = cls(**options), a_batch(seed)
            value = objective.loss(batch).value
            loss, slopes = TEXTBOOK[name](batch, objective)
            if value.item() != pytest.approx(loss, rel=1e-9, abs=1e-11):
                return False
            trained = batch.logprobs if cls.trains == "policy" else batch.predicted
            wanted = [(trained, slopes)]
            if name in KL_SLOPES:
                wanted.append((batch.ref_kl, KL_SLOPES[name](batch, objective)[1]))
            for tensor, rows in wanted:
                (slope,) = torch.autograd.grad(
                    value, tensor, allow_unused=True, materialize_grads=True, retain_graph=True
                )
                expected = [each for row in rows for each in row]
                if slope[batch.mask.bool()].tolist() != pytest.approx(expected, rel=1e-9, abs=1e-11):
                    return False
    return True


def load_mutated(monkeypatch, name: str, file: str, old: str, new: str):
    """The class of `<name>.py`, built anew after the change of one file."""
    for module in dict.fromkeys((file, name)):
        source = (FOLDER / f"{module}.py").read_text(encoding="utf-8")
        if module == file:
            assert old in source
            source = source.replace(old, new)
        if "sequence_mean(" in source and "import token_mean\n" in source:
            source = source.replace("import token_mean\n", "import sequence_mean, token_mean\n")
        if "token_mean(" in source and "token_mean" not in source.partition("@dataclass")[0]:
            source = "from tasks.objectives._reductions import token_mean\n" + source
        built = types.ModuleType(f"tasks.objectives.{module}")
        monkeypatch.setitem(sys.modules, built.__name__, built)
        exec(compile(source, f"{module}.py", "exec"), built.__dict__)
    (cls,) = (c for c in vars(built).values() if isinstance(c, type) and c.__module__ == built.__name__)
    return cls


@pytest.mark.parametrize("name", objectives.available())
def test_without_a_mistake_the_comparison_agrees(name):
    assert agrees(objectives.find(name), name)


@pytest.mark.parametrize(("name", "file", "old", "new"), MISTAKES)
def test_a_planted_mistake_is_seen(monkeypatch, name, file, old, new):
    mutated = load_mutated(monkeypatch, name, file, old, new)

    assert not agrees(mutated, name)


def test_every_objective_has_a_planted_mistake():
    assert {name for name, *_ in MISTAKES} == set(objectives.available())
