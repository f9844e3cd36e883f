"""Entries of the vectors that are more than log-probabilities and rewards, for `tests.vectors`.

    logits        TDPO: a leaf per answer, [T, V]; log-probabilities and KL(pi_ref || pi) are made of it by autograd
    actor-critic  PPO, RTO: the columns by `final_columns`, the policy's loss plus `vf_coef` times the critic's
    steps         process supervision: advantages on tokens by `tasks.pairing.process`

Shapes: N answers, T tokens, V vocabulary, C tokens of one answer.
"""

import dataclasses
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tasks.objectives import Batch, Objective, Rollouts
from tasks.objectives._gae import advantages_and_returns, outcome_rewards
from tasks.objectives._rto_rewards import rto_rewards
from tasks.pairing.process import process_advantages

Entry = dict[str, Any]
Compared = list[tuple[float, float]]
"""Found and expected."""
JUNK = -7.25
"""What stands on padding: it must not matter, so it is no zero."""


def flat(nested: Any) -> list[float]:
    """All numbers of nested lists, in order."""
    if isinstance(nested, list | tuple):
        return [number for part in nested for number in flat(part)]
    return [float(nested)]


def pairwise_equal(found: Any, expected: Any) -> Compared:
    """The numbers of both side by side.

    Raises:
        AssertionError: they are not equally many.
    """
    ours, theirs = flat(found), flat(expected)
    assert len(ours) == len(theirs), f"{len(theirs)} numbers expected, {len(ours)} found"
    return list(zip(ours, theirs, strict=True))


def padded(rows: Sequence[Tensor], width: int) -> Tensor:
    """[N, width] of N tensors [C], with gradient."""
    return torch.stack([torch.cat([row, row.new_full((width - len(row),), JUNK)]) for row in rows])


def mask_of(lengths: Sequence[int], width: int, dtype: torch.dtype) -> Tensor:
    """[N, width] 1 on tokens."""
    return (torch.arange(width)[None] < torch.tensor(lengths)[:, None]).to(dtype)


# --- logits --------------------------------------------------------------------------------------------------------

SIDES = ("chosen", "rejected")


def from_logits(objective: Objective, entry: Entry, layout: Any) -> tuple[float, Compared]:
    """Loss, and the gradient by the logits of every answer beside the expected one."""
    inputs, grad = entry["inputs"], entry["expected"]["grad"]
    one_pair = not isinstance(inputs["policy_logits_chosen"][0][0], list)
    pick = (lambda values, _: values) if one_pair else (lambda values, place: values[place])
    places = [(i, side) for i in range(1 if one_pair else len(inputs["chosen_ids"])) for side in SIDES]
    if layout.backwards:
        places = [places[i + j] for i in reversed(range(0, len(places), 2)) for j in (0, 1)]
    leaves: list[Tensor] = []
    columns: dict[str, Any] = {"logprobs": [], "ref_logprobs": [], "ref_kl": []}
    for place, side in places:
        policy = torch.tensor(pick(inputs[f"policy_logits_{side}"], place), dtype=layout.dtype, requires_grad=True)
        reference = torch.tensor(pick(inputs[f"ref_logits_{side}"], place), dtype=layout.dtype).log_softmax(-1)
        tokens = torch.tensor(pick(inputs[f"{side}_ids"], place))[:, None]
        log_TV = policy.log_softmax(-1)
        leaves.append(policy)
        columns["logprobs"].append(log_TV.gather(-1, tokens)[:, 0])
        columns["ref_logprobs"].append(reference.gather(-1, tokens)[:, 0])
        columns["ref_kl"].append((reference.exp() * (reference - log_TV)).sum(-1))
    lengths = [len(leaf) for leaf in leaves]
    width = max(lengths) + layout.extra_width
    tensors: dict[str, Any] = {column: padded(rows, width) for column, rows in columns.items()}
    batch = Batch(
        mask=mask_of(lengths, width, layout.dtype),
        weights=torch.ones(len(lengths), dtype=layout.dtype),
        num_items=len(lengths) / 2,
        num_sequences=float(len(lengths)),
        num_tokens=float(sum(lengths)),
        num_chosen_tokens=float(sum(lengths[0::2])),
        **tensors,
    )
    value = objective.loss(batch).value
    slopes = torch.autograd.grad(value, leaves)
    compared: Compared = []
    for slope, (place, side) in zip(slopes, places, strict=True):
        compared += pairwise_equal(slope.tolist(), pick(grad[f"policy_logits_{side}"], place))
    return value.item(), compared


# --- actor and critic ----------------------------------------------------------------------------------------------


