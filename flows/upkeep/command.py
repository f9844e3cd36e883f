"""`odr verify` and `odr gc` on the command line."""

import difflib
import sys
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer
from rich.filesize import decimal

from flows.outcome import clear_errors
from flows.terminal import say
from tasks.workspace import Workspace, home


def verify(
    deep: Annotated[
        bool, typer.Option("--deep/--quick", help="Read every byte, or compare sizes and counts only.")
    ] = True,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Check everything in the data root; name each fault and what is computed again because of it.

    Exit code 0: all is as it was written; 1: there are faults.

    Example: odr verify --quick
    """
    with clear_errors():
        from flows.upkeep.verify import verify as look

        verdict = look(_existing(home()), deep=deep)
        if json:
            say(verdict.to_json())
        else:
            for fault in verdict.faults:
                say(f"fault      {fault.message}\n           -> {fault.then}")
            for path in verdict.leftovers:
                say(f"temporary  {path}")
            counted = ", ".join(f"{count:,} {what}" for what, count in verdict.checked.items())
            say(f"checked    {counted or 'nothing: the data root is empty'} in {verdict.root}")
            advice = "; `odr gc` removes the temporary files" if verdict.leftovers else ""
            count = len(verdict.faults)
            say(f"{count} fault{'' if count == 1 else 's'}{advice}" if count else f"all good{advice}")
        if verdict.faults:
            raise typer.Exit(1)


def gc(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List what would be removed, and remove nothing.")] = False,
    keep_campaign: Annotated[
        list[str] | None,
        typer.Option(help="Keep only this campaign and give up all others; may be given several times."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before campaigns are given up.")] = False,
) -> None:
    """Remove what no campaign refers to: results of settings that were given up, their checkpoints, temporary files.

    Nothing that a running flow uses is touched.
    Example: odr gc --dry-run
    """
    with clear_errors():
        from flows.upkeep.gc import needless, sweep

        workspace = _existing(home())
        keep = _kept(workspace, keep_campaign)
        items = needless(workspace, keep)
        for item in items:
            say(f"{item.what:20} {decimal(item.bytes):>10}  {item.path.relative_to(workspace.root)}")
        if not dry_run:
            _confirm(sorted({i.what for i in items if i.what.startswith("campaign ")}), yes)
            items = sweep(workspace, items, keep)
        counts = Counter("campaign" if item.what.startswith("campaign ") else item.what for item in items)
        shown = ", ".join(f"{count} {what}{'' if count == 1 else 's'}" for what, count in counts.items())
        total = decimal(sum(item.bytes for item in items))
        verb = "would be removed" if dry_run else "removed"
        say(f"{verb}: {shown}, {total}" if items else "nothing to remove")


def _existing(root: Path) -> Workspace:
    if not root.is_dir():
        raise FileNotFoundError(f"there is no data root {root}; set ODR_HOME to the one that is meant")
    return Workspace(root)


def _kept(workspace: Workspace, names: list[str] | None) -> frozenset[str] | None:
    from tasks.records import campaigns

    known = campaigns(workspace)
    for name in names or []:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
            guess = f", did you mean {near[0]!r}?" if near else f"; there are: {', '.join(sorted(known)) or 'none'}"
            raise ValueError(f"--keep-campaign {name}: no such campaign{guess}")
    return frozenset(names) if names else None


def _confirm(campaigns: list[str], yes: bool) -> None:
    if not campaigns or yes:
        return
    given_up = ", ".join(name.removeprefix("campaign ") for name in campaigns)
    if not sys.stdin.isatty():
        raise ValueError(f"this gives up {given_up} with all results; add --yes if that is meant")
    typer.confirm(f"Give up {given_up} with all results?", abort=True)
