"""Replay float64 vectors of the algorithm study through the registered objectives.

    python -m tests.vectors FILE.json

An entry has ragged `inputs`, `params`, and the expected loss and gradient. It is fed through what a run uses: the
advantages of `tasks.pairing` or `final_columns`, a padded `Batch`, the objective, autograd. Entries with logits, a
critic or steps are laid out by `tests.vector_forms`. Prints the worst difference of each entry in
loss and gradient and fails on the first above 1e-6. Entries of algorithms that are not registered are skipped and
counted.
"""

import json
import math
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tasks import objectives
from tasks.objectives import Batch, Objective
from tasks.pairing.advantages import advantages
from tests.vector_forms import actor_critic, fields_of, from_logits, step_advantages

TOLERANCE = 1e-6
Entry = dict[str, Any]
Ragged = list[list[float]]

ALIASES = {
    "dpo": {"eps": "label_smoothing"},
    "rdpo": {"eps_flip": "eps"},
    "sppo": {"beta_(=1/eta)": "beta"},
    "simpo": {"gamma": None},
    "rto": {
        "beta1_dpo_reward_scale": "token_scale",
        "beta1": "token_scale",
        "dpo_reward_scale": "token_scale",
        "dpo_reward_clip": "token_clip",
        "beta2_kl_coef": "kl_coef",
        "beta2": "kl_coef",
    },
    "reward_model": {"center_rewards_coefficient": "center"},
    "dapo_clip": {"epsilon": "clip_low", "epsilon_high": "clip_high", "clip_eps": "clip_low"},
}
ALIASES["rto_critic"] = ALIASES["rto"]
"""Names of hyperparameters in the vectors, where they differ from ours; None: follows from another one."""


@dataclass(frozen=True)
class Case:
    """Which objective an entry is for, and what its id says beyond the parameters."""

    objective: str
    fixed: dict[str, Any]


BY_ID: dict[str, Case] = {
    "sft_token_mean": Case("sft", {"reduction": "token"}),
    "sft_seq_mean": Case("sft", {"reduction": "sequence"}),
    "rft": Case("rft", {}),
    "online_rft": Case("online_rft", {}),
    "raft_pp": Case("raft_pp", {}),
    "dpo": Case("dpo", {}),
    "cdpo": Case("dpo", {}),
    "dpo_length_averaged": Case("dpo", {"length_averaged": True}),
    "dpo_nll_token_mean": Case("dpo_nll", {"nll": "token"}),
    "dpo_nll_length_norm": Case("dpo_nll", {"nll": "sequence"}),
    "egida_dpo": Case("dpo", {}),
    "r_to_q_star": Case("dpo", {}),
    "rdpo": Case("rdpo", {}),
    "light_r1_nca": Case("nca", {}),
    "sppo": Case("sppo", {}),
    "slic": Case("slic", {}),
    "grpo_outcome": Case("grpo", {}),
    "grpo_iterative": Case("grpo", {}),
    "reinforce++": Case("reinforce_pp", {}),
    "mdpo_on": Case("mdpo_on", {}),
    "brain": Case("brain", {}),
}
"""By the longest prefix of the id; the names of the objectives themselves count as well."""
NOT_OURS = ("mdpo_off", "dapo_direct", "drpo")
"""Prefixes of other algorithms that begin like one of ours."""
BY_CARD: dict[str, str] = {
    "SFT": "sft_token_mean",
    "RFT": "rft",
    "Online RFT": "online_rft",
    "RAFT": "raft_pp",
    "DPO+NLL": "dpo_nll_token_mean",
    "DPO (form printed": "dpo_length_averaged",
    "DPO": "dpo",
    "Egida": "dpo",
    "From r to Q*": "dpo",
    "Online / iterative DPO": "dpo",
    "rDPO": "rdpo",
    "R-DPO": "r_dpo",
    "SimPO": "simpo",
    "Light-R1": "light_r1_nca",
    "Appendix: SPPO": "sppo",
    "Appendix: SLiC": "slic",
    "GRPO outcome": "grpo_outcome",
    "GRPO process": "grpo_process",
    "PPO": "ppo",
    "RTO": "rto",
    "TDPO1": "tdpo1",
    "TDPO2": "tdpo2",
    "Iterative GRPO": "grpo_iterative",
    "BRAIn": "brain",
    "MDPO": "mdpo_on",
}
"""By the longest prefix of the card, for ids that say nothing."""


