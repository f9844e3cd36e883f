"""Files and folders that are either whole or absent, also after a power cut.

POSIX promises little: data reach the disk at fsync of the file, names at fsync of the folder, and only rename
is atomic. Hence the order everywhere: write aside, fsync files, fsync the folder, rename, fsync the parent.
"""

import fcntl
import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

_ABANDONED_AFTER_S = 3600.0


def fsync(path: Path) -> None:
    """Force a file's bytes, or a folder's list of names, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_atomically(path: Path, content: bytes) -> None:
    """Make `path` hold exactly `content`; a crash leaves the old file or the new one."""
    aside = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        with aside.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
    fsync(path.parent)


def rename_folder(source: Path, target: Path) -> bool:
    """Move a folder whose files are fsynced to its final name; return False if that name is taken.

    A folder that another process puts there at the same time wins, whole.
    """
    fsync(source)
    for parent in reversed([p for p in target.parents if not p.exists()]):
        parent.mkdir(exist_ok=True)
        fsync(parent.parent)
    try:
        source.rename(target)
    except OSError:
        if os.path.lexists(target):  # also a link to nothing
            return False
        raise
    fsync(target.parent)
    return True


@contextmanager
def scratch(parent: Path | None) -> Generator[Path]:
    """Yield an empty folder that is gone when the block ends, however it ends.

    Below `parent` if given, so that a rename out of it stays on one disk. A killed process cannot clean up;
    its folder is removed by a later call: each owner holds a lock on its folder, so an unlocked old one has
    no owner.
    """
    if parent is not None:
        parent.mkdir(parents=True, exist_ok=True)
        for folder in parent.iterdir():
            _remove_if_abandoned(folder)
    folder = (parent or Path(tempfile.gettempdir())) / f"odr-{uuid.uuid4().hex}"
    folder.mkdir()
    lock = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # a file system without locks: nothing is removed there, see below
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _remove_if_abandoned(folder: Path) -> None:
    try:
        if time.time() - folder.stat().st_mtime < _ABANDONED_AFTER_S:
            return
        lock = os.open(folder, os.O_RDONLY)
    except FileNotFoundError:
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return  # somebody holds the lock, or there are no locks
    else:
        shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(lock)


def is_owned(folder: Path) -> bool:
    """Whether the process that made a scratch folder is still alive."""
    try:
        lock = os.open(folder, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True  # somebody holds the lock, or there are no locks
    finally:
        os.close(lock)
    return False


def link_or_copy(source: Path, target: Path) -> None:
    """Make `target` hold the bytes of `source`: the same file where the disk allows it, else a copy."""
    try:
        target.hardlink_to(source)
    except OSError:
        shutil.copyfile(source, target)
