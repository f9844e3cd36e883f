"""What Prefect's UI asks for before a run: few fields with choices, over a preset, and overrides for everything else.

A whole `RunConfig` has more than a hundred fields; a person starts from a file of configs/ and changes three. The
JSON schema of these classes is checked by the server when a run is created: a wrong choice, a number out of range or
an override that is none is refused in the form. What needs the whole config (an unknown key, settings that do not fit
together) is refused when the run starts, before anything is loaded.
"""

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WithJsonSchema, model_validator

from eval_math import benchmarks
from flows.config import RunConfig, load
from flows.known import nearest
from flows.single import evaluation
from tasks import objectives
from tasks.settings import Pairing

CONFIGS = Path("configs")
"""Relative to where `odr serve` was started: the project's folder."""
PRESET = "as in the preset"
OVERRIDE = r"^[A-Za-z_][A-Za-z0-9_.]*=.*$"


def presets() -> list[str]:
    """Names of the config files."""
    return sorted(path.stem for path in CONFIGS.glob("*.yaml"))


def _algorithms() -> list[str]:
    return [PRESET, *(name for name in objectives.available() if objectives.find(name).trains == "policy")]


def _rules() -> list[str]:
    return [PRESET, *get_args(Pairing.model_fields["rule"].annotation)]


def _known(what: str, names: Callable[[], Iterable[str]], value: str) -> str:
    if value not in names():
        raise ValueError(f"no {what} {value!r}{nearest(value, names())}")
    return value


def _choice(what: str, names: Callable[[], Iterable[str]]) -> tuple[Any, Any]:
    """A field with a menu: the server refuses what is not on it, and so does the run."""
    return AfterValidator(partial(_known, what, names)), WithJsonSchema({"type": "string", "enum": list(names())})


_PRESET, _OBJECTIVE = _choice("preset", presets), _choice("objective", _algorithms)
_RULE, _BENCHMARK = _choice("pairing rule", _rules), _choice("benchmark", benchmarks.names)

Preset = Annotated[str, *_PRESET]
Algorithm = Annotated[str, *_OBJECTIVE]
Rule = Annotated[str, *_RULE]
Benchmark = Annotated[str, *_BENCHMARK]
Override = Annotated[str, Field(pattern=OVERRIDE)]
Overrides = Annotated[
    list[Override],
    Field(
        description="Any further field by its dotted name, one `dotted.key=value` each, such as sample.max_tokens=512."
    ),
]


class Form(BaseModel):
    """Base of all forms: a field that nobody reads is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Recipe(Form):
    """A preset and what is different this time."""

    preset: Preset = Field(description="A file of configs/: everything that is not said below is as it has it.")
    name: str = Field(
        default="",
        pattern=r"^([a-z0-9][a-z0-9_.-]*)?$",
        description="Names the campaign in Prefect and MLflow; a known name goes on with it. Empty: the preset's,"
        " or that of the objective's file.",
    )
    objective: Algorithm = Field(
        default=PRESET, description="The algorithm, with the settings of its file in configs/objectives."
    )
    pairing: Rule = Field(default=PRESET, description="Which answers become a pair (objectives on pairs).")
    iterations: int | None = Field(
        default=None, ge=0, description="How many in all; raising it later reuses those that are done."
    )
    prompts_per_iteration: int | None = Field(default=None, ge=1, description="Problems sampled in each iteration.")
    learning_rate: float | None = Field(default=None, gt=0, description="Of the policy, per optimizer step.")
    seed: int | None = Field(default=None, ge=0, description="Of everything random.")
    benchmarks: list[Benchmark] = Field(
        default=[], description="What every checkpoint is measured on. None chosen: the preset's own."
    )
    overrides: Overrides = []

    def config(self) -> RunConfig:
        """The whole config.

        Raises:
            BadConfig: a key or value is wrong.
        """
        return load(CONFIGS / f"{self.preset}.yaml", self.changes())

    @property
    def label(self) -> str:
        """The campaign's name, as Prefect shows it."""
        return self.config().name

    def changes(self) -> list[str]:
        """The form as a command line would say it, in the order in which it holds."""
        said: list[str] = []
        if self.objective != PRESET:
            file = CONFIGS / "objectives" / f"{self.objective}.yaml"
            said.append(str(file) if file.is_file() else f"objective={self.objective}")
        fields = {
            "name": self.name or None, "pair.rule": None if self.pairing == PRESET else self.pairing,
            "iterations": self.iterations, "prompts.per_iteration": self.prompts_per_iteration,
            "train.learning_rate": self.learning_rate, "seed": self.seed,
            "evaluate.benchmarks": [{"name": name} for name in self.benchmarks] or None,
        }  # fmt: skip
        said += [f"{key}={_yaml(value)}" for key, value in fields.items() if value is not None]
        return [*said, *self.overrides]

    @model_validator(mode="after")
    def _loads(self) -> "Recipe":
        self.config()
        return self


class CampaignForm(Recipe):
    """N iterations of one recipe from one base model."""

    refresh: list[Literal["demonstrate", "sample", "grade", "reward", "pair", "score", "train", "evaluate"]] = Field(
        default=[], description="Stages to compute anew although their results are there."
    )


class IterationForm(Recipe):
    """One iteration alone, from any policy: sample, grade, pair, train, evaluate."""

    number: int = Field(default=1, ge=1, description="Which one it is: it chooses the problems and the random numbers.")
    policy: str = Field(
        min_length=1, description="What it improves: a folder, a hub name, demo/3 (campaign/iteration) or demo@best."
    )
    initial: str = Field(
        default="", description="The campaign's first policy, where that is the reference. Empty: the policy itself."
    )


class EvaluateForm(Form):
    """One model on benchmarks; the answers are kept."""

    model: str = Field(min_length=1, description="A folder, a hub name, demo/3 (campaign/iteration) or demo@best.")
    benchmarks: list[Benchmark] = Field(min_length=1, description="What it is measured on.")
    data_dir: str = Field(default="", description="Folder with <benchmark>.jsonl. Empty: the hub.")
    samples: int = Field(default=0, ge=0, description="Sampled answers per problem beside the greedy one.")
    max_tokens: int = Field(default=3000, ge=1, description="Longest answer, in tokens.")
    limit: int | None = Field(default=None, ge=1, description="Only the first problems: a smoke test, not a score.")
    overrides: Overrides = []

    def config(self, folder: str) -> RunConfig:
        """The config of an evaluation of the model in this folder or of this hub name.

        Raises:
            BadConfig: a key or value is wrong.
        """
        return evaluation(
            folder, list(self.benchmarks), Path(self.data_dir) if self.data_dir else None, samples=self.samples,
            max_tokens=self.max_tokens, limit=self.limit, overrides=list(self.overrides),
        )  # fmt: skip

    @model_validator(mode="after")
    def _loads(self) -> "EvaluateForm":
        self.config(self.model)
        return self


class NightForm(Form):
    """The next iteration of a standing campaign, as `odr nightly` has set it up."""

    campaign: str = Field(
        pattern=r"^[a-z0-9][a-z0-9_.-]*$", description="Name of a campaign that `odr nightly CONFIG` has set up."
    )


def _yaml(value: Any) -> str:
    return yaml.safe_dump(value, default_flow_style=True).removesuffix("\n...\n").strip()
