"""A comparison: what was found, the files that show it, and the sentences that say how sure it is."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from artifacts.durable import write_atomically
from flows.comparison.campaigns import Campaign, caveats, read
from flows.comparison.differences import Result, adjusted, generations, results_of
from flows.comparison.panels import Panel, panels
from flows.comparison.show import notes, tables
from tasks.workspace import Workspace

LONGEST_NAME = 120
"""Characters of a file's name, beside its ending."""


@dataclass(frozen=True)
class Found:
    """What a comparison comes to."""

    campaigns: list[Campaign]
    results: list[Result]
    panels: dict[str, list[Panel]]
    """What is drawn, by row."""
    notes: list[str]
    """How the figures were made, and what they do not say."""

    def tables(self) -> list[Table]:
        """One for the terminal for each benchmark and decoding."""
        return tables(self.results)


@dataclass(frozen=True)
class Compared:
    """A comparison and the files that show it."""

    found: Found
    plot: Path
    page: Path

    @property
    def names(self) -> list[str]:
        """The campaigns, as they were given."""
        return [campaign.name for campaign in self.found.campaigns]

    def to_json(self) -> dict[str, Any]:
        """For scripts; accuracies and differences as fractions."""
        return {
            "campaigns": self.names,
            "results": [result.to_json() for result in self.found.results],
            "notes": self.found.notes,
            "plot": str(self.plot),
            "page": str(self.page),
        }


def compare(workspace: Workspace, names: list[str]) -> Compared:
    """Test the differences to the first campaign, and write the picture and the page beside the campaigns' results.

    Raises:
        FileNotFoundError, ValueError: as for `examine`.
    """
    from flows.comparison.page import page
    from flows.plots import plot_panels

    found = examine(workspace, names)
    place = workspace.root / "campaigns" / _file_name(names)
    plot, html = place.with_name(f"{place.name}.png"), place.with_name(f"{place.name}.html")
    plot_panels(found.panels, plot)
    write_atomically(html, page(found.campaigns, found.results, found.panels, found.notes).encode())
    return Compared(found, plot, html)


def examine(workspace: Workspace, names: list[str]) -> Found:
    """Read the campaigns and test the differences to the first; writes nothing.

    Raises:
        FileNotFoundError: there is no finished campaign of a name; names the nearest.
        ValueError: a name is given twice, or a campaign's files are not what a campaign writes.
    """
    twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if twice:
        raise ValueError(f"{twice[0]} is named twice; name each campaign once")
    campaigns = [read(workspace, name) for name in names]
    every = [r for generation in generations(campaigns) for r in results_of(workspace, campaigns, generation)]
    results = adjusted(every)
    gone = dict.fromkeys(sentence for campaign in campaigns for sentence in campaign.source.gone)
    said = [*notes(campaigns, results), *caveats(campaigns), *gone]
    return Found(campaigns, results, panels(campaigns), said)


def _file_name(names: list[str]) -> str:
    joined = "-vs-".join(names)
    if len(joined) <= LONGEST_NAME:
        return joined
    return f"{joined[: LONGEST_NAME - 17]}-{hashlib.sha256(joined.encode()).hexdigest()[:16]}"
