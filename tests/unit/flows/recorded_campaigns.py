"""Campaigns as their stages leave them, made in milliseconds: real artifacts, checkpoints and curves, no engine."""

import json
from pathlib import Path
from typing import Any

from artifacts import Accepted, Checkpoint, Grade, Group, Pair, Prompt, Ref, Rollout, Score, checkpoints
from flows import report
from flows.config import RunConfig
from flows.mirror.campaign import Mirror
from flows.steps import Steps
from tasks.tracking import Tracker
from tasks.workspace import Workspace

TOKENS = {"prompt_ids": [1, 2], "completion_ids": [3, 4, 5], "logprobs": [-0.5, -1.0, -1.5]}
LOGGED = {
    "dpo": ("loss", "grad_norm", "learning_rate", "sampler_gap_mean", "logps/chosen", "rewards/margins"),
    "raft": ("loss", "grad_norm", "learning_rate", "sampler_gap_mean", "logps/accepted", "nll_per_token"),
    "ppo": ("loss", "grad_norm", "learning_rate", "sampler_gap_mean", "logps/mean", "ratio/mean", "kl/old"),
}
"""Some of what the trainer logs of each."""
STEPS = 5
"""Optimizer steps of the first iteration; each later one has one more."""

Row = dict[str, Any]


def record(workspace: Workspace, config: RunConfig, outcomes: list[list[int]]) -> list[Row]:
    """What each stage of the campaign has made; `outcomes[i][p]` tells whether iteration i solves exam problem p."""
    prompts = _prompts(workspace, "train", 4)
    rows = [_row(workspace, config, 0, outcomes[0])]
    for number, solved in enumerate(outcomes[1:], 1):
        rollouts, grades = _answers(workspace, {f"train {p}": [True, False] for p in range(4)}, f"train{number}")
        made = {"prompts": prompts, "rollouts": rollouts, "grades": grades, "rows": _training(workspace, config)}
        rows.append({**_row(workspace, config, number, solved), **made})
    return rows


def mirrored(steps: Steps, rows: list[Row], tracker: Tracker, only: int | None = None) -> Mirror:
    """Send a recorded campaign as its flows do; with `only`, the flow of one iteration alone."""
    mirror = Mirror(steps, tracker)
    if only is None:
        mirror.open()
        mirror.base(rows[0]["policy"], rows[0]["scores"])
    for number, row in enumerate(rows[1:], 1):
        if only not in (None, number):
            continue
        inner = Mirror(steps, tracker)
        with inner.iteration(number):
            names = ("prompts", "rollouts", "grades", "rows", "policy", "scores", "critic")
            inner.finish(number, **{name: row[name] for name in names if name in row})
    if only is None:
        mirror.close("FINISHED")
    return mirror


def write(steps: Steps, rows: list[Row]) -> list[Path]:
    """The files of a finished campaign."""
    results = [
        {name: item.to_json() if isinstance(item, Ref | Checkpoint) else item for name, item in row.items()}
        for row in rows
    ]
    return report.write(steps, results)


def graded(workspace: Workspace, verdicts: dict[str, list[bool]]) -> Row:
    """References to the answers to a benchmark, as the results of a campaign keep them."""
    rollouts, grades = _answers(workspace, verdicts, "kept")
    return {"rollouts": rollouts.to_json(), "grades": grades.to_json()}


def _row(workspace: Workspace, config: RunConfig, number: int, solved: list[int]) -> Row:
    policy = _policy(workspace, config, number)
    kept = {"exam/greedy": graded(workspace, {f"exam {p}": [bool(s)] for p, s in enumerate(solved)})}
    share = sum(solved) / len(solved)
    values = {"greedy": share, "mean@2": share, "pass@2": share, "maj@2": share, "mean_tokens": 3.0}
    with workspace.store.writer(Score) as writer:
        for metric, value in values.items():
            error = None if metric == "mean_tokens" else 0.05
            writer.write(
                Score(benchmark="exam", metric=metric, value=value, standard_error=error,
                      num_problems=len(solved), num_samples=1)
            )  # fmt: skip
        writer.summary.update({"generations": kept, "policy": policy.digest})
    return {"iteration": number, "policy": policy, "scores": writer.ref, "stages": []}


def _policy(workspace: Workspace, config: RunConfig, number: int) -> Checkpoint:
    key = f"train-{config.name}-{number}"
    made = workspace.work(key) / "output"
    made.mkdir()
    for name in ("config.json", "tokenizer.json"):
        (made / name).write_text("{}", encoding="utf-8")
    (made / "model.safetensors").write_text(key if number else "base", encoding="utf-8")
    steps = STEPS - 1 + number
    names = LOGGED.get(config.objective["name"], ("loss",))
    curve = [{"step": step, **{name: step + number / 10 for name in names}} for step in range(1, steps + 1)]
    lines = [json.dumps(point) for point in curve if number]
    (made / "training.jsonl").write_text("\n".join(lines), encoding="utf-8")
    training = {"epochs": 2, "batch_size": 2, "max_length": None}
    facts = {"steps": steps, "stopped": None, "training": training, "objective": config.objective, "parents": {}}
    return checkpoints.commit(made, workspace.checkpoints / key, facts)


def _prompts(workspace: Workspace, name: str, count: int) -> Ref[Prompt]:
    with workspace.store.writer(Prompt) as writer:
        for p in range(count):
            writer.write(Prompt(prompt_id=f"{name} {p}", question="?", answers=["1"], solution=None, source="test"))
    return writer.ref


def _answers(workspace: Workspace, verdicts: dict[str, list[bool]], salt: str) -> tuple[Ref[Rollout], Ref[Grade]]:
    right = sum(sum(found) for found in verdicts.values())
    count = sum(map(len, verdicts.values()))
    with workspace.store.writer(Rollout) as rollouts, workspace.store.writer(Grade) as grades:
        for name, found in verdicts.items():
            for index, correct in enumerate(found):
                key: Row = {"prompt_id": name, "sample_index": index}
                rollouts.write(Rollout(**key, **TOKENS, text=salt, finish_reason="stop", seed=index))
                grades.write(Grade(**key, correct=correct, reward=float(correct), reason="same_text", answer="1"))
        rollouts.summary.update({"prompts": len(verdicts)})
        grades.summary.update({"rollouts": count, "right": right, "wrong": count - right, "tokens": 3 * count})
    return rollouts.ref, grades.ref


def _training(workspace: Workspace, config: RunConfig) -> Ref[Any]:
    kind: Any = {"pairs": Pair, "accepted": Accepted, "groups": Group}[config.loaded_objective().rows]
    sides = ("chosen", "rejected")
    fields: Row = {
        Pair: {f"{side}_{name}": TOKENS[of] for side in sides
               for name, of in (("ids", "completion_ids"), ("logprobs", "logprobs"))}
        | {"chosen_index": 0, "rejected_index": 1, "chosen_reward": 1.0, "rejected_reward": 0.0, "prompt_ids": [1]},
        Accepted: {**TOKENS, "sample_index": 0},
        Group: {**TOKENS, "sample_index": 0, "reward": 1.0, "correct": True, "advantages": [1.0] * 3},
    }[kind]  # fmt: skip
    with workspace.store.writer(kind) as writer:
        for p in range(3):
            writer.write(kind(prompt_id=f"train {p}", **fields))
        writer.summary.update({"prompts": 4, "all right": 1})
    return writer.ref
