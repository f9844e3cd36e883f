"""`odr list`: all campaigns of the data root."""

from dataclasses import asdict
from datetime import datetime
from typing import Any

from rich.table import Table

from flows.status import Status
from flows.tables import percent, plain

COLOURS = {"running": "yellow", "finished": "green", "stopped": "", "failed": "red"}


def statuses_table(found: list[Status]) -> Table:
    """One line per campaign, the newest last."""
    table = Table("campaign", "objective", "iterations", "accuracy, %", "state", "since")
    for item in found:
        done = "-" if item.done is None else str(item.done)
        accuracy = ""
        if item.accuracy:
            bench, metric, value, error = item.accuracy
            accuracy = f"{percent(value, error)}  {bench} {metric}"
        said = f": {item.said}" if item.said else ""
        cells = (item.campaign, item.objective, f"{done}/{'?' if item.asked is None else item.asked}", accuracy)
        colour = COLOURS.get(item.state, "")
        state = f"[{colour}]{item.state}[/]" if colour else item.state
        when = datetime.fromtimestamp(item.when).strftime("%Y-%m-%d %H:%M")
        table.add_row(*map(plain, cells), state + plain(said), when)
    return table


def statuses_json(found: list[Status]) -> list[dict[str, Any]]:
    """The same for scripts; times in ISO 8601 with their zone."""
    return [_fields(item) for item in found]


def _fields(item: Status) -> dict[str, Any]:
    fields = asdict(item)
    if item.accuracy:
        names = ("benchmark", "metric", "value", "standard_error")
        fields["accuracy"] = dict(zip(names, item.accuracy, strict=True))
    fields["when"] = datetime.fromtimestamp(item.when).astimezone().isoformat(timespec="seconds")
    return fields
