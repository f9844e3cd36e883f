"""What the card of a published model says that its campaign knows: base model, ancestors, scores."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from artifacts import Checkpoint, checkpoints
from eval_math import benchmarks
from flows import report
from flows.exchange.licence import Licence, licence_of
from tasks.model_card import CardScore
from tasks.workspace import Workspace, expand

_ACCURACIES = ("greedy", "mean@", "maj@", "pass@")


@dataclass(frozen=True)
class Base:
    """The model a campaign began with."""

    name: str
    """On the hub; of a folder the last part of its path, because the rest is nobody else's business."""
    is_public: bool
    """Whether it is a name on the hub."""
    licence: Licence


def config_of(workspace: Workspace, campaign: str) -> dict[str, Any]:
    """The resolved config of a finished campaign.

    Raises:
        ValueError: it is not there, or not readable.
    """
    path = report.folder(workspace, campaign) / report.CONFIG
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
        return {"model": str(config["model"]), "revision": config.get("revision")}
    except (OSError, ValueError, yaml.YAMLError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(
            f"{path} does not say which model {campaign} began with; `odr run` of it writes the file again"
        ) from error


def base_of(config: dict[str, Any], *, network: bool) -> Base:
    """Name and licence of the base model; without `network`, of what the hub's cache holds."""
    name, folder = config["model"], expand(Path(config["model"]))
    if folder.is_dir() or name.startswith(("/", ".", "$", "~")) or name.count("/") != 1:
        return Base(folder.name, False, licence_of(lambda file: _present(folder / file)))
    return Base(name, True, licence_of(_on_hub(name, config["revision"], network)))


def _present(path: Path) -> Path | None:
    return path if path.is_file() else None


def _on_hub(name: str, revision: str | None, network: bool) -> Callable[[str], Path | None]:
    from huggingface_hub import hf_hub_download

    def find(file: str) -> Path | None:
        try:
            return Path(hf_hub_download(name, file, revision=revision, local_files_only=not network))
        except (OSError, ValueError):  # not there, or no way to ask: unknown either way
            return None

    return find


def ancestors(campaign: str, results: list[dict[str, Any]], base: str) -> list[tuple[str, str]]:
    """Name and digest of the base model and of the policy after each iteration, the last one included."""
    policies = [Checkpoint.from_json(each["policy"]) for each in results]
    found = [(f"{campaign}/{number}", policy.digest) for number, policy in enumerate(policies)]
    parents = checkpoints.facts(policies[0]).get("parents", {}) if Path(policies[0].path).is_dir() else {}
    if "policy" not in parents:  # no warm-up: the campaign began with the base model itself
        return [(base, policies[0].digest), *found[1:]]
    return [(base, str(parents["policy"])), (f"{campaign}/0, the warm-up", policies[0].digest), *found[1:]]


def scores(results: list[dict[str, Any]], number: int) -> list[CardScore]:
    """The shares of solved problems after one iteration, beside those at the start."""
    start = {(each["benchmark"], each["metric"]): each["value"] for each in results[0].get("values", [])}
    return [
        CardScore(
            benchmark=each["benchmark"],
            metric=each["metric"],
            value=each["value"],
            standard_error=each["standard_error"],
            num_problems=each["num_problems"],
            start=start.get((each["benchmark"], each["metric"])) if number else None,
            dataset=_dataset(each["benchmark"], each["num_problems"]),
        )
        for each in results[number].get("values", [])
        if each["metric"].startswith(_ACCURACIES)
    ]


def _dataset(benchmark: str, num_problems: int) -> str | None:
    """Where the hub has the benchmark, if all of its problems were asked."""
    if benchmark not in benchmarks.names():
        return None
    entry = benchmarks.entry(benchmark)
    return entry.dataset if num_problems in entry.num_rows else None
