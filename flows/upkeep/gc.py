"""`odr gc`: remove what no campaign refers to, and nothing that a running flow uses.

While a flow runs, whatever it has written or touched since it began stays; what it works on is locked; what it is
about to use it notes first, and no note is written during the sweep. The sweep looks at all references once more,
then moves things aside by renaming, so that it is short; the bytes are freed afterwards.
"""

import logging
import os
import shutil
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from artifacts.audit import artifact_folders
from artifacts.leftovers import TRASH, leftovers
from flows.upkeep.references import KEY, References, digest_of_checkpoint, referenced
from tasks import presence, records
from tasks.locking import FlockLockManager
from tasks.workspace import Workspace

log = logging.getLogger(__name__)

PLACES = ("campaigns", "keys", "started", "cache", "work", "checkpoints", "store", "hashes")
"""Folders of the data root that are looked at. The trackers' own, the demo's data and lock files stay."""
RECORDS = ("campaigns", "keys", "started")


@dataclass(frozen=True)
class Item:
    """Something that no campaign refers to."""

    what: str
    path: Path
    mtime_ns: int
    key: str = ""
    """Whose lock protects it."""
    bytes: int = field(default=0, compare=False)


def needless(workspace: Workspace, keep: frozenset[str] | None = None) -> list[Item]:
    """What can be removed; with `keep` given, the other campaigns are given up.

    Raises:
        Unknown: a file that says what is needed cannot be read.
    """
    campaigns = records.campaigns(workspace)
    needed = referenced(workspace, campaigns if keep is None else campaigns & keep)
    given_up = set[str]() if keep is None else campaigns - keep
    limit_ns = _untouched_since(workspace.locks)
    items = [item for item in _items(workspace, needed, given_up) if item.mtime_ns < limit_ns]
    whole = {item.path for item in items}
    return [item for item in items if whole.isdisjoint(item.path.parents)]


def sweep(workspace: Workspace, listed: list[Item], keep: frozenset[str] | None = None) -> list[Item]:
    """Remove of the listed things those that are still as they were and still needless; return them."""
    removed: list[Item] = []
    locks, aside = FlockLockManager(workspace.locks), uuid.uuid4().hex
    with presence.sweeping(workspace.locks):
        presence.forget_the_dead(workspace.locks)
        still = set(needless(workspace, keep))
        removed += [item for item in listed if item in still and _move(item, workspace.root, aside, locks)]
    for place in PLACES:
        shutil.rmtree(workspace.root / place / TRASH / aside, ignore_errors=True)
    return removed


def size(path: Path) -> int:
    """Bytes of a file or of all files of a folder."""
    if not path.is_dir():
        return path.lstat().st_size
    return sum((Path(here) / name).lstat().st_size for here, _, files in os.walk(path) for name in files)


def _untouched_since(locks: Path) -> float:
    """Things younger than this, in nanoseconds, may belong to a running flow."""
    began = presence.began(locks)
    if began is None:
        return float("inf")
    if began > time.time() + presence.MARGIN_SECONDS:
        log.warning("the clock was set back while a flow is running: nothing is removed before the flow has ended")
        return float("-inf")
    return (began - presence.MARGIN_SECONDS) * 1e9


def _items(workspace: Workspace, needed: References, given_up: set[str]) -> Iterator[Item]:
    root = workspace.root
    for name in sorted(given_up):
        yield from (
            _item(f"campaign {name}", root / place / name) for place in RECORDS if (root / place / name).is_dir()
        )
    for path in _entries(workspace.cache):
        if KEY.fullmatch(path.name) and path.name not in needed.keys:
            yield _item("cache record", path, path.name)
    for path in _entries(root / "work"):
        if path.name not in needed.keys:
            yield _item("work folder", path, path.name)
    for path in _entries(workspace.checkpoints):
        if path.name not in needed.keys and digest_of_checkpoint(path) not in needed.digests:
            yield _item("checkpoint", path, path.name)
    for path in artifact_folders(root / "store"):
        if path.name not in needed.digests:
            yield _item("artifact", path)
    for place in PLACES:
        yield from (_item("temporary", path) for path in leftovers(root / place))


def _entries(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*") if not path.name.startswith("."))


def _item(what: str, path: Path, key: str = "") -> Item:
    return Item(what, path, path.lstat().st_mtime_ns, key, size(path))


def _move(item: Item, root: Path, aside: str, locks: FlockLockManager) -> bool:
    """Rename it to the trash of its place, unless somebody works on it or has just used it."""
    if item.key and not locks.try_lock(item.key, "gc"):
        return False
    place, *rest = item.path.relative_to(root).parts
    target = root / place / TRASH / aside / "+".join(rest)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        item.path.rename(target)
        if target.lstat().st_mtime_ns != item.mtime_ns:  # used in the instant between the look and the rename
            target.rename(item.path)
            return False
    except FileNotFoundError:
        return False  # it is gone already, with the folder it was in
    except OSError as error:
        log.warning("%s stays: %s", item.path, error)
        return False
    finally:
        if item.key:
            locks.release_lock(item.key, "gc")
    return True
