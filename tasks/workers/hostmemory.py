"""Freed memory of a CPU trainer goes back to the system before it is needed for something else."""

import ctypes
import functools
from typing import Any

WORTH = 64 << 20
"""Bytes. A pass that frees less is over soon, and would wait longer for new memory than it works."""


class _Mallinfo2(ctypes.Structure):
    """glibc's account of its heap; `fordblks` is what is free in it."""

    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in (
            "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"
        )
    )  # fmt: skip


def trim() -> None:
    """Give back what the C library keeps of freed blocks, if it is much; nothing where it cannot.

    Called between a forward and a backward pass, whose blocks differ in size: each would leave holes that the other
    cannot use.
    """
    if (libc := _glibc()) is not None and libc.mallinfo2().fordblks >= WORTH:
        libc.malloc_trim(0)


@functools.cache
def _glibc() -> Any:
    """The C library, if it is glibc 2.33 or later."""
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "mallinfo2"):
        return None
    libc.mallinfo2.restype = _Mallinfo2
    return libc