def entries(path: Path) -> dict[str, Entry]:
    """The entries of a file, which stand under "vectors" or at the top."""
    content = json.loads(path.read_text(encoding="utf-8"))
    return {
        name: entry
        for name, entry in content.get("vectors", content).items()
        if isinstance(entry, dict) and "inputs" in entry
    }


def case_of(name: str, entry: Entry) -> Case | None:
    """What an entry is for; None: no registered objective, or no loss to compare."""
    if not _expected(name, entry).get("grad") or name.startswith(NOT_OURS):
        return None
    by_id = {**{key: Case(key, {}) for key in objectives.available()}, **BY_ID}
    key = _longest_prefix(name, by_id) or BY_CARD.get(_longest_prefix(str(entry.get("card", "")), BY_CARD) or "")
    if key == "tdpo1" and key not in name and entry.get("params", {}).get("alpha") is not None:
        key = "tdpo2"  # both have one card
    case = by_id.get(key or "")
    if case and case.objective in ("sft", "dpo_nll") and key in ("sft", "dpo_nll", *BY_CARD.values()) and key != name:
        case = _by_reduction(case, str(entry.get("reduction", "")))
    return case if case and case.objective in objectives.available() else None


def _longest_prefix(name: str, known: dict[str, Any]) -> str | None:
    found = [key for key in known if name == key or (name.startswith(key) and not name[len(key)].isalpha())]
    return max(found, key=len, default=None)


def _by_reduction(case: Case, reduction: str) -> Case:
    """Where the id does not say what the likelihood is a mean over, the words of the entry do."""
    per_sequence = re.search(r"per[- ](pair|sequence)|mean over sequences", reduction)
    return Case(
        case.objective, {"reduction" if case.objective == "sft" else "nll": "sequence" if per_sequence else "token"}
    )


def _expected(name: str, entry: Entry) -> dict[str, Any]:
    """Loss and gradient to compare with. Of MDPO we have the form on sampled tokens, not on the whole vocabulary."""
    expected = entry.get("expected", {})
    if "actions" not in entry["inputs"]:
        return expected
    sampled = expected.get("sampled_token_form")
    return {"loss": sampled["loss"], "grad": {"sampled": sampled["grad_wrt_token_logp"]}} if sampled else {}


def objective_of(case: Case, params: dict[str, Any]) -> Objective:
    """The objective with the entry's hyperparameters; parameters of other steps are not its business."""
    aliases, fields = ALIASES.get(case.objective, {}), fields_of(objectives.find(case.objective))
    named = {aliases.get(key, key): value for key, value in params.items() if value is not None}
    return objectives.load(case.objective, **{**{k: v for k, v in named.items() if k in fields}, **case.fixed})


# --- from ragged lists to a batch ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Layout:
    """How the same numbers may be laid out: neither may change a loss."""

    extra_width: int = 0
    backwards: bool = False
    """The rows (pairs stay together) in reverse order."""
    dtype: torch.dtype = torch.float64


