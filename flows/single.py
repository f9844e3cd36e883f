"""`odr evaluate`: a model that need not come from a campaign, on named benchmarks."""

from pathlib import Path

from rich.table import Table

from artifacts import Ref, Score
from flows.config import RunConfig, load_fields
from flows.local_server import local_server
from flows.named import model_folder
from flows.steps import Steps
from flows.tables import percent
from tasks.workspace import Workspace


def evaluate_model(
    workspace: Workspace,
    model: str,
    names: list[str],
    data_dir: Path | None,
    *,
    samples: int,
    max_tokens: int,
    limit: int | None,
    overrides: list[str],
) -> Table:
    """Run the evaluation flow and return its table; every problem of a benchmark is accounted for."""
    folder = model_folder(workspace, model)
    config = evaluation(
        folder, names, data_dir, samples=samples, max_tokens=max_tokens, limit=limit, overrides=overrides
    )  # fmt: skip
    steps = Steps.of(config, workspace)
    steps.base_model()
    problems = steps.problems

    from flows.evaluate import evaluate

    with local_server():
        scores = list(workspace.store.read(Ref.from_json(evaluate(config)), Score))
    table = Table("benchmark", "problems", "metric", "%", "truncated, %", "too long", "no verdict", title=model)
    for name in names:
        found = {score.metric: score for score in scores if score.benchmark == name}
        for metric, score in found.items():
            if metric != "greedy" and "@" not in metric:
                continue
            suffix = "/greedy" if metric == "greedy" else ""
            table.add_row(
                name,
                str(problems[name].rows),
                metric,
                percent(score.value, score.standard_error),
                f"{100 * found[f'truncated{suffix}'].value:.1f}",
                f"{found[f'too_long{suffix}'].value:.0f}",
                f"{found[f'no_verdict{suffix}'].value:.0f}",
            )
    return table


def evaluation(
    folder: str,
    names: list[str],
    data_dir: Path | None,
    *,
    samples: int,
    max_tokens: int,
    limit: int | None,
    overrides: list[str],
) -> RunConfig:
    """The config of an evaluation of the model in this folder, or of this hub name.

    Raises:
        BadConfig: a key or value is wrong.
    """
    place = str(data_dir) if data_dir else None
    fields = {
        "name": "evaluate",
        "iterations": 0,
        "model": folder,
        "prompts": {"path": "none.jsonl"},
        "sample": {"max_tokens": max_tokens},
        "evaluate": {
            "benchmarks": [{"name": name, "data_dir": place, "samples": samples, "limit": limit} for name in names]
        },
    }
    return load_fields(fields, overrides, "odr evaluate")
