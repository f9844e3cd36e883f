"""The processor time that one answer may take, checked wherever a value is computed."""

from __future__ import annotations

import threading
import time

_LOCAL = threading.local()


class OutOfTime(Exception):
    """The deadline passed while computing."""


def set_deadline(seconds: float) -> None:
    """Let `check` in this thread raise OutOfTime after so many more seconds of its processor time."""
    _LOCAL.deadline = time.thread_time() + seconds


def check() -> None:
    """Do nothing before the deadline; raise OutOfTime after it."""
    if time.thread_time() > getattr(_LOCAL, "deadline", float("inf")):
        raise OutOfTime
