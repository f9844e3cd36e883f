"""Campaigns side by side: the same problems, so the difference is tested problem by problem."""

from pathlib import Path
from typing import Any

from rich.table import Table

from eval_math import metrics
from flows import report
from flows.plots import plot_accuracy
from flows.tables import percent
from tasks.workspace import Workspace


def compare(workspace: Workspace, names: list[str]) -> tuple[list[Table], Path]:
    """One table per benchmark and decoding, and a plot; differences are to the first campaign.

    Raises:
        FileNotFoundError: a campaign has no results.
    """
    campaigns = {name: report.read(workspace, name) for name in names}
    path = report.folder(workspace, "-vs-".join(names)).with_suffix(".png")
    plot_accuracy(campaigns, path)
    first = campaigns[names[0]]["iterations"][-1]
    return [_table(workspace, campaigns, generation) for generation in first["generations"]], path


def _table(workspace: Workspace, campaigns: dict[str, dict[str, Any]], generation: str) -> Table:
    table = Table("campaign", "objective", "base, %", "last, %", "gain, points", "against the first, points (95 %)")
    table.title = generation
    baseline: dict[str, list[bool | None]] = {}
    for name, facts in campaigns.items():
        start, last = facts["iterations"][0], facts["iterations"][-1]
        if generation not in last["generations"]:
            table.add_row(name, facts["objective"], "", "", "", "not evaluated on this")
            continue
        before = report.verdicts(workspace, start["generations"][generation])
        after = report.verdicts(workspace, last["generations"][generation])
        baseline = baseline or after
        base, end = metrics.mean_at_n(list(before.values())), metrics.mean_at_n(list(after.values()))
        table.add_row(
            name,
            facts["objective"],
            percent(base.value, base.standard_error),
            percent(end.value, end.standard_error),
            _difference(after, before),
            "" if baseline is after else _difference(after, baseline),
        )
    return table


def _difference(a: dict[str, list[bool | None]], b: dict[str, list[bool | None]]) -> str:
    shared = [problem for problem in a if problem in b]
    if not shared:
        return "no common problems"
    found = metrics.paired_difference([a[p] for p in shared], [b[p] for p in shared])
    assert found.interval is not None
    low, high = (100 * bound for bound in found.interval)
    verdict = "" if low > 0 or high < 0 else ", within noise"
    return f"{100 * found.value:+.1f} [{low:+.1f}, {high:+.1f}]{verdict}"
