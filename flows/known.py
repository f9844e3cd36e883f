"""A campaign's name as a person types it: one that is there, or one sentence with the nearest."""

import difflib
from collections.abc import Iterable
from pathlib import Path

from tasks.records import campaigns
from tasks.workspace import Workspace, home


def nearest(name: str, known: Iterable[str]) -> str:
    """The end of a sentence that says a name is unknown: up to three near ones, else all there are."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    if near:
        return f"; did you mean {' or '.join(map(repr, near))}?"
    return f"; there are: {', '.join(names)}" if names else "; there is none yet: start one with `odr run CONFIG`"


def known_campaign(workspace: Workspace, name: str) -> str:
    """The name, if the data root has anything of such a campaign.

    Raises:
        ValueError: it has not; names the nearest.
    """
    found = campaigns(workspace)
    if name not in found:
        raise ValueError(f"no campaign {name!r} under {workspace.root}{nearest(name, found)}")
    return name


def finished_campaign(workspace: Workspace, name: str) -> Path:
    """The results file of a campaign that has come to its end.

    Raises:
        FileNotFoundError: there is none of that name; names the nearest that have.
    """
    found = campaigns(workspace)
    finished = {other for other in found if workspace.results(other).exists()}
    if name in finished:
        return workspace.results(name)
    if name in found:
        raise FileNotFoundError(f"campaign {name!r} has no results yet; `odr list` says how far it is")
    raise FileNotFoundError(f"no finished campaign {name!r} under {workspace.root}{nearest(name, finished)}")


def complete(incomplete: str) -> list[str]:
    """Names of campaigns for the shell to complete."""
    return sorted(name for name in campaigns(Workspace(home())) if name.startswith(incomplete))
