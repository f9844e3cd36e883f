"""The arguments of every stage of a campaign, said once: the flows call with them, `odr plan` asks the cache."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from artifacts import Checkpoint, Prompt, Ref, Rollout, TokenScores
from flows.config import RunConfig
from flows.named import model_folder
from tasks import models, objectives, prompt_tables
from tasks.alongside import Alongside
from tasks.caching import Run
from tasks.grade import grade, rule_of
from tasks.objectives import Objective
from tasks.pairing.scored import scored_columns
from tasks.settings import Benchmark, Decoding, Sampling
from tasks.workspace import Workspace


def derive_seed(seed: int, purpose: str, iteration: int = 0) -> int:
    """An independent 32-bit seed per purpose and iteration."""
    digest = hashlib.blake2b(f"{seed}:{purpose}:{iteration}".encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big")


@dataclass(frozen=True)
class Steps:
    """What each stage of this campaign is called with. Iterations count from 1."""

    config: RunConfig
    run: Run

    @classmethod
    def of(
        cls, config: RunConfig, workspace: Workspace, refresh: frozenset[str] = frozenset(), stop_after: str = ""
    ) -> "Steps":
        """Set up for one data root."""
        return cls(config, Run(workspace, config.machine, config.name, refresh=refresh, stop_after=stop_after))

    def labelled(self, label: str) -> Run:
        """The run context of one iteration or of the warm-up."""
        return replace(self.run, label=label)

    def base_model(self, *, download: bool = True) -> Checkpoint:
        """The model the campaign starts from."""
        return models.resolve(self.config.model, self.config.revision, self.run.workspace, download=download)

    def named_model(self, name: str) -> Checkpoint:
        """A model that the config names beside its base model: a folder, a hub name, or campaign/iteration."""
        workspace = self.run.workspace
        return models.resolve(model_folder(workspace, name), None, workspace)

    def named_models(self) -> list[Checkpoint]:
        """All of these; a name that means nothing is found before anything starts."""
        token_reward, judge = self.config.token_reward, self.config.reward_model
        names = [token_reward.policy, token_reward.reference] if token_reward else []
        return [self.named_model(name) for name in [*names, *([judge.model] if judge else [])]]

    def prompts(self, iteration: int) -> Ref[Prompt]:
        """The problems of one iteration."""
        seed = derive_seed(self.config.seed, "prompts")
        return prompt_tables.of_source(self.config.prompts, iteration - 1, seed, self.run.workspace)

    def demonstrations(self) -> Ref[Prompt]:
        """The warm-up's problems with worked solutions."""
        assert self.config.warmup is not None
        return prompt_tables.of_source(self.config.warmup.demonstrations, 0, self.config.seed, self.run.workspace)

    @cached_property
    def problems(self) -> dict[str, Ref[Prompt]]:
        """The benchmarks' problems."""
        return {bench.name: self.benchmark(bench) for bench in self.config.evaluate.benchmarks}

    def benchmark(self, bench: Benchmark) -> Ref[Prompt]:
        """The problems of one benchmark."""
        return prompt_tables.of_benchmark(bench, self.run.workspace)

    def demonstrate(self, model: Checkpoint, table: Ref[Prompt]) -> dict[str, Any]:
        """Of the stage that tokenises the warm-up's solutions."""
        return {
            "model": model, "prompts": table, "template": self.config.template, "run": self.labelled("warm-up"),
        }  # fmt: skip

    def warm_up(self, model: Checkpoint, rows: Ref[Any]) -> dict[str, Any]:
        """Of the supervised training before the first iteration."""
        assert self.config.warmup is not None
        return {
            "policy": model, "rows": rows, "reference": None, "objective": {"name": "sft"},
            "training": self.config.warmup.train, "seed": derive_seed(self.config.seed, "warm-up"),
            "run": self.labelled("warm-up"),
        }  # fmt: skip

    def sample(self, iteration: int, policy: Checkpoint, table: Ref[Prompt]) -> dict[str, Any]:
        """Of `sample`."""
        return {
            "policy": policy, "prompts": table, "sampling": self.config.sample, "template": self.config.template,
            "seed": derive_seed(self.config.seed, "sample", iteration), "run": self.labelled(f"iteration {iteration}"),
            "along": self._grading(iteration, table),
        }  # fmt: skip

    def _grading(self, iteration: int, table: Ref[Prompt]) -> Alongside | None:
        """How answers are graded while others are sampled; not at all if `grade` is to make every grade anew."""
        if self.labelled(f"iteration {iteration}").anew("grade"):
            return None

        def workdir(rollouts: Ref[Rollout]) -> Path:
            return grade.begin(**self.grade(iteration, rollouts, table)).workdir

        return Alongside(rule_of(self.config.grade), workdir)

    def grade(self, iteration: int, rollouts: Ref[Any], table: Ref[Prompt]) -> dict[str, Any]:
        """Of `grade`."""
        return {
            "rollouts": rollouts, "prompts": table, "grading": self.config.grade,
            "seed": derive_seed(self.config.seed, "grade", iteration), "run": self.labelled(f"iteration {iteration}"),
        }  # fmt: skip

    def judge(self, iteration: int, rollouts: Ref[Rollout]) -> dict[str, Any]:
        """Of `score`, for the reward model."""
        assert self.config.reward_model is not None
        return {
            "model": self.named_model(self.config.reward_model.model), "rows": rollouts, "scores": "reward_model",
            "dtype": self.config.train.dtype, "run": self.labelled(f"iteration {iteration} · reward model"),
        }  # fmt: skip

    def reward(self, iteration: int, grades: Ref[Any], scored: Ref[TokenScores]) -> dict[str, Any]:
        """Of `reward`."""
        return {
            "grades": grades, "scored": scored, "blend": self.config.reward_model,
            "run": self.labelled(f"iteration {iteration}"),
        }  # fmt: skip

    def pair(self, iteration: int, rollouts: Ref[Any], grades: Ref[Any], policy: Checkpoint) -> dict[str, Any]:
        """Of `pair`; the policy's tokenizer finds where steps end, and counts only where that is asked for."""
        pairing = self.config.pairing()
        return {
            "rollouts": rollouts, "grades": grades, "pairing": pairing,
            "rows": self.config.loaded_objective().rows,
            "tokenizer": policy if pairing.advantage == "process" else None,
            "seed": derive_seed(self.config.seed, "pair", iteration), "run": self.labelled(f"iteration {iteration}"),
        }  # fmt: skip

    def reference(self, policy: Any, initial: Any) -> Any:
        """The frozen policy of an iteration that starts from `policy`."""
        return {"previous": policy, "initial": initial, "none": None}[self.config.reference_policy()]

    def scorers(self, policy: Any, initial: Any, critic: Any) -> dict[str, Any]:
        """The frozen model of each column that the stage `score` has to make."""
        token_reward = self.config.token_reward
        models: dict[str, Any] = {
            "ref_logprobs": self.reference(policy, initial),
            "old_logprobs": policy,
            "values": critic,
        }
        if token_reward:
            models["dpo_logprobs"] = self.named_model(token_reward.policy)
            models["dpo_ref_logprobs"] = self.named_model(token_reward.reference)
        trained = [self.config.loaded_objective(), *filter(None, [self.critic_objective()])]
        return {column: models[column] for each in trained for column in scored_columns(each, self.config.train)}

    def score(self, iteration: int, column: str, model: Checkpoint, rows: Ref[Any]) -> dict[str, Any]:
        """Of `score`, for one column."""
        return {
            "model": model, "rows": rows, "scores": "critic" if column == "values" else "policy",
            "dtype": self.config.train.dtype, "run": self.labelled(f"iteration {iteration} · {column}"),
        }  # fmt: skip

    def train(
        self,
        iteration: int,
        policy: Checkpoint,
        rows: Ref[Any],
        initial: Checkpoint,
        scored: Mapping[str, Ref[TokenScores]],
        on_metrics: Callable[[int, dict[str, float]], None] | None = None,
    ) -> dict[str, Any]:
        """Of `train`; `on_metrics` hears of every optimizer step."""
        objective = self.config.loaded_objective()
        return {
            "policy": policy, "rows": rows, "reference": self.reference(policy, initial),
            "objective": self.config.objective_settings(), "training": self.config.train,
            "seed": derive_seed(self.config.seed, "train", iteration),
            "run": replace(self.labelled(f"iteration {iteration}"), on_metrics=on_metrics),
            "scored": self._needed(objective, scored),
        }  # fmt: skip

    def critic_objective(self) -> Objective | None:
        """What the critic of this campaign's objective minimises; None: it has no critic."""
        settings = self.config.critic_settings()
        return objectives.load(**settings) if settings else None

    def train_critic(
        self,
        iteration: int,
        critic: Checkpoint,
        rows: Ref[Any],
        reference: Checkpoint | None,
        scored: Mapping[str, Ref[TokenScores]],
    ) -> dict[str, Any]:
        """Of `train`, for the critic: in a child of its own, so that no two models share a device's memory."""
        objective = self.critic_objective()
        assert objective is not None
        return {
            "policy": critic, "rows": rows, "reference": reference, "objective": self.config.critic_settings(),
            "training": self.config.critic_training(), "seed": derive_seed(self.config.seed, "critic", iteration),
            "run": self.labelled(f"iteration {iteration} · critic"), "scored": self._needed(objective, scored),
        }  # fmt: skip

    def _needed(self, objective: Objective, scored: Mapping[str, Any]) -> dict[str, Any]:
        return {column: scored[column] for column in scored_columns(objective, self.config.train)}

    def benchmark_samples(self, label: str, policy: Checkpoint) -> list[tuple[Decoding, dict[str, Any]]]:
        """Of `sample`, for each decoding of each benchmark."""
        decodings = self.config.evaluate.decodings(self.config.sample)
        return [
            (decoding, self.benchmark_sample(label, policy, self.problems[decoding.benchmark], decoding, sampling))
            for decoding, sampling in decodings
        ]

    def benchmark_sample(
        self, label: str, policy: Checkpoint, table: Ref[Prompt], decoding: Decoding, sampling: Sampling
    ) -> dict[str, Any]:
        """Of `sample`, for one decoding; the same seed for every policy, so that they share their noise."""
        return {
            "policy": policy, "prompts": table, "sampling": sampling, "template": self.config.template,
            "seed": derive_seed(self.config.seed, f"evaluate {decoding.key}"),
            "run": self.labelled(f"{label} · {decoding.key}"),
        }  # fmt: skip

    def evaluate(self, label: str, answers: dict[str, Ref[Rollout]]) -> dict[str, Any]:
        """Of `evaluate`."""
        decodings = [decoding for decoding, _ in self.config.evaluate.decodings(self.config.sample)]
        return {
            "answers": answers, "problems": self.problems, "decodings": decodings, "run": self.labelled(label),
        }  # fmt: skip
