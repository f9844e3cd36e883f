"""`odr up`, `odr down` and `odr serve` on the command line."""

import os
from typing import Annotated

import typer

from flows import environment
from flows.outcome import clear_errors, heed_sigterm
from flows.terminal import say
from tasks.workspace import home

Slots = Annotated[int, typer.Option(help="Runs that may use this machine's devices at once; others wait.", min=1)]


def up(
    prefect_port: Annotated[
        int | None, typer.Option(help="Of the Prefect server; default: 4200.", min=1, max=65535, show_default=False)
    ] = None,
    mlflow_port: Annotated[
        int | None, typer.Option(help="Of the MLflow server; default: 5000.", min=1, max=65535, show_default=False)
    ] = None,
    slots: Slots = 1,
) -> None:
    """Start a Prefect server, an MLflow server and the deployments, on this machine only; or find them running.

    They keep SQLite files in the data root. For PostgreSQL set PREFECT_API_DATABASE_CONNECTION_URL and
    MLFLOW_BACKEND_STORE_URI in the environment of this command: two databases, whose addresses are written nowhere.
    Afterwards every `odr` command on the same data root reports to these servers.
    Example: odr up --prefect-port 4300
    """
    heed_sigterm()
    with clear_errors():
        from flows.serving.up import Wish
        from flows.serving.up import up as start

        own = [os.environ.get(name, "") for name in ("PREFECT_API_URL", "MLFLOW_TRACKING_URI")]
        environment.prepare(home())
        found = start(home(), Wish(prefect_port, mlflow_port, slots, *own))
        for server in found:
            say(f"{server.name:11} {server.address or 'campaign, iteration, evaluate, nightly'}  ({server.how})")
        say(f"logs        {home() / 'servers'}\n`odr down` ends them.")


def down() -> None:
    """End what `odr up` has started, and wait until all of it is gone. What is finished of a run stays.

    Example: odr down
    """
    heed_sigterm()
    with clear_errors():
        from flows.serving.up import down as stop

        ended = stop(home())
        say(f"ended: {', '.join(ended)}" if ended else f"nothing that `odr up` has started runs on {home()}")


def serve(
    slots: Slots = 1,
    suffix: Annotated[
        str, typer.Option(help="Ends the deployments' names, where several data roots share one server.")
    ] = "",
) -> None:
    """Register the deployments with the Prefect server and run what is started there, until this command is ended.

    `odr up` does this in the background. Run it in the project's folder: the files of configs/ are its presets.
    Example: odr serve --slots 2
    """
    with clear_errors():
        environment.prepare(home())
        from flows.serving.deployments import serve as serve_deployments

        serve_deployments(home(), slots, suffix)
