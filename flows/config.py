"""One YAML file is one reproducible run; this is what it may say.

    odr run configs/demo.yaml train.learning_rate=1e-5 iterations=2

An unknown key is refused with the nearest known one. Every default lives in one place: here or in
`tasks.settings`.
"""

import copy
import dataclasses
import difflib
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, Field, ValidationError, field_validator, model_validator

from eval_math import benchmarks, rewards
from flows.agreement import check_objective, check_warm_up
from flows.nightly.settings import Nightly
from tasks import objectives
from tasks.machine import Machine
from tasks.objectives import Objective, Reference
from tasks.settings import (
    Evaluation,
    Grading,
    Pairing,
    RewardModel,
    Sampling,
    Settings,
    Source,
    Template,
    TokenReward,
    Training,
    Warmup,
)


class BadConfig(ValueError):
    """The config cannot be used; the message lists every problem with its place."""


class RunConfig(Settings):
    """A campaign: N iterations of one recipe from one base model."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_.-]*$", description="Names the campaign in Prefect and MLflow.")
    seed: int = Field(default=0, ge=0, description="Of everything random: prompts, answers, pairs, order of rows.")
    iterations: int = Field(default=1, ge=0, description="Raising it later reuses the iterations that are done.")
    model: str = Field(description="Folder or hub name of the base model.")
    revision: str | None = Field(default=None, description="Commit of the hub model; pin it for repeatable runs.")
    prompts: Source
    template: Template = Template()
    warmup: Warmup | None = Field(default=None, description="Supervised fine-tuning before the first iteration.")
    sample: Sampling = Sampling()
    grade: Grading = Grading()
    reward_model: RewardModel | None = Field(default=None, description="Joins the rule's reward; default: the rule.")
    pair: Pairing = Pairing()
    objective: dict[str, Any] = Field(
        default={"name": "dpo"}, description="Name of the algorithm and its hyperparameters."
    )
    reference: Literal["previous", "initial"] | None = Field(
        default=None,
        description="Frozen policy: the iteration's start, or the first iteration's. Default: as the objective's "
        "paper has it; `odr objectives` lists them.",
    )
    train: Training = Training()
    critic: dict[str, Any] = Field(
        default={}, description="Settings of `train` that differ for the critic, such as {learning_rate: 1.0e-5}."
    )
    token_reward: TokenReward | None = Field(
        default=None, description="rto: the DPO policy whose log-ratios reward each token."
    )
    evaluate: Evaluation = Evaluation()
    # Left out of dumps: when a policy is promoted is no part of the recipe that MLflow's runs and caches are named by.
    nightly: Nightly = Field(default=Nightly(), exclude=True, description="When a night's policy becomes the best.")
    machine: Machine = Machine()

    @field_validator("objective", mode="before")
    @classmethod
    def _named(cls, objective: Any) -> Any:
        """`objective: grpo` is short for `objective: {name: grpo}`."""
        if isinstance(objective, str):
            return {"name": objective}
        return {"name": "dpo", **objective} if isinstance(objective, dict) else objective

    @field_validator("evaluate", mode="before")
    @classmethod
    def _sampled_as_is_customary(cls, evaluate: Any) -> Any:
        """Fill in the benchmark's own number of samples where the config gives none."""
        if not isinstance(evaluate, dict) or not isinstance(evaluate.get("benchmarks"), list | tuple):
            return evaluate
        return {**evaluate, "benchmarks": [_with_samples(bench) for bench in evaluate["benchmarks"]]}

    @model_validator(mode="after")
    def _stages_fit_together(self) -> "RunConfig":
        check_objective(
            self.loaded_objective(),
            sample=self.sample,
            pair=self.pairing(),
            train=self.train,
            chosen=self.pair.advantage,
            has_token_reward=self.token_reward is not None,
        )
        if self.sample.temperature == 0 and self.sample.samples_per_prompt > 1:
            raise ValueError("sample.temperature is 0: all answers to a prompt would be equal; set it to about 1")
        if self.warmup and not self.warmup.demonstrations.solution:
            raise ValueError("warmup.demonstrations.solution: name the column with the worked solutions")
        if self.warmup:
            check_warm_up(self.warmup.train)
        if self.critic and not self.critic_settings():
            raise ValueError(f"critic: {self.objective['name']} has no critic; remove it")
        self.critic_training()
        rewards.load(self.grade.reward, self.grade.reward_options)
        names = [bench.name for bench in self.evaluate.benchmarks]
        if len(names) != len(set(names)):
            raise ValueError("evaluate.benchmarks: a name occurs twice")
        for bench in self.evaluate.benchmarks:
            if bench.source and bench.name in benchmarks.names():
                raise ValueError(f"evaluate.benchmarks: {bench.name!r} is built in; give your own another name")
        return self

    def objective_settings(self) -> dict[str, Any]:
        """Name and hyperparameters; a constant length is the sampling budget unless it is given."""
        known = {field.name for field in dataclasses.fields(objectives.find(self.objective["name"]))}
        budget = {"max_tokens": self.sample.max_tokens} if "max_tokens" in known else {}
        return {**budget, **self.objective}

    def loaded_objective(self) -> Objective:
        """The objective with its hyperparameters."""
        return objectives.load(**self.objective_settings())

    def reference_policy(self) -> Reference:
        """Which policy is frozen as the reference: this config's choice, or the objective's own."""
        objective = self.loaded_objective()
        return (self.reference or objective.reference) if objective.needs_reference else "none"

    def critic_settings(self) -> dict[str, Any]:
        """Name and hyperparameters of what the objective's critic minimises; empty without a critic."""
        name = self.loaded_objective().critic
        if name is None:
            return {}
        known = {field.name for field in dataclasses.fields(objectives.find(name))}
        return {"name": name, **{key: value for key, value in self.objective_settings().items() if key in known}}

    def critic_training(self) -> Training:
        """`train` with what is different for the critic; it never stops early."""
        fields = self.train.model_dump() | {"max_kl": None} | self.critic
        return Training.model_validate(fields)

    def pairing(self) -> Pairing:
        """How rows are made; what is made of the rewards is the objective's choice unless it is given."""
        objective = self.loaded_objective()
        if objective.rows != "groups" or self.pair.advantage:
            return self.pair
        return self.pair.model_copy(update={"advantage": objective.advantage})


