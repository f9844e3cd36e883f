"""What a campaign shows at its end: a table, plots, and the file that `odr show` and `odr compare` read."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from artifacts import Ref, Score
from artifacts.durable import write_atomically
from flows.known import finished_campaign
from tasks.workspace import Workspace

if TYPE_CHECKING:
    from flows.steps import Steps

RESULTS, CONFIG = "results.json", "config.yaml"


def folder(workspace: Workspace, campaign: str) -> Path:
    """Where a campaign's tables and plots are kept."""
    return workspace.root / "campaigns" / campaign


def write(steps: "Steps", results: list[dict[str, Any]]) -> list[Path]:
    """Write config, results and plots; return the files."""
    from artifacts import Checkpoint
    from flows.plots import plot_accuracy, plot_training
    from tasks.tracking import without_credentials
    from tasks.train import curve_of

    store, config = steps.run.workspace.store, steps.config
    place = folder(steps.run.workspace, config.name)
    place.mkdir(parents=True, exist_ok=True)
    rows = []
    for result in results:
        values = [
            {name: getattr(score, name) for name in ("benchmark", "metric", "value", "standard_error", "num_problems")}
            for score in store.read(Ref.from_json(result["scores"]), Score)
        ]
        summaries = {
            stage: store.manifest(Ref.from_json(result[stage])).summary
            for stage in ("grades", "rows")
            if stage in result
        }
        generations = store.manifest(Ref.from_json(result["scores"])).summary["generations"]
        rows.append({**result, "values": values, "summaries": summaries, "generations": generations})
    objective = config.objective["name"]
    facts = {"campaign": config.name, "objective": objective, "seed": config.seed, "iterations": rows}
    write_atomically(place / RESULTS, json.dumps(facts, indent=1).encode())
    resolved = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)
    (place / CONFIG).write_text(without_credentials(resolved), encoding="utf-8")
    plot_accuracy({config.name: facts}, place / "accuracy.png")
    curves = [curve_of(Checkpoint.from_json(result["policy"])) for result in results[1:]]
    plot_training(curves, place / "training.png")
    return [place / name for name in (RESULTS, CONFIG, "accuracy.png", "training.png")]


def read(workspace: Workspace, campaign: str) -> dict[str, Any]:
    """The results of a finished campaign.

    Raises:
        FileNotFoundError: there is none of that name; names the nearest.
    """
    return json.loads(finished_campaign(workspace, campaign).read_text(encoding="utf-8"))


def headline(iteration: dict[str, Any]) -> dict[tuple[str, str], tuple[float, float | None]]:
    """(benchmark, metric) -> (value, standard error), of one iteration of a results file."""
    return {(s["benchmark"], s["metric"]): (s["value"], s["standard_error"]) for s in iteration["values"]}


def verdicts(workspace: Workspace, generation: dict[str, Any]) -> dict[str, list[bool | None]]:
    """Verdicts by problem of one kept decoding."""
    found: dict[str, list[bool | None]] = {}
    for batch in workspace.store.batches(Ref.from_json(generation["grades"]), ["prompt_id", "correct"]):
        columns = (batch.column(name).to_pylist() for name in ("prompt_id", "correct"))
        for problem, correct in zip(*columns, strict=True):
            found.setdefault(problem, []).append(correct)
    return found