def actor_critic(
    actor: Objective, critic: Objective, entry: Entry, layout: Any, expected: Entry
) -> tuple[float, Compared]:
    """Loss of both, their gradients and what is listed of rewards, advantages and returns beside the expected ones."""
    inputs, params = entry["inputs"], entry.get("params", {})
    rollouts = rollouts_of(inputs)
    columns: dict[str, Any] = {name: inputs[name] for name in ("advantages", "returns") if name in inputs}
    compared: Compared = []
    if rollouts.values is not None:
        columns = {**actor.final_columns(rollouts), **critic.final_columns(rollouts), **columns}
        compared = _estimates(actor, rollouts, expected)
    for key in ("advantages_whitened", "advantages"):
        if key in expected:
            compared += pairwise_equal([list(each) for each in columns["advantages"]], expected[key])
    order = list(range(len(rollouts.rewards)))[:: -1 if layout.backwards else 1]
    leaves = {
        key: [torch.tensor(inputs[key][i], dtype=layout.dtype, requires_grad=True) for i in order]
        for key in ("policy_logps", "values")
        if key in inputs
    }
    lengths = [len(leaf) for leaf in leaves["policy_logps"]]
    width = max(lengths) + layout.extra_width
    given = {"old_logprobs": inputs["old_logps"], "values": rollouts.values or inputs["old_logps"], **columns}
    tensors: dict[str, Any] = {
        column: padded([torch.tensor(np.asarray(rows[i], np.float64), dtype=layout.dtype) for i in order], width)
        for column, rows in given.items()
    }
    batch = Batch(
        logprobs=padded(leaves["policy_logps"], width),
        mask=mask_of(lengths, width, layout.dtype),
        weights=torch.ones(len(order), dtype=layout.dtype),
        num_items=1.0,
        num_sequences=float(len(order)),
        num_tokens=float(sum(lengths)),
        predicted=padded(leaves["values"], width) if "values" in leaves else None,
        **tensors,
    )
    policy = value = actor.loss(batch).value
    if "values" in leaves:
        error = critic.loss(batch).value
        value = policy + params.get("vf_coef", 1.0) * error
        if "value_loss" in expected:
            compared += [(error.item(), expected["value_loss"])]
    if "policy_loss" in expected:
        compared += [(policy.item(), expected["policy_loss"])]
    for key, of_key in leaves.items():
        slopes = torch.autograd.grad(value, of_key, retain_graph=True, allow_unused=True, materialize_grads=True)
        wanted = expected["grad"].get(key)
        if wanted is not None:
            compared += pairwise_equal([slope.tolist() for slope in slopes], [wanted[i] for i in order])
    return value.item(), compared


def rollouts_of(inputs: Entry) -> Rollouts:
    """The whole table of an entry, in double precision."""

    def rows(*names: str) -> Any:
        found = next((inputs[name] for name in names if name in inputs), None)
        return None if found is None else [np.array(each, np.float64) for each in found]

    rewards = np.array(inputs["rewards"], np.float64)
    return Rollouts(
        rewards=rewards,
        advantages=rows("old_logps"),
        old_logprobs=rows("old_logps"),
        ref_logprobs=rows("ref_logps"),
        values=rows("old_values", "values"),
        dpo_logprobs=rows("dpo_logps"),
        dpo_ref_logprobs=rows("dpo_ref_logps", "ref_logps"),
        groups=np.zeros(len(rewards), np.int64),
    )


def _estimates(actor: Any, rollouts: Rollouts, expected: Entry) -> Compared:
    """Rewards on tokens, advantages before they are normalised, and returns, as far as they are listed."""
    if rollouts.dpo_logprobs is None:
        rewards = outcome_rewards(rollouts, actor.kl_coef)
    else:
        rewards = rto_rewards(rollouts, actor.token_scale, actor.token_clip, actor.kl_coef)
    advantages, returns = advantages_and_returns(rewards, rollouts, actor.gamma, actor.lam)
    found = {"token_rewards": rewards, "gae_raw": advantages, "returns": returns}
    compared: Compared = []
    for name, values in found.items():
        if name in expected:
            compared += pairwise_equal([each.tolist() for each in values], expected[name])
    return compared


# --- steps ---------------------------------------------------------------------------------------------------------


def step_advantages(entry: Entry, lengths: Sequence[int], in_groups: Callable[..., list[list[int]]]) -> list[Any]:
    """[C] per answer, of the rewards of the steps of its group."""
    inputs, params = entry["inputs"], entry.get("params", {})
    ends = inputs.get("step_end_token_index") or inputs["step_ends"]
    deviation = re.search(r"ddof=(\d)", str(params.get("std", "")))
    scaling = {"ddof": int(deviation.group(1)) if deviation else 1, "eps": params.get("adv_eps", 1e-4)}
    found: dict[int, list[float]] = {}
    for members in in_groups(inputs, len(lengths)):
        rewards, last = ([part[i] for i in members] for part in (inputs["step_rewards"], ends))
        made = process_advantages(rewards, last, [lengths[i] for i in members], **scaling)
        found |= dict(zip(members, made, strict=True))
    return [found[i] for i in range(len(lengths))]


def fields_of(objective: type[Objective]) -> set[str]:
    """Names of the hyperparameters."""
    return {field.name for field in dataclasses.fields(objective)}
