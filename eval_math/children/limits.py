"""Caps that a grading process sets on itself, enforced by the kernel: also inside one long C call."""

from __future__ import annotations

import contextlib
import math

WORKER_BYTES = 512 << 20
"""Address space of a worker. Together with its computer algebra it stays below a gigabyte."""
ALGEBRA_BYTES = 448 << 20
"""Address space of the process in which sympy runs."""
OUT_OF_MEMORY_STATUS = 86
"""Exit status of a process that ran into its cap."""


def limit_memory(num_bytes: int) -> None:
    """Let an allocation beyond the cap fail here instead of filling the machine."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        _, ceiling = resource.getrlimit(resource.RLIMIT_AS)
        cap = num_bytes if ceiling == resource.RLIM_INFINITY else min(num_bytes, ceiling)
        resource.setrlimit(resource.RLIMIT_AS, (cap, ceiling))


def limit_time(seconds: float) -> None:
    """End this process when its next piece of work burns this much CPU: the parent may be gone by then."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        usage = resource.getrusage(resource.RUSAGE_SELF)
        ceiling = math.ceil(usage.ru_utime + usage.ru_stime + seconds) + 1
        resource.setrlimit(resource.RLIMIT_CPU, (ceiling, resource.getrlimit(resource.RLIMIT_CPU)[1]))
