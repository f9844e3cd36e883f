"""Which processes a command has below it, what each is for, and whether they are gone."""

import os
import time
from collections.abc import Iterable
from pathlib import Path

from tasks.workers.supervise import descendants

Process = tuple[int, str]
"""A process id and when that process began, in clock ticks: an id alone may get a new owner."""

ROLES = {
    b"tasks.workers.supervise": "supervisor",  # before the workers, as launchers: their command lines name one as well
    b"torch.distributed.run": "launcher",
    b"deepspeed.launcher": "launcher",
    b"flows.watchdog": "watchdog",
    b"prefect.server.api": "temporary Prefect server",
    b"eval_math": "grading worker",
    b"tasks.workers.sample": "engine",
    b"VLLM::": "engine",
    b"EngineCore": "engine",
    b"tasks.workers.score": "scorer",
    b"tasks.workers.demonstrate": "demonstrator",
    b"tasks.workers.train": "trainer",
    b"tasks/workers/train.py": "trainer",
}


def tree(root: int) -> set[Process]:
    """The process and everything below it."""
    return {process for pid in (root, *descendants(root)) if (process := identified(pid))}


def of_data_root(home: Path) -> set[Process]:
    """Every process whose environment names this data root, whoever its parent is."""
    mark = f"ODR_HOME={home}".encode()
    found: set[Process] = set()
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (entry / "environ").read_bytes().split(b"\0") and (process := identified(int(entry.name))):
                found.add(process)
        except OSError:
            continue  # it has ended, or is not ours
    return found


def identified(pid: int) -> Process | None:
    """A process with its beginning; None when it has ended, also when nobody has collected it."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else (pid, fields[19])


def role(pid: int) -> str:
    """What a process is for, by its command line."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return "gone"
    return next((name for mark, name in ROLES.items() if mark in command), "helper")


def alive(processes: Iterable[Process]) -> set[Process]:
    """Those that have not ended."""
    return {process for process in processes if identified(process[0]) == process}


def wait_until_gone(processes: Iterable[Process], seconds: float) -> list[str]:
    """Command lines of those that are still there after so many seconds; returns as soon as there are none."""
    processes, deadline = set(processes), time.monotonic() + seconds
    while (left := alive(processes)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return [f"{pid} {role(pid)}: {_command(pid)}" for pid, _ in sorted(left)]


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
    except OSError:
        return "(gone)"


def kill(process: Process, number: int) -> bool:
    """Send a signal; False if the process has ended before."""
    if identified(process[0]) != process:
        return False
    try:
        os.kill(process[0], number)
    except ProcessLookupError:
        return False
    return True
