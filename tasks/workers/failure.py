"""A child that fails says why in one JSON file, so that its parent need not read a traceback.

kind      bad_input | out_of_memory | not_finite | preempted | crash
message   what was found
fix       what to change, may be empty

Of several processes the one that knows a reason is heard, else the first. When one ends, the others crash for want of
it, and the launcher asks them to end as a scheduler does: neither says anything of the cause.
"""

import json
import os
import socket
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PREEMPTED = 75
"""Exit code of a child that was asked to end and has saved where it was; EX_TEMPFAIL of sysexits.h: try again."""


class BadInput(ValueError):
    """The data, the model or a setting cannot work; running again will not help."""

    kind = "bad_input"

    def __init__(self, message: str, fix: str = "") -> None:
        super().__init__(message, fix)
        self.message, self.fix = message, fix


class OutOfMemory(BadInput):
    """The device's or the host's memory does not hold what was asked for."""

    kind = "out_of_memory"


class NotFinite(BadInput):
    """A loss or gradient is NaN or infinite."""

    kind = "not_finite"


class Preempted(RuntimeError):
    """The child was asked to end. Nothing is wrong: started again, it goes on."""

    kind = "preempted"
    fix = ""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


@contextmanager
def reported(path: Path) -> Iterator[None]:
    """Write any failure of the body to `path` and raise it on: the exit code stays non-zero."""
    try:
        yield
    except BaseException as error:
        if isinstance(error, SystemExit) and error.code in (0, None):
            raise
        told(path, error)
        if not isinstance(error, Preempted):
            traceback.print_exc()
        raise


def told(path: Path, error: BaseException) -> None:
    """Write the reason, unless another process of this child has written one that says more."""
    kind, message, fix = "crash", f"{type(error).__name__}: {error}", ""
    if isinstance(error, (BadInput, Preempted)):
        kind, message, fix = error.kind, error.message, error.fix
    elif isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        kind = "out_of_memory"
    temporary = path.with_name(f"{path.stem}.{socket.gethostname()}-{os.getpid()}.tmp")
    temporary.write_text(json.dumps({"kind": kind, "message": message, "fix": fix}), encoding="utf-8")
    if kind in ("crash", "preempted"):
        _put_if_absent(temporary, path)
    else:
        temporary.replace(path)


def _put_if_absent(temporary: Path, path: Path) -> None:
    try:
        path.hardlink_to(temporary)
    except FileExistsError:
        pass
    except OSError:  # a file system without hard links
        if not path.exists():
            temporary.replace(path)
    temporary.unlink(missing_ok=True)
