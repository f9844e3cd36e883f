"""One model on some benchmarks, outside any campaign."""

from typing import Any

from prefect import flow

from flows.benchmarks import benchmark
from flows.config import RunConfig
from flows.mirror.campaign import Mirror
from flows.steps import Steps
from tasks import presence
from tasks.workspace import Workspace, home


@flow(name="evaluate", flow_run_name="{config.name}")
def evaluate(config: RunConfig, refresh: tuple[str, ...] = ()) -> dict[str, Any]:
    """Score `config.model` on `config.evaluate.benchmarks`; return the reference of the scores."""
    steps = Steps.of(config, Workspace(home()), frozenset(refresh))
    with presence.at_work(steps.run.workspace.locks):
        model = steps.base_model()
        scores = benchmark(steps, f"evaluation of {model.digest[:12]}", model)  # each model keeps its own records
        Mirror.of(steps).evaluation(model, scores)
    return scores.to_json()
