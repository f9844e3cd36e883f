"""`odr run` and `odr demo`: check what can be checked in seconds, run the flow, show what came of it."""

import os
import time
from pathlib import Path
from typing import Any

from flows import environment, extent, report
from flows.config import load
from flows.course import numbered
from flows.local_server import local_server
from flows.plan import Planner
from flows.steps import Steps
from flows.tables import phase_line, results_table
from flows.terminal import others_on_stderr, out, say_json
from tasks.devices import engine_environments
from tasks.tracking import tracking_uri, without_credentials
from tasks.workspace import Workspace


def run_campaign(
    workspace: Workspace,
    config: Path,
    overrides: list[str],
    refresh: list[str],
    from_iteration: int | None = None,
    stop_after: str | None = None,
    *,
    verbose: bool = False,
    as_json: bool = False,
) -> None:
    """Check everything that can be checked in seconds, then run the flow and show the results."""
    started = time.monotonic()
    with others_on_stderr():
        name, policy, stop = _run(workspace, config, overrides, refresh, from_iteration, stop_after, verbose)
    seconds = time.monotonic() - started
    if not policy:
        _show_stopped(name, stop, as_json)
    elif as_json:
        say_json(_facts(workspace, name, policy, seconds))
    else:
        _show(workspace, name, policy, seconds)


def _run(
    workspace: Workspace,
    config: Path,
    overrides: list[str],
    refresh: list[str],
    from_iteration: int | None,
    stop_after: str | None,
    verbose: bool,
) -> tuple[str, str, str]:
    """The campaign's name, its last policy (empty if it was asked to end before), and where it was to stop."""
    loaded = load(config, overrides)
    anew = extent.refreshed(loaded, refresh, from_iteration)
    steps = Steps.of(loaded, workspace, frozenset(anew))
    steps.base_model()
    steps.named_models()
    engine_environments(loaded.machine)
    if not loaded.machine.deepspeed.is_file():
        raise FileNotFoundError(
            f"machine.deepspeed: no file {loaded.machine.deepspeed}; there are some in configs/deepspeed"
        )
    lines = Planner(steps).walk()
    stop = extent.stopping_point(loaded, stop_after, lines) if stop_after else ""

    from flows.campaign import campaign, look_up

    with numbered(sum(line.status in ("cached", "run") for line in lines)):
        if extent.is_finished(lines) and not environment.has_server():
            return loaded.name, look_up(loaded, stop), stop
        _load_data(steps)
        if not verbose:
            environment.quiet_prefect()
        with local_server():
            return loaded.name, campaign(loaded, anew, stop), stop


def _load_data(steps: Steps) -> None:
    """Read what the first iteration needs, so that a wrong column is found before anything starts."""
    _ = steps.problems
    if steps.config.iterations:
        steps.prompts(1)
    if steps.config.warmup:
        steps.demonstrations()


def _show_stopped(name: str, stop: str, as_json: bool) -> None:
    stage, _, part = stop.partition("@")
    if as_json:
        say_json({"campaign": name, "state": "stopped", "after": {"stage": stage, "part": part}})
    else:
        out.print(f"stopped after {stage} of {name}, {part if part == 'warm-up' else f'iteration {part}'}")


def _facts(workspace: Workspace, name: str, policy: str, seconds: float) -> dict[str, Any]:
    """What `--json` prints of a finished campaign; the results file has more."""
    facts = report.read(workspace, name)
    return {
        "campaign": name,
        "state": "finished",
        "seconds": seconds,
        "model": policy,
        "results": str(workspace.results(name)),
        "iterations": [
            {
                "iteration": row["iteration"],
                "model": row["policy"]["path"],
                "scores": row["values"],
                "cached": all(stage["cached"] for stage in row["stages"]),
                "seconds": sum(stage["seconds"] for stage in row["stages"]),
            }
            for row in facts["iterations"]
        ],
    }


def _show(workspace: Workspace, name: str, policy: str, seconds: float) -> None:
    facts = report.read(workspace, name)
    out.print(results_table(facts))
    out.print(f"time       {phase_line(facts, seconds)}", soft_wrap=True)
    place = report.folder(workspace, name)
    out.print(
        f"model      {policy}\nplots      {place / 'accuracy.png'}\n           {place / 'training.png'}",
        soft_wrap=True,
    )
    uri = without_credentials(tracking_uri(workspace))
    ui = uri if uri.startswith("http") else f"mlflow ui --host 127.0.0.1 --backend-store-uri {uri}"
    out.print(f"MLflow     {ui}", soft_wrap=True)
    server = without_credentials(os.environ.get("PREFECT_API_URL", ""))
    ui = server or f"PREFECT_HOME={os.environ['PREFECT_HOME']} prefect server start, then http://127.0.0.1:4200"
    out.print(f"Prefect    {ui}", soft_wrap=True)
