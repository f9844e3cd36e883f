"""A data root as campaigns leave it, made in milliseconds: no server, no child, the real records and files."""

import json
import shutil
from pathlib import Path
from typing import Any

from artifacts import Checkpoint, Grade, Prompt, Ref, Rollout, Score, checkpoints
from artifacts.durable import write_atomically
from tasks import records
from tasks.workspace import Workspace

MODEL = {"config.json": "{}", "model.safetensors": "weights", "tokenizer.json": "{}"}


def prompts(workspace: Workspace, name: str = "p") -> Ref[Prompt]:
    with workspace.store.writer(Prompt) as writer:
        writer.write(Prompt(prompt_id=name, question=name, answers=["1"], solution=None, source="test"))
    return writer.ref


def rollouts(workspace: Workspace, name: str = "p", count: int = 3, parents: tuple[str, ...] = ()) -> Ref[Rollout]:
    with workspace.store.writer(Rollout, parents=parents) as writer:
        for index in range(count):
            row: Any = {"prompt_ids": [1], "completion_ids": [2], "logprobs": [-0.5], "finish_reason": "stop"}
            writer.write(Rollout(prompt_id=name, sample_index=index, seed=index, text="7", **row))
    return writer.ref


def grades(workspace: Workspace, name: str = "p", parents: tuple[str, ...] = ()) -> Ref[Grade]:
    with workspace.store.writer(Grade, parents=parents) as writer:
        writer.write(Grade(prompt_id=name, sample_index=0, correct=True, reward=1.0, reason="same_text", answer="7"))
    return writer.ref


def scores(workspace: Workspace, value: float, kept: dict[str, Any]) -> Ref[Score]:
    with workspace.store.writer(Score) as writer:
        writer.write(
            Score(benchmark="b", metric="greedy", value=value, standard_error=None, num_problems=1, num_samples=1)
        )
        writer.summary.update({"generations": kept})
    return writer.ref


def model(workspace: Workspace, key: str, weights: str = "weights") -> Checkpoint:
    made = workspace.work(key) / "output"
    made.mkdir()
    for name, content in {**MODEL, "model.safetensors": weights}.items():
        (made / name).write_text(content)
    return checkpoints.commit(made, workspace.checkpoints / key, {"parents": {}})


def finished(workspace: Workspace, campaign: str, label: str, fields: dict[str, Any], result: Any) -> str:
    """A stage that is done: its record, its cached result, its work folder. Returns its key."""
    key = records.key_of(fields)
    records.begin(workspace, campaign, label, fields)
    (workspace.work(key) / "log.txt").write_text("log")
    kind = "checkpoint" if isinstance(result, Checkpoint) else "table"
    blob = json.dumps({"kind": kind, "ref": result.to_json()})
    workspace.cache.mkdir(exist_ok=True)
    write_atomically(workspace.cache / key, json.dumps({"metadata": {}, "result": blob}).encode())
    records.finish(workspace, campaign, label, fields)
    return key


class Campaign:
    """One iteration: every table depends on `seed`, so that campaigns with the same one share everything."""

    def __init__(self, workspace: Workspace, name: str, seed: int = 0) -> None:
        self.name, text = name, f"p{seed}"
        self.prompts = prompts(workspace, text)
        policy = "f" * 64  # a base model elsewhere
        sample = {"stage": "sample", "policy": policy, "prompts": self.prompts.digest, "seed": seed}
        self.rollouts = rollouts(workspace, text, parents=(self.prompts.digest,))
        self.keys = {"sample": finished(workspace, name, "iteration 1 sample", sample, self.rollouts)}
        train = {"stage": "train", "policy": policy, "rows": self.rollouts.digest, "seed": seed}
        self.model = model(workspace, records.key_of(train), text)
        self.keys["train"] = finished(workspace, name, "iteration 1 train", train, self.model)
        self.grades = grades(workspace, text, parents=(self.rollouts.digest,))
        kept = {"b/greedy": {"rollouts": self.rollouts.to_json(), "grades": self.grades.to_json()}}
        self.scores = scores(workspace, seed / 100, kept)
        evaluate = {"stage": "evaluate", "answers": {"b/greedy": self.rollouts.digest}, "seed": seed}
        self.keys["evaluate"] = finished(workspace, name, "iteration 1 evaluate", evaluate, self.scores)
        folder = workspace.root / "campaigns" / name
        folder.mkdir(parents=True, exist_ok=True)
        results = {"iterations": [{"policy": self.model.to_json(), "scores": self.scores.to_json()}]}
        (folder / "results.json").write_text(json.dumps(results))

    def folders(self, workspace: Workspace) -> list[Path]:
        """Everything that must be there for it."""
        tables = (self.prompts, self.rollouts, self.grades, self.scores)
        keyed = [workspace.root / place / key for key in self.keys.values() for place in ("cache", "work")]
        return [*(workspace.root / "store" / ref.path for ref in tables), Path(self.model.path), *keyed]


def forget(workspace: Workspace, campaign: str) -> None:
    """As if the campaign had never been: its results stay behind."""
    for place in ("campaigns", "keys", "started"):
        shutil.rmtree(workspace.root / place / campaign, ignore_errors=True)


def files(root: Path) -> dict[str, bytes]:
    """Every file but locks and what no command owns."""
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and path.relative_to(root).parts[0] != "locks"
    }
