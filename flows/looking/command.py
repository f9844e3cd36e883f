"""`odr list`, `show`, `report`, `logs` and `stop` on the command line: campaigns that are there."""

from pathlib import Path
from typing import Annotated

import typer

from flows import environment
from flows.known import complete, known_campaign
from flows.outcome import clear_errors
from flows.terminal import out, say, say_json
from tasks.workspace import Workspace, home

Campaign = Annotated[
    str, typer.Argument(metavar="CAMPAIGN", help="Its name; `odr list` shows all.", autocompletion=complete)
]
Finished = Annotated[
    str, typer.Argument(metavar="CAMPAIGN", help="Name of a finished campaign.", autocompletion=complete)
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else, on standard output.")]


def list_(as_json: Json = False) -> None:
    """List the campaigns of the data root: how far each is, its accuracy, and whether it runs.

    running: a process is at it. stopped: asked to end, or killed; the same command goes on. failed: the last command
    ended with an error.

    Example: odr list --json
    """
    with clear_errors():
        from flows.looking.listing import statuses_json, statuses_table
        from flows.status import statuses

        found = statuses(Workspace(home()))
        if as_json:
            say_json(statuses_json(found))
        elif found:
            out.print(statuses_table(found))
        else:
            say(f"no campaign under {home()} yet: start one with `odr run CONFIG`")


def show(
    campaign: Finished,
    examples: Annotated[int, typer.Option(help="Also print this many graded answers of the last evaluation.")] = 0,
    as_json: Json = False,
) -> None:
    """Show a campaign's results, where its time went, and where its files are.

    Example: odr show demo --examples 5
    """
    with clear_errors():
        from flows import report
        from flows.looking.show import show_campaign

        workspace = Workspace(home())
        if as_json:
            say_json(report.read(workspace, campaign))
            return
        for part in show_campaign(workspace, campaign, examples):
            out.print(part, soft_wrap=isinstance(part, str), markup=not isinstance(part, str))


def report(
    campaign: Finished,
    out_file: Annotated[Path | None, typer.Option("--out", help="File to write; default: beside the results.")] = None,
) -> None:
    """Write one campaign as one HTML file: scores, rows, curves, time, examples, lineage. Opens without network.

    Example: odr report demo --out demo.html
    """
    with clear_errors():
        from flows.page import write_page

        out.print(f"page       {write_page(Workspace(home()), campaign, out_file)}", soft_wrap=True, markup=False)


def logs(
    campaign: Campaign,
    stage: Annotated[
        str | None, typer.Option(help="Only this stage, such as train, or train@2 of iteration 2.", show_default=False)
    ] = None,
    lines: Annotated[int, typer.Option("--lines", "-n", help="The last lines; 0: all.", min=0)] = 40,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the campaign no longer runs.")] = False,
    files: Annotated[bool, typer.Option("--files", help="List the files instead.")] = False,
) -> None:
    """Show what engines and trainers have written: of the newest log, or of the newest of one stage.

    Example: odr logs demo --stage train@2 --follow
    """
    with clear_errors():
        from flows.looking import logs as kept

        workspace = Workspace(home())
        known_campaign(workspace, campaign)
        found = kept.logs(workspace, campaign, stage)
        if files:
            for log in found:
                say(log.title)
        elif follow:
            for line in kept.follow(workspace, campaign, stage, lines):
                say(line)
        elif found:
            say(f"==> {found[-1].title}")
            for line in kept.last_lines(found[-1].path, lines):
                say(line)
        else:
            stages = sorted({log.stage for log in kept.logs(workspace, campaign)})
            there = f"there are logs of: {', '.join(stages)}" if stages else "no engine or trainer has run yet"
            raise ValueError(f"campaign {campaign!r} has no log{f' of stage {stage}' if stage else ''}; {there}")


def stop(
    campaign: Campaign,
    wait: Annotated[float, typer.Option(help="Longest time to wait for its end, seconds.", min=0)] = 60.0,
) -> None:
    """Ask the command that runs a campaign to end: it saves where it is, and the same command goes on.

    That command ends with exit code 75; one that a Prefect deployment has started is cancelled there.

    Example: odr stop demo
    """
    with clear_errors():
        from flows.looking.stop import stop as end

        environment.prepare(home())
        workspace = Workspace(home())
        known_campaign(workspace, campaign)
        for owner in end(workspace, campaign, wait):
            say(f"stopped    {campaign} (process {owner.pid}); the same command goes on")
