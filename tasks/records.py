"""Which stages a campaign has begun and finished, and what their keys were made of.

`odr plan` compares with the finished ones; `odr gc` keeps what either names: the key leads to the cached result,
the fields hold the digest of every input. There is one record per stage of a campaign, that of its latest call, so
the results of settings that were given up are nobody's.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from artifacts import plain_json
from artifacts.durable import write_atomically
from tasks.workspace import Workspace


@dataclass(frozen=True)
class Record:
    """One stage of a campaign."""

    path: Path
    campaign: str
    label: str
    fields: dict[str, Any]

    @property
    def key(self) -> str:
        """The cache key that the fields make."""
        return key_of(self.fields)

    def show(self) -> str:
        """As people see it."""
        return f"{self.campaign} · {self.label}"


class RecordUnreadable(ValueError):
    """A record is no JSON: what it stood for is unknown."""


def key_of(fields: dict[str, Any]) -> str:
    """The name of a cache record, of a work folder and of a lock."""
    text = json.dumps(fields, sort_keys=True)
    return f"{fields['stage']}-{hashlib.sha256(text.encode()).hexdigest()[:32]}"


def begin(workspace: Workspace, campaign: str, label: str, fields: dict[str, Any]) -> None:
    """Note that a stage is about to be worked on; nothing if its last finished call was the same."""
    if _held(workspace.key_record(campaign, label)) != fields:
        _write(workspace.started_record(campaign, label), fields)


def finish(workspace: Workspace, campaign: str, label: str, fields: dict[str, Any]) -> None:
    """Note that a stage is done."""
    path = workspace.key_record(campaign, label)
    if _held(path) != fields:
        _write(path, fields)
    workspace.started_record(campaign, label).unlink(missing_ok=True)


def campaigns(workspace: Workspace) -> set[str]:
    """Names of all campaigns that have left anything in the data root."""
    places = (workspace.root / name for name in ("campaigns", "keys", "started"))
    entries = (entry for place in places if place.is_dir() for entry in place.iterdir())
    return {entry.name for entry in entries if entry.is_dir() and not entry.name.startswith(".")}


def of_campaign(workspace: Workspace, campaign: str) -> Iterator[Record]:
    """Its stages, finished and begun.

    Raises:
        RecordUnreadable: names the file.
    """
    for place in ("keys", "started"):
        for path in sorted((workspace.root / place / campaign).glob("*.json")):
            yield read(path)


def read(path: Path) -> Record:
    """One record.

    Raises:
        RecordUnreadable: it is not one.
    """
    fields = _held(path)
    if not isinstance(fields, dict) or not isinstance(fields.get("stage"), str):
        raise RecordUnreadable(f"{path} is not a readable record; delete it: the next run of its campaign writes it")
    return Record(path, path.parent.name, path.stem, fields)


def _held(path: Path) -> Any:
    try:
        return plain_json.parse(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return None


def _write(path: Path, fields: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, json.dumps(fields, indent=1, sort_keys=True).encode())
