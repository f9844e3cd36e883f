"""Freed memory of a CPU trainer goes back to the system before it is needed for something else."""

import ctypes
import functools
from collections.abc import Callable
from typing import Any


def trim() -> None:
    """Give back what the C library keeps of freed blocks; nothing where it cannot.

    Called between a forward and a backward pass, whose blocks differ in size: each would leave holes that the other
    cannot use.
    """
    if (malloc_trim := _malloc_trim()) is not None:
        malloc_trim(0)


@functools.cache
def _malloc_trim() -> Callable[[int], Any] | None:
    """glibc's; other C libraries have none."""
    return getattr(ctypes.CDLL(None), "malloc_trim", None)
