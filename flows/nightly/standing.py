"""Which campaigns stand: their whole config, and when their nights begin.

Kept in the data root, where the process that serves and every night read it, so that a schedule on a server is only
a copy, and a night uses the config as it was set up.
"""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from artifacts import plain_json
from artifacts.durable import write_atomically
from flows.config import RunConfig
from flows.known import nearest
from flows.nightly import rule
from tasks.workspace import Workspace

FILE = "nightly.json"


@dataclass(frozen=True)
class Standing:
    """One campaign that goes on every night."""

    config: RunConfig
    cron: str = ""
    """Minute, hour, day of month, month, day of week; empty: nights begin by hand only."""
    timezone: str = "UTC"

    @property
    def name(self) -> str:
        """The campaign's name."""
        return self.config.name


def check(config: RunConfig, cron: str, timezone: str) -> Standing:
    """A campaign that can stand.

    Raises:
        ValueError: the schedule is malformed or never fires, or the rule does not fit the evaluation.
    """
    rule.resolved(config)
    if cron:
        first_nights(cron, timezone, 1)
    return Standing(config, cron, timezone)


def first_nights(cron: str, timezone: str, count: int) -> list[datetime]:
    """When it fires next, as Prefect's scheduler counts.

    Raises:
        ValueError: malformed, never, or no such time zone.
    """
    from prefect._vendor.croniter import CroniterBadCronError, CroniterBadDateError, croniter

    try:
        zone = ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"--timezone {timezone!r}: no such time zone; expected one such as Europe/Berlin") from error
    expected = 'expected minute, hour, day of month, month and day of week, such as "0 1 * * *"'
    if len(cron.split()) != 5 or not croniter.is_valid(cron) or any(word in "RrHh" for word in cron.split()):
        raise ValueError(f"--cron {cron!r} is no schedule; {expected}")
    try:
        dates = croniter(cron, datetime.now(UTC).astimezone(zone))
        return [dates.get_next(datetime) for _ in range(count)]
    except CroniterBadDateError as error:
        raise ValueError(f"--cron {cron!r} never fires: there is no such date; {expected}") from error
    except CroniterBadCronError as error:
        raise ValueError(f"--cron {cron!r} is no schedule ({error}); {expected}") from error


def write(workspace: Workspace, standing: Standing) -> None:
    """Set up a campaign, or replace its config and schedule; its nights stay."""
    file = _path(workspace, standing.name)
    file.parent.mkdir(parents=True, exist_ok=True)
    fields = {
        "cron": standing.cron, "timezone": standing.timezone, "config": standing.config.model_dump(mode="json"),
        "rule": standing.config.nightly.model_dump(mode="json"),
    }  # fmt: skip
    write_atomically(file, json.dumps(fields, indent=1).encode())


def remove(workspace: Workspace, name: str) -> None:
    """Let a campaign stand no longer; its nights and policies stay.

    Raises:
        ValueError: it does not stand.
    """
    read(workspace, name)
    _path(workspace, name).unlink()


def read(workspace: Workspace, name: str) -> Standing:
    """One standing campaign.

    Raises:
        ValueError: there is none of that name, or its file is damaged.
    """
    file = _path(workspace, name)
    try:
        fields: dict[str, Any] = plain_json.parse(file.read_bytes())
        config = RunConfig.model_validate({**fields["config"], "nightly": fields["rule"]})
        return Standing(config, str(fields["cron"]), str(fields["timezone"]))
    except FileNotFoundError as error:
        known = nearest(name, names(workspace)) if names(workspace) else ""
        raise ValueError(
            f"no standing campaign {name!r} under {workspace.root}{known or '; set one up with `odr nightly CONFIG`'}"
        ) from error
    except (ValueError, TypeError, LookupError) as error:
        raise ValueError(f"{file} cannot be used ({error}); `odr nightly CONFIG` writes it anew") from error


def names(workspace: Workspace) -> list[str]:
    """All standing campaigns of the data root."""
    return sorted(file.parent.name for file in (workspace.root / "campaigns").glob(f"*/{FILE}"))


def _path(workspace: Workspace, name: str) -> Path:
    return workspace.results(name).with_name(FILE)
