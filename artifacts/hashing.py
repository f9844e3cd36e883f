"""Content hashes of files, computed once per file as long as it does not change.

A file counts as unchanged while its path, size and modification time (ns) are. The clock of a file system
ticks in milliseconds, so a file may change twice within one modification time: what is younger than two
seconds is never remembered. That is enough against accidents, which is what the hashes are for; who forges
modification times can forge recorded hashes too.
"""

import hashlib
import json
import logging
import os
import time
from pathlib import Path
from typing import Any, BinaryIO, cast

from artifacts.durable import write_atomically
from artifacts.plain_json import parse

log = logging.getLogger(__name__)

_CHUNK = 4 << 20
_SETTLED_AFTER_NS = 2_000_000_000
TRUST = "ODR_TRUST_DISK"
"""Set to 1, readers compare sizes and hash nothing: for a local disk that keeps checksums itself.

Children of a run inherit it."""


def disk_is_trusted() -> bool:
    """Return whether reads go without hashing; `odr verify` and whatever names a new file hash all the same."""
    return os.environ.get(TRUST) == "1"


def is_settled(mtime_ns: int | None) -> bool:
    """Return whether any later change to a file must show in its modification time."""
    return mtime_ns is not None and time.time_ns() - mtime_ns > _SETTLED_AFTER_NS


def sha256_stream(stream: BinaryIO) -> str:
    """Return the hex sha256 of what is left in the stream, read in pieces of 4 MiB."""
    digest = hashlib.sha256()
    while chunk := stream.read(_CHUNK):
        digest.update(chunk)
    return digest.hexdigest()


def sha256_file(path: Path) -> str:
    """Return the hex sha256 of a local file."""
    with path.open("rb", buffering=0) as stream:
        return sha256_stream(stream)


class HashCache:
    """Remembers the hashes of large local files in `<folder>/sha256.json`, across processes.

    Two processes that save at the same time may lose each other's entries; those files are then hashed once
    more.
    """

    def __init__(self, folder: Path | None) -> None:
        """Load what is known; with `folder` None every call hashes."""
        self._file = folder / "sha256.json" if folder else None
        self._known = _load(self._file) if self._file else {}
        self._changed = False

    def sha256(self, path: Path) -> str:
        """Return the hex sha256 of the file."""
        path, stat = path.absolute(), path.stat()
        entry = self._known.get(str(path))
        if entry and entry[:2] == [stat.st_size, stat.st_mtime_ns]:
            return str(entry[2])
        value = sha256_file(path)
        if is_settled(stat.st_mtime_ns):
            self._known[str(path)] = [stat.st_size, stat.st_mtime_ns, value]
            self._changed = True
        return value

    def save(self) -> None:
        """Write new hashes to disk, keeping those another process has added meanwhile."""
        if self._file and self._changed:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            self._known = _load(self._file) | self._known
            write_atomically(self._file, json.dumps(self._known, indent=0).encode())
            self._changed = False


def _load(file: Path) -> dict[str, list[int | str]]:
    if not file.exists():
        return {}
    try:
        known = parse(file.read_bytes())
    except ValueError:
        log.warning("%s is not readable JSON; it is started afresh and the files are hashed again", file)
        return {}
    entries = cast(dict[str, Any], known) if isinstance(known, dict) else {}
    return {path: entry for path, entry in entries.items() if _is_entry(entry)}


def _is_entry(entry: Any) -> bool:
    return isinstance(entry, list) and [type(field) for field in cast(list[Any], entry)] == [int, int, str]
