"""A child that fails says why in one JSON file, so that its parent need not read a traceback.

kind      bad_input | out_of_memory | not_finite | crash
message   what was found
fix       what to change, may be empty
"""

import json
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


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


@contextmanager
def reported(path: Path) -> Iterator[None]:
    """Write any failure of the body to `path` and raise it on: the exit code stays non-zero."""
    try:
        yield
    except BaseException as error:
        if isinstance(error, SystemExit) and error.code in (0, None):
            raise
        _write(path, error)
        traceback.print_exc()
        raise


def _write(path: Path, error: BaseException) -> None:
    kind, message, fix = "crash", f"{type(error).__name__}: {error}", ""
    if isinstance(error, BadInput):
        kind, message, fix = error.kind, error.message, error.fix
    elif isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        kind = "out_of_memory"
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps({"kind": kind, "message": message, "fix": fix}), encoding="utf-8")
    temporary.replace(path)