def batch_of(case: Case, name: str, entry: Entry, layout: Layout) -> tuple[Batch, list[tuple[str, int, int]]]:
    """The batch, and for each of its sequences where its gradient is expected: (input, place, length)."""
    inputs, kind = entry["inputs"], objectives.find(case.objective).rows
    columns, places = (_pairs if kind == "pairs" else _answers)(name, entry)
    lengths = [len(row) for row in columns["logprobs"]]
    order = list(range(len(lengths)))
    if layout.backwards:
        step = 2 if kind == "pairs" else 1
        order = [i for start in reversed(range(0, len(order), step)) for i in order[start : start + step]]
    width = max(lengths) + layout.extra_width

    def padded(rows: Sequence[Sequence[float]]) -> Tensor:
        # What stands on padding must not matter, so it is no zero.
        return torch.tensor([list(rows[i]) + [-7.25] * (width - len(rows[i])) for i in order], dtype=layout.dtype)

    tensors = {column: padded(rows) for column, rows in columns.items()}
    mask = torch.tensor([[1.0] * lengths[i] + [0.0] * (width - lengths[i]) for i in order], dtype=layout.dtype)
    rewards = inputs.get("rewards")
    groups = inputs.get("group_ids") or inputs.get("groups") or [0] * len(order)
    return Batch(
        logprobs=tensors.pop("logprobs").requires_grad_(),
        mask=mask,
        weights=torch.ones(len(order), dtype=layout.dtype),
        num_items=len(order) / 2 if kind == "pairs" else float(len(order) if kind == "accepted" else len(set(groups))),
        num_sequences=float(len(order)),
        num_tokens=float(sum(lengths)),
        num_chosen_tokens=float(sum(lengths[0::2])),
        rewards=torch.tensor([rewards[i] for i in order], dtype=layout.dtype) if kind == "groups" and rewards else None,
        groups=torch.tensor([groups[i] for i in order]) if kind == "groups" else None,
        **tensors,
    ), [(*places[i], lengths[i]) for i in order]  # fmt: skip


def _pairs(name: str, entry: Entry) -> tuple[dict[str, Ragged], list[tuple[str, int]]]:
    inputs, columns = entry["inputs"], {}
    for who, column in (("policy", "logprobs"), ("ref", "ref_logprobs")):
        if f"{who}_chosen_logps" in inputs:
            sides = zip(inputs[f"{who}_chosen_logps"], inputs[f"{who}_rejected_logps"], strict=True)
            columns[column] = [row for pair in sides for row in pair]
    number = len(columns["logprobs"]) // 2
    return columns, [(f"policy_{side}_logps", i) for i in range(number) for side in ("chosen", "rejected")]


NAMES = {
    "logprobs": ("policy_logps", "sampled"),
    "old_logprobs": ("old_logps", "proposal_logps", "old_sampled"),
    "ref_logprobs": ("ref_logps", "prior_logps", "ref_logps_after_update"),
}


def _answers(name: str, entry: Entry) -> tuple[dict[str, Ragged], list[tuple[str, int]]]:
    inputs = _sampled(entry["inputs"]) if "policy_logits" in entry["inputs"] else entry["inputs"]
    found = {column: next((n for n in names if n in inputs), None) for column, names in NAMES.items()}
    columns: dict[str, Ragged] = {column: inputs[key] for column, key in found.items() if key}
    logprobs = columns["logprobs"]
    if "step_rewards" in inputs:
        values = step_advantages(entry, [len(row) for row in logprobs], _groups)
    else:
        values = inputs.get("advantages") or _advantages(name, entry)
    if values:
        columns["advantages"] = [
            v if isinstance(v, list) else [v] * len(row) for v, row in zip(values, logprobs, strict=True)
        ]
    return columns, [(str(found["logprobs"]), i) for i in range(len(logprobs))]


def _sampled(inputs: dict[str, Any]) -> dict[str, Any]:
    """Log-probabilities of the sampled tokens, each as a sequence of one token, from logits over a vocabulary."""
    places = torch.tensor(inputs["actions"])[:, None]
    of = {
        name: torch.tensor(inputs[f"{name}_logits"], dtype=torch.float64).log_softmax(-1).gather(-1, places).tolist()
        for name in ("policy", "old")
    }
    return {"sampled": of["policy"], "old_sampled": of["old"], "advantages": inputs["advantages"]}


