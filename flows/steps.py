"""The arguments of every stage of a campaign, said once: the flows call with them, `odr plan` asks the cache."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from artifacts import Checkpoint, Prompt, Ref, Rollout
from flows.config import RunConfig
from tasks import models, prompts
from tasks.caching import Run
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

    def prompts(self, iteration: int) -> Ref[Prompt]:
        """The problems of one iteration."""
        seed = derive_seed(self.config.seed, "prompts")
        return prompts.load(self.config.prompts, iteration - 1, seed, self.run.workspace.store)

    def demonstrations(self) -> Ref[Prompt]:
        """The warm-up's problems with worked solutions."""
        assert self.config.warmup is not None
        return prompts.load(self.config.warmup.demonstrations, 0, self.config.seed, self.run.workspace.store)

    @cached_property
    def problems(self) -> dict[str, Ref[Prompt]]:
        """The benchmarks' problems."""
        return {bench.name: self.benchmark(bench) for bench in self.config.evaluate.benchmarks}

    def benchmark(self, bench: Benchmark) -> Ref[Prompt]:
        """The problems of one benchmark."""
        return prompts.load_benchmark(bench, self.run.workspace.store)

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
        }  # fmt: skip

    def grade(self, iteration: int, rollouts: Ref[Any], table: Ref[Prompt]) -> dict[str, Any]:
        """Of `grade`."""
        return {
            "rollouts": rollouts, "prompts": table, "grading": self.config.grade,
            "seed": derive_seed(self.config.seed, "grade", iteration), "run": self.labelled(f"iteration {iteration}"),
        }  # fmt: skip

    def pair(self, iteration: int, rollouts: Ref[Any], grades: Ref[Any]) -> dict[str, Any]:
        """Of `pair`."""
        return {
            "rollouts": rollouts, "grades": grades, "pairing": self.config.pairing(),
            "rows": self.config.loaded_objective().rows,
            "seed": derive_seed(self.config.seed, "pair", iteration), "run": self.labelled(f"iteration {iteration}"),
        }  # fmt: skip

    def train(
        self,
        iteration: int,
        policy: Checkpoint,
        rows: Ref[Any],
        initial: Checkpoint,
        on_metrics: Callable[[int, dict[str, float]], None] | None = None,
    ) -> dict[str, Any]:
        """Of `train`; `on_metrics` hears of every optimizer step."""
        references = {"previous": policy, "initial": initial, "none": None}
        return {
            "policy": policy, "rows": rows, "reference": references[self.config.reference_policy()],
            "objective": self.config.objective_settings(), "training": self.config.train,
            "seed": derive_seed(self.config.seed, "train", iteration),
            "run": replace(self.labelled(f"iteration {iteration}"), on_metrics=on_metrics),
        }  # fmt: skip

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
