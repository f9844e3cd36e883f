"""What one answer may take: processor time, checked wherever a value is computed, and time for computer algebra."""

from __future__ import annotations

import threading
import time

_LOCAL = threading.local()


class OutOfTime(Exception):
    """The deadline passed while computing."""


def set_deadline(seconds: float) -> None:
    """Let `check` in this thread raise OutOfTime after so many more seconds of its processor time."""
    _LOCAL.half = seconds / 2
    _LOCAL.deadline = time.thread_time() + _LOCAL.half
    _LOCAL.is_second_half = False


def check() -> None:
    """Do nothing before the deadline; raise OutOfTime after it.

    The time comes in two halves, the second from when the first is seen to have passed: a virtual machine that
    stood still for a moment may count that as processor time, and one such moment must not decide a verdict.
    """
    now = time.thread_time()
    if now > getattr(_LOCAL, "deadline", float("inf")):
        if _LOCAL.is_second_half:
            raise OutOfTime
        _LOCAL.is_second_half = True
        _LOCAL.deadline = now + _LOCAL.half


def set_patience(seconds: float) -> None:
    """Let this thread wait so many more seconds for computer algebra, over all references of the answer."""
    _LOCAL.patience = time.monotonic() + seconds


def patience() -> float:
    """The seconds that are left to wait."""
    return max(0.0, getattr(_LOCAL, "patience", 0.0) - time.monotonic())