def _with_samples(bench: Any) -> Any:
    if not isinstance(bench, dict) or "samples" in bench or bench.get("name") not in benchmarks.names():
        return bench
    n = benchmarks.entry(bench["name"]).n
    return {**bench, "samples": n if n > 1 else 0}


def load(path: Path, overrides: list[str] | None = None) -> RunConfig:
    """Read a YAML file, apply overrides, `dotted.key=value` or further YAML files, in order, and check everything.

    Raises:
        BadConfig: a file is missing or no YAML, or a key or value is wrong; says which and what is expected.
    """
    return load_fields(_read(path), overrides or [], f"config {path}")


def _read(path: Path) -> dict[str, Any]:
    try:
        fields = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadConfig(f"config {path} cannot be read: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise BadConfig(f"config {path} is not YAML: {error}") from error
    except RecursionError as error:
        raise BadConfig(f"config {path}: nested too deeply for a config") from error
    if not isinstance(fields, dict):
        raise BadConfig(f"config {path}: expected `key: value` lines, found {type(fields).__name__}")
    return fields


def load_fields(fields: dict[str, Any], overrides: list[str], where: str) -> RunConfig:
    """Apply overrides to the fields of a config and check everything; `where` begins an error.

    Raises:
        BadConfig: a key or value is wrong; says which and what is expected.
    """
    fields = copy.deepcopy(fields)
    for override in overrides:
        if "=" not in override and Path(override).suffix in (".yaml", ".yml"):
            fields = _merged(fields, _read(Path(override)))
        else:
            _apply(fields, override)
    try:
        return RunConfig.model_validate(fields)
    except ValidationError as error:
        problems = "\n".join(f"  {_explain(problem)}" for problem in error.errors())
        raise BadConfig(f"{where}:\n{problems}") from error


def _merged(fields: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Key by key; another objective replaces the whole of it, as hyperparameters belong to one."""
    found = {**fields}
    for key, value in over.items():
        both = isinstance(found.get(key), dict) and isinstance(value, dict)
        found[key] = _merged(found[key], value) if both and key != "objective" else value
    return found


def _apply(fields: dict[str, Any], override: str) -> None:
    """Set one dotted key; the value is read as YAML, so lists and numbers work."""
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise BadConfig(
            f"override {override!r}: expected dotted.key=value, such as train.learning_rate=1e-5, or a YAML file"
        )
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise BadConfig(f"override {override!r}: the value is not YAML: {error}") from error
    except RecursionError as error:
        raise BadConfig(f"override {key}: the value is nested too deeply") from error
    *parents, last = key.split(".")
    if parents[:1] == ["objective"] and isinstance(fields.get("objective"), str):
        fields["objective"] = {"name": fields["objective"]}  # `objective=grpo objective.beta_kl=0` on one line
    node: Any = fields
    for parent in parents:
        if isinstance(node, list) and parent.isdigit() and int(parent) < len(node):
            node = node[int(parent)]
        elif isinstance(node, dict):
            if node.get(parent) is None:
                node[parent] = {}
            node = node[parent]
        else:
            raise BadConfig(f"override {override!r}: {parent!r} holds no keys")
    if isinstance(node, list) and last.isdigit() and int(last) < len(node):
        node[int(last)] = value
    elif isinstance(node, dict):
        node[last] = value
    else:
        raise BadConfig(f"override {override!r}: {key.rpartition('.')[0]!r} holds no keys")


def _explain(problem: Any) -> str:
    """One line: where, what was found, what was expected."""
    place = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        known = _known_keys(problem["loc"][:-1])
        near = difflib.get_close_matches(str(problem["loc"][-1]), known, n=1, cutoff=0.4)
        return f"{place}: unknown key" + (f", did you mean {near[0]!r}?" if near else f"; known: {', '.join(known)}")
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "missing":
        return f"{place}: required, but not set"
    found = f" (found {problem['input']!r})" if isinstance(problem["input"], str | int | float | bool) else ""
    return f"{place}: {message}{found}" if place else message


def _known_keys(location: tuple[Any, ...]) -> list[str]:
    model: Any = RunConfig
    for part in location:
        if isinstance(part, int):
            continue
        hints = [model.model_fields[part].annotation] if part in model.model_fields else []
        models = [m for hint in hints for m in _models_in(hint)]
        if not models:
            return []
        model = models[0]
    return list(model.model_fields)


def _models_in(hint: Any) -> list[type[BaseModel]]:
    if isinstance(hint, type) and issubclass(hint, BaseModel):
        return [hint]
    return [m for part in getattr(hint, "__args__", ()) for m in _models_in(part)]
