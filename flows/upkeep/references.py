"""What the campaigns of a data root refer to, followed to the end: what `odr gc` must leave.

Roots are a campaign's results and the records of its stages, finished and begun. A record's key leads to the cached
result, the work folder and the checkpoint of the same name; its fields hold the digests of the inputs; a manifest
and a checkpoint's record hold those of the parents. Whatever looks like a digest counts: keeping too much costs disk,
keeping too little costs work.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from artifacts.audit import artifact_folders
from artifacts.checkpoint_record import RECORD
from artifacts.manifest import MANIFEST
from artifacts.plain_json import parse
from flows.nightly.record import path as nights
from tasks import records
from tasks.workspace import Workspace

_DIGEST = re.compile(r"[0-9a-f]{64}")
KEY = re.compile(r"[a-z_]+-[0-9a-f]{32}")


class Unknown(ValueError):
    """A file that says what is needed cannot be read, so nothing may be called needless."""


@dataclass
class References:
    """What is needed by name: cache keys, and digests of artifacts and checkpoints."""

    keys: set[str] = field(default_factory=set)
    digests: set[str] = field(default_factory=set)


def referenced(workspace: Workspace, campaigns: Iterable[str]) -> References:
    """Everything that these campaigns refer to.

    Raises:
        Unknown: a file that would say so cannot be read; names it.
    """
    found = References()
    values: list[Any] = []
    for name in sorted(campaigns):
        values += [_needed(workspace.results(name)), _needed(nights(workspace, name))]
        for record in _records(workspace, name):
            found.keys.add(record.key)
            values += [record.fields, read_json(workspace.cache / record.key)]
            values.append(read_json(workspace.checkpoints / record.key / RECORD))
    places = _places(workspace)
    while values:
        for digest in set(_digests(values.pop())):
            found.digests.add(digest)
            # Once each: what has been followed is no longer among the places.
            values += [read(path) for read, path in places.pop(digest, [])]
    return found


def _records(workspace: Workspace, campaign: str) -> Iterator[records.Record]:
    try:
        yield from records.of_campaign(workspace, campaign)
    except records.RecordUnreadable as error:
        raise Unknown(f"{error}. Until then it is unknown what it needs, and nothing is removed.") from error


def _places(workspace: Workspace) -> dict[str, list[tuple[Callable[[Path], Any], Path]]]:
    """Where each digest's own references are written down, and how to read them."""
    found: dict[str, list[tuple[Callable[[Path], Any], Path]]] = {}
    for folder in artifact_folders(workspace.root / "store"):
        found.setdefault(folder.name, []).append((_needed, folder / MANIFEST))
    for path in workspace.checkpoints.glob(f"*/{RECORD}"):
        found.setdefault(digest_of_checkpoint(path.parent), []).append((read_json, path))
    return found


def digest_of_checkpoint(folder: Path) -> str:
    """What a model folder's own record says; empty if it says nothing."""
    fields = read_json(folder / RECORD)
    return str(fields.get("digest", "")) if isinstance(fields, dict) else ""


def read_json(path: Path) -> Any:
    """A file whose loss loses no reference: the fields of the stage's record name the inputs as well."""
    try:
        return parse(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None


def _needed(path: Path) -> Any:
    try:
        return parse(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except ValueError as error:
        raise Unknown(
            f"{path} cannot be read, so it is unknown what it needs, and nothing is removed. `odr verify` says what is "
            f"damaged; run its campaign again, which replaces it, or delete it."
        ) from error


def _digests(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        if _DIGEST.fullmatch(value):
            yield value
        elif value.startswith("{"):  # a cache record keeps its result as text
            yield from _DIGEST.findall(value)
    elif isinstance(value, dict):
        for item in value.values():
            yield from _digests(item)
    elif isinstance(value, list):
        for item in value:
            yield from _digests(item)