def _advantages(name: str, entry: Entry) -> list[float]:
    """What the stage `pair` makes of the rewards, by the recipe of the entry's objective."""
    inputs, params, case = entry["inputs"], entry.get("params", {}), case_of(name, entry)
    if "rewards" not in inputs or case is None:
        return []
    kind = objectives.find(case.objective).advantage
    assert kind is not None
    deviation = re.search(r"ddof=(\d)", str(params.get("std", "ddof=1")))
    ddof, eps = int(deviation.group(1)) if deviation else 1, params.get("adv_eps", 1e-4)
    rewards = inputs["rewards"]
    found = dict.fromkeys(range(len(rewards)), 0.0)
    for members in _groups(inputs, len(rewards)):
        of_group = [rewards[i] for i in members]
        made = advantages(kind, of_group, [reward > 0.5 for reward in of_group], ddof=ddof, eps=eps)
        found |= dict(zip(members, made, strict=True))
    return list(found.values())


def _groups(inputs: dict[str, Any], count: int) -> list[list[int]]:
    """Places of the answers of each group."""
    groups = inputs.get("group_ids") or inputs.get("groups") or [0] * count
    return [[i for i, g in enumerate(groups) if g == group] for group in dict.fromkeys(groups)]


# --- comparing -----------------------------------------------------------------------------------------------------


def differences(name: str, entry: Entry, layout: Layout | None = None) -> tuple[float, float]:
    """Worst difference in loss and in gradient."""
    case = case_of(name, entry)
    assert case is not None
    expected, layout, params = _expected(name, entry), layout or Layout(), entry.get("params", {})
    objective = objective_of(case, params)
    if "policy_logits_chosen" in entry["inputs"] or objective.critic:
        if objective.critic:
            critic = objective_of(Case(objective.critic, case.fixed), params)
            loss, compared = actor_critic(objective, critic, entry, layout, expected)
        else:
            loss, compared = from_logits(objective, entry, layout)
        return abs(loss - expected["loss"]), _worst([abs(found - wanted) for found, wanted in compared])
    batch, places = batch_of(case, name, entry, layout)
    value = objective.loss(batch).value
    (slope,) = torch.autograd.grad(value, batch.logprobs)
    apart = slope[batch.mask == 0].abs().tolist()
    for row, (key, place, length) in zip(slope, places, strict=True):
        wanted = expected["grad"][key][place]
        wanted = wanted if isinstance(wanted, list) else [wanted]
        assert len(wanted) == length, f"{name}: {len(wanted)} gradients for {length} tokens"
        apart += [abs(a - b) for a, b in zip(row[:length].tolist(), wanted, strict=True)]
    return abs(value.item() - expected["loss"]), _worst(apart)


def _worst(apart: list[float]) -> float:
    return max([0.0, *apart], key=lambda each: math.inf if math.isnan(each) else each)


def replay(path: Path, show: Callable[[str], None] = print) -> int:
    """Print one line per entry; return 1 at the first difference above the tolerance."""
    replayed, skipped = 0, []
    for name, entry in entries(path).items():
        if case_of(name, entry) is None:
            skipped.append(name)
            continue
        loss, slope = differences(name, entry)
        show(f"{name:<32} loss {loss:.1e}   gradient {slope:.1e}")
        replayed += 1
        if not (loss <= TOLERANCE and slope <= TOLERANCE):  # NaN is not
            show(f"FAILED: {name} differs by more than {TOLERANCE:g}")
            return 1
    show(f"{replayed} entries replayed; {len(skipped)} skipped, of no registered objective or without a loss:")
    show(f"  {', '.join(skipped) or 'none'}")
    return 0


def main(arguments: Sequence[str]) -> int:
    """Replay the file named on the command line."""
    if len(arguments) != 1 or not Path(arguments[0]).is_file():
        print("usage: python -m tests.vectors FILE.json", file=sys.stderr)
        return 2
    return replay(Path(arguments[0]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
