"""`odr import`, `odr export` and `odr push` on the command line."""

from collections import Counter
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.filesize import decimal

from flows import environment
from flows.outcome import clear_errors
from flows.terminal import say
from tasks.workspace import Workspace, home


class Tool(StrEnum):
    """Whose files."""

    trl = "trl"
    verl = "verl"
    open_instruct = "open-instruct"


class Source(StrEnum):
    """Whose files, or whichever the columns say."""

    auto = "auto"
    trl = "trl"
    verl = "verl"
    open_instruct = "open-instruct"


class Rows(StrEnum):
    """Which rows of an iteration."""

    pairs = "pairs"
    accepted = "accepted"
    groups = "groups"
    rollouts = "rollouts"
    problems = "problems"


Iteration = Annotated[str, typer.Argument(help="campaign/iteration, such as demo/3.", show_default=False)]
Force = Annotated[bool, typer.Option("--force", help="Replace a file of that name.")]


def export(
    iteration: Iteration,
    tool: Annotated[Tool, typer.Option("--as", help="Whose columns.")],
    out: Annotated[Path, typer.Option(help="File to write, .parquet or .jsonl; for verl .parquet.")],
    rows: Annotated[
        Rows | None, typer.Option(help="Default: those the iteration trained on; for verl its problems.")
    ] = None,
    plain: Annotated[
        bool, typer.Option("--plain", help="TRL: texts with the chat template applied, instead of messages.")
    ] = False,
    force: Force = False,
) -> None:
    """Write the rows of one iteration for another tool.

    Answers that were cut at the token limit are left out and counted: another tool would teach them as finished.
    Example: odr export demo/1 --as trl --out pairs.parquet
    """
    with clear_errors():
        workspace = _workspace()
        from flows.exchange.outgoing import export as write

        done = write(workspace, iteration, tool.value, rows and rows.value, out, plain=plain, force=force)
        say(f"written    {done.written:,} {done.rows} of {iteration} for {tool.value} to {out}")
        _print_dropped(done.dropped)


def import_(
    file: Annotated[Path, typer.Argument(help="A .jsonl or .parquet file of another tool.", show_default=False)],
    out: Annotated[Path, typer.Option(help="File to write, .jsonl.")],
    tool: Annotated[Source, typer.Option("--as", help="Whose columns.")] = Source.auto,
    suffix: Annotated[
        str, typer.Option(help="Instruction to cut off the ends of the questions; template.suffix adds its own.")
    ] = "",
    force: Force = False,
) -> None:
    """Turn another tool's problems, chats or preferences into a file that a config reads.

    Problems serve as `prompts`; chats, and the chosen side of preferences, as the warm-up's worked solutions.
    Example: odr import train.parquet --as verl --out problems.jsonl
    """
    with clear_errors():
        from flows.exchange.incoming import config_section, import_rows

        done = import_rows(file, tool.value, out, suffix=suffix, force=force)
        say(f"written    {done.written:,} {done.kind} of {file} ({done.shape}) to {out}")
        _print_dropped(done.dropped)
        if done.unanswered:
            say(f"note       {done.unanswered:,} solutions have no final answer in a box")
        if done.other_end:
            say(f"note       {done.other_end:,} questions do not end in the suffix, and stay as they are")
        say(f"\n{config_section(done, out)}")


def push(
    iteration: Iteration,
    repository: Annotated[str, typer.Argument(help="OWNER/NAME on the hub.", show_default=False)],
    private: Annotated[bool, typer.Option("--private/--public", help="Who can read a new repository.")] = True,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show files and card; send nothing, need no token.")
    ] = False,
) -> None:
    """Put the model of one iteration on the Hugging Face hub, with a card that says where it comes from.

    Example: odr push demo/3 me/demo-dpo --dry-run
    """
    with clear_errors():
        workspace = _workspace()
        from flows.exchange.push import check_target, collect
        from flows.exchange.push import push as send

        check_target(repository, sends=not dry_run)
        upload = collect(workspace, iteration, network=not dry_run)
        if not dry_run:
            say(f"pushed     {iteration} to {send(upload, repository, private=private)}")
            return
        for name, path in sorted(upload.files.items()):
            say(f"{decimal(path.stat().st_size):>10}  {name}")
        say(f"{decimal(len(upload.card.encode())):>10}  README.md")
        say(f"\n{upload.card}\nnothing sent; would go to {repository}, {'private' if private else 'public'}")


def _workspace() -> Workspace:
    root = home()
    if root.is_dir():  # these commands make no data root; that there is none is said when the campaign is looked for
        environment.prepare(root)
    return Workspace(root)


def _print_dropped(dropped: Counter[str]) -> None:
    for why, number in dropped.most_common():
        say(f"left out   {number:,} {why}")
