"""`odr nightly` on the command line."""

from pathlib import Path
from typing import Annotated

import typer

from flows import environment
from flows.local_server import local_server
from flows.outcome import clear_errors, heed_sigterm
from flows.terminal import say
from tasks.workspace import Workspace, home

NIGHTS_SHOWN = 3


def nightly(
    config: Annotated[str, typer.Argument(help="YAML file, or the name of a campaign that stands already.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(help="dotted.key=value, such as nightly.min_gain=0.5, or a YAML file.")
    ] = None,
    cron: Annotated[
        str | None,
        typer.Option(
            help='When: "minute hour day month weekday"; default: as before, and at first by hand only.',
            show_default=False,
        ),
    ] = None,
    timezone: Annotated[
        str | None,
        typer.Option(help="In which it is read, such as Europe/Berlin; default: UTC.", show_default=False),
    ] = None,
    now: Annotated[bool, typer.Option("--now", help="Run tonight's iteration here and now.")] = False,
    off: Annotated[bool, typer.Option("--off", help="Let the campaign stand no longer; what it has stays.")] = False,
) -> None:
    """Let a campaign go on by one iteration each night, from its last good policy; keep the aliases best and newest.

    The section `nightly` of the config says when a policy is promoted. `odr up` or `odr serve` runs the nights.
    Example: odr nightly configs/demo.yaml name=standing --cron "0 1 * * *" --timezone Europe/Berlin
    """
    heed_sigterm()
    with clear_errors():
        environment.prepare(home())
        environment.show_logs(verbose=False)
        workspace = Workspace(home())
        name = _set_up(workspace, config, overrides or [], cron, timezone, off=off)
        served = _tell_server(workspace)
        if off:
            say(f"{name} stands no longer; its nights and policies stay")
        elif now:
            _run_now(name)
        else:
            _show(workspace, name, served=served)


def _set_up(
    workspace: Workspace, config: str, overrides: list[str], cron: str | None, timezone: str | None, *, off: bool
) -> str:
    from flows.config import load
    from flows.nightly import standing

    is_file = Path(config).suffix in (".yaml", ".yml")
    if off:
        name = load(Path(config), overrides).name if is_file else config
        standing.remove(workspace, name)
        return name
    if overrides and not is_file:
        raise ValueError(f"{config} is no YAML file: to change a campaign that stands, give its file and the overrides")
    recipe = load(Path(config), overrides) if is_file else standing.read(workspace, config).config
    stands = recipe.name in standing.names(workspace)
    before = standing.read(workspace, recipe.name) if stands else standing.Standing(recipe)
    when = before.cron if cron is None else cron
    standing.write(workspace, standing.check(recipe, when, timezone or before.timezone))
    return recipe.name


def _tell_server(workspace: Workspace) -> bool:
    """Pass the schedules on at once where deployments are served; a server that is not there learns them later."""
    if not environment.has_server():
        return False
    from prefect.client.orchestration import get_client

    from flows.nightly import schedules

    with get_client(sync_client=True) as client:
        deployment = schedules.deployment_of(client, workspace.root)
        if deployment:
            schedules.match(client, deployment, workspace.root)
    return deployment is not None


def _run_now(name: str) -> None:
    from flows.serving.forms import NightForm
    from flows.serving.served import nightly as flow

    environment.quiet_prefect()
    with local_server():
        state = flow(NightForm(campaign=name), return_state=True)
        if not state.is_completed():
            state.result()
    say(f"{state.name}: {state.message}")


def _show(workspace: Workspace, name: str, *, served: bool) -> None:
    from flows.nightly import record, standing

    each = standing.read(workspace, name)
    nights = record.read(workspace, name)
    for alias, entry in sorted(nights.aliases.items()):
        say(f"{alias:11} iteration {entry['iteration']}  {entry['path']}")
    if not each.cron:
        say(f"{name} stands; `odr nightly {name} --now` runs a night")
        return
    times = ", ".join(
        f"{when:%a %d %b %H:%M}" for when in standing.first_nights(each.cron, each.timezone, NIGHTS_SHOWN)
    )
    say(f"{name} goes on at {times} ({each.timezone}), ...")
    if not served:
        say("nobody serves it yet: start `odr up`, or `odr serve` with your own Prefect server")
