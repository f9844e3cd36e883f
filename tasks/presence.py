"""Which flows are at work in a data root, so that `odr gc` takes nothing from under them and `odr stop` finds them.

A running flow holds a lock on a file whose modification time says when it began, and whose text says whose it is.
Whatever it uses it has written or touched since, or has noted in `tasks.records`; and while it notes something, nothing
is swept away. The locks are the kernel's: they end with their owner, however it ends.
"""

import fcntl
import json
import os
import socket
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from artifacts import plain_json
from tasks.locking import is_held

MARGIN_SECONDS = 60.0
"""Two clocks of one file system differ by less."""


@dataclass(frozen=True)
class Owner:
    """The process behind a running flow."""

    campaign: str
    """Empty for a flow that belongs to none."""
    pid: int
    began: int
    """When the process began, in clock ticks since boot: an id alone may get a new owner."""
    host: str
    flow_run: str
    """The flow run that a Prefect runner has started it for; empty for a command of a person."""

    @classmethod
    def this(cls, campaign: str) -> "Owner":
        """This process."""
        began = process_began(os.getpid())
        assert began is not None
        return cls(campaign, os.getpid(), began, socket.gethostname(), os.environ.get("PREFECT__FLOW_RUN_ID", ""))


def process_began(pid: int) -> int | None:
    """Clock ticks since boot at which a process began; None if it has ended, also when nobody has collected it."""
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()
    except OSError:
        return None
    return None if state in "ZX" else int(fields[18])


@contextmanager
def at_work(locks: Path, campaign: str = "") -> Iterator[None]:
    """Say that a flow is running while the block runs."""
    with settled(locks):  # a file that is there but not yet locked would look like a dead flow's
        path = locks / f"flow-{os.getpid()}-{uuid.uuid4().hex}.lock"
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        fcntl.flock(file, fcntl.LOCK_EX)
        os.write(file, json.dumps(asdict(Owner.this(campaign))).encode())
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(file)


def began(locks: Path) -> float | None:
    """When the oldest running flow began, in the file system's time; None when no flow is running."""
    times: list[float] = []
    for path in locks.glob("flow-*.lock"):
        with suppress(FileNotFoundError):  # it has just ended
            if is_held(path):
                times.append(path.stat().st_mtime)
    return min(times, default=None)


def owners(locks: Path) -> set[Owner]:
    """The processes that run flows now."""
    found: set[Owner] = set()
    for path in locks.glob("flow-*.lock"):
        with suppress(OSError, ValueError, TypeError):  # it has just ended, or has not yet written who it is
            if is_held(path):
                found.add(Owner(**plain_json.parse(path.read_bytes())))
    return found


def forget_the_dead(locks: Path) -> None:
    """Remove the files of flows that were killed; only while `sweeping`."""
    for path in locks.glob("flow-*.lock"):
        with suppress(FileNotFoundError):
            if not is_held(path):
                path.unlink()


@contextmanager
def settled(locks: Path) -> Iterator[None]:
    """Nothing is swept away while the block runs; many may hold this."""
    with _locked(locks, fcntl.LOCK_SH):
        yield


@contextmanager
def sweeping(locks: Path) -> Iterator[None]:
    """Wait until nobody notes anything, and let nobody while the block runs; it must be short."""
    with _locked(locks, fcntl.LOCK_EX):
        yield


def touch(path: Path) -> None:
    """Mark a file or folder as used now."""
    with suppress(FileNotFoundError):
        os.utime(path)


@contextmanager
def _locked(locks: Path, how: int) -> Iterator[None]:
    locks.mkdir(parents=True, exist_ok=True)
    file = os.open(locks / "sweep.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(file, how)
        yield
    finally:
        os.close(file)
