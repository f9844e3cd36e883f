"""Start and kill this package's child processes: the workers and the computer algebra."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

_KILL = 9
"""SIGKILL. Nothing in this package imports `signal`: handlers belong to the program that uses it."""


def command_of(module: str) -> list[str]:
    """The command line that runs a module of this package."""
    return [sys.executable, "-m", module]


def start(command: Sequence[str], *, own_group: bool) -> subprocess.Popen[bytes]:
    """Start a child with pipes at both ends.

    Subprocess rather than multiprocessing: the child imports this package only, never the caller's __main__,
    and nothing is forked from a process with threads.

    Args:
        command: what `command_of` gave.
        own_group: a new session, so that `kill_group` ends the child with all that it started; otherwise the
            child belongs to the caller's group and ends with that.
    """
    # The package's own folder comes first and the working directory is left out of the path: no file
    # lying there can stand in for a module.
    path = os.pathsep.join(filter(None, (str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH"))))
    # sympy's results may depend on the order of sets, and verdicts must not.
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONSAFEPATH": "1", "PYTHONHASHSEED": "0"}
    pipe = subprocess.PIPE
    return subprocess.Popen(
        command,
        stdin=pipe,
        stdout=pipe,
        stderr=subprocess.DEVNULL,
        env=environment,
        start_new_session=own_group,
    )


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """Kill a child that has its own group, and everything it started; wait for its end and close the pipes."""
    # Until the child is waited for, its number cannot be given to anyone else.
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, _KILL)
    _reap(process)


def kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a child that belongs to the caller's group; wait for its end and close the pipes."""
    process.kill()
    _reap(process)


def _reap(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(BrokenPipeError):
        process.communicate()
