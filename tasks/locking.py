"""One computation per cache key on one machine, with locks that die with their owner.

Prefect's own file lock stays behind after SIGKILL and the next run waits for it for ever. The kernel's
advisory locks are released when the process ends, however it ends. Prefect is not imported: what it wants of a lock
manager is these methods, and who asks only whether a lock is held need not wait for that import.
"""

import asyncio
import fcntl
import logging
import os
import threading
import time
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)

POLL_SECONDS = 0.2


def is_held(path: Path) -> bool:
    """Whether anyone, in any process, holds the kernel's lock on this file; a file that is not there is not held."""
    try:
        file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(file)
    return False


class FlockLockManager:
    """Locks named by cache key, one file each: a `LockManager` of Prefect's."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._held: dict[str, tuple[str, int]] = {}  # key -> holder, open file
        self._mutex = threading.Lock()

    # Prefect copies cache policies; a lock that is held must not be copied with them.
    def __deepcopy__(self, memo: Any) -> "FlockLockManager":
        return self

    def _path(self, key: str) -> Path:
        return self._folder / f"{Path(key).name}.lock"

    def acquire_lock(
        self, key: str, holder: str, acquire_timeout: float | None = None, hold_timeout: float | None = None
    ) -> bool:
        """Wait for the lock; False if `acquire_timeout` seconds pass first."""
        self._folder.mkdir(parents=True, exist_ok=True)
        deadline = None if acquire_timeout is None else time.monotonic() + acquire_timeout
        told = False
        while not self._try(key, holder):
            if not told:
                log.info("%s is being computed by another run (process %s); waiting for it", key, self._owner(key))
                told = True
            if deadline is not None and time.monotonic() > deadline:
                return False
            time.sleep(POLL_SECONDS)
        return True

    def try_lock(self, key: str, holder: str) -> bool:
        """Take the lock if nobody has it; do not wait."""
        self._folder.mkdir(parents=True, exist_ok=True)
        return self._try(key, holder)

    def _try(self, key: str, holder: str) -> bool:
        with self._mutex:
            held = self._held.get(key)
            if held is not None:
                return held[0] == holder
            file = os.open(self._path(key), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(file)
                return False
            os.ftruncate(file, 0)
            os.write(file, str(os.getpid()).encode())
            self._held[key] = (holder, file)
            return True

    def _owner(self, key: str) -> str:
        return self._path(key).read_text(encoding="utf-8") or "unknown"

    async def aacquire_lock(
        self, key: str, holder: str, acquire_timeout: float | None = None, hold_timeout: float | None = None
    ) -> bool:
        """As `acquire_lock`, without blocking the event loop."""
        return await asyncio.to_thread(self.acquire_lock, key, holder, acquire_timeout, hold_timeout)

    def release_lock(self, key: str, holder: str) -> None:
        """Let go.

        Raises:
            ValueError: the holder does not hold it.
        """
        with self._mutex:
            held = self._held.get(key)
            if held is None or held[0] != holder:
                raise ValueError(f"{holder} does not hold the lock of {key}")
            os.close(held[1])  # closing releases
            del self._held[key]

    def is_locked(self, key: str) -> bool:
        """Whether anyone, in any process, holds the lock."""
        with self._mutex:
            if key in self._held:
                return True
        return is_held(self._path(key))

    def is_lock_holder(self, key: str, holder: str) -> bool:
        """Whether this holder has it."""
        held = self._held.get(key)
        return held is not None and held[0] == holder

    def wait_for_lock(self, key: str, timeout: float | None = None) -> bool:
        """Wait until nobody holds the lock; False if `timeout` seconds pass first."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while self.is_locked(key):
            if deadline is not None and time.monotonic() > deadline:
                return False
            time.sleep(POLL_SECONDS)
        return True

    async def await_for_lock(self, key: str, timeout: float | None = None) -> bool:
        """As `wait_for_lock`, without blocking the event loop."""
        return await asyncio.to_thread(self.wait_for_lock, key, timeout)
