"""A child: its command, where it logs, and, when it has failed, why.

What the child has said itself comes first (`tasks.workers.failure`); then what the kernel and the launcher say; then
what its last lines look like. Only that tells whether another attempt can help.
"""

import json
import re
import shlex
import signal
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

TAIL_LINES = 30
KERNEL = Path("/proc/vmstat")
"""Counts the processes that the kernel has ended for want of memory."""

MAY_PASS = frozenset({"signal", "lost"})
"""Kinds of failure that need not come again: somebody or the kernel ended a process, a device or a node is gone."""

GROUP_SIGNAL = re.compile(r"exitcode\s*:\s*-(\d+)")
"""How torchrun says that a signal ended one of its processes."""
LAUNCHER_SIGNAL = re.compile(r"SignalException: Process \d+ got signal: (\d+)")
"""How it says that one has ended itself."""
GROUP_ERROR = re.compile(r"exitcode\s*:\s*(?!75\b)(\d+)")
"""How it says that one of them failed; 75 is `tasks.workers.failure.PREEMPTED`."""
MEMORY = re.compile(
    r"OutOfMemoryError|out of memory|No available memory for the cache|less than desired GPU memory|"
    r"Cannot allocate memory"
)
LOST = re.compile(
    r"Dist(?:Backend|Network|Store)Error|Connection (?:closed|reset) by peer|NCCL error|CUDA error|"
    r"uncorrectable ECC|ssh: connect to host|No route to host|Watchdog caught collective operation timeout"
)


class ChildFailed(RuntimeError):
    """A child did not finish its job.

    `kind` says what is to blame: bad_input, out_of_memory, not_finite, signal, lost (a device, a node, a process of the
    group), preempted, or crash for everything else.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(kind, message)
        self.kind = kind
        self.message = message

    def __str__(self) -> str:
        return self.message


@dataclass(frozen=True)
class Child:
    """A command, where it logs, and where it would say why it failed."""

    name: str
    command: Sequence[str]
    log: Path
    failure: Path
    environment: dict[str, str] = field(default_factory=dict)
    memory_fix: str = ""
    """What to change when memory runs out."""
    grace_seconds: float = 10.0
    """How long it may take to end when it is asked to."""

    def shell(self) -> str:
        """The command to repeat this child alone."""
        variables = " ".join(f"{name}={shlex.quote(value)}" for name, value in self.environment.items())
        return f"{variables} {shlex.join(self.command)}".strip()


@dataclass(frozen=True)
class Before:
    """What was so when the child was started: only what is new tells of its end."""

    log_bytes: int
    kernel_kills: int

    @classmethod
    def of(cls, child: Child) -> "Before":
        """Look now."""
        return cls(child.log.stat().st_size if child.log.exists() else 0, kernel_kills())


def kernel_kills() -> int:
    """Processes that the kernel of this machine has ended for want of memory; 0 where it does not say."""
    try:
        found = re.search(r"^oom_kill (\d+)$", KERNEL.read_text(encoding="ascii"), re.MULTILINE)
    except OSError:
        return 0
    return int(found[1]) if found else 0


def why(child: Child, code: int, before: Before) -> ChildFailed:
    """The error of a child that has ended with this code (128 + n, or -n: by signal n)."""
    tail = _tail(child.log, before.log_bytes)
    kind, message, fix = _reason(child, code, before, "\n".join(tail))
    headline = f"{child.name}: {message}" + (f". To fix: {fix}" if fix else "")
    if kind == "bad_input":  # the child knew what was wrong; a traceback would only hide it
        return ChildFailed(kind, headline)
    if kind in ("out_of_memory", "not_finite", "preempted"):
        return ChildFailed(kind, f"{headline} (log: {child.log}; repeat this child alone with: {child.shell()})")
    lines = "\n".join(f"    {line}" for line in tail)
    return ChildFailed(
        kind,
        f"{headline}\n  last lines of {child.log}:\n{lines}\n  repeat this child alone with:\n    {child.shell()}",
    )


def _reason(child: Child, code: int, before: Before, tail: str) -> tuple[str, str, str]:
    """(kind, what was found, what to change)."""
    kind, message, fix = _told(child) or _of_code(code)
    if kind in ("bad_input", "not_finite"):
        return kind, message, fix
    if kernel_kills() > before.kernel_kills:
        return "out_of_memory", "the kernel ended a process: the host's memory ran out", child.memory_fix
    if kind == "out_of_memory":
        return kind, message, fix or child.memory_fix
    if signals := GROUP_SIGNAL.findall(tail):  # the launcher ends the others by SIGTERM, and lists them as well
        first = next((each for each in signals if each != "15"), signals[0])
        return "signal", f"one of its processes was ended by signal {first}", ""
    if kind == "preempted":  # when one of a group fails, the launcher asks the others to end, as a scheduler does
        failed = GROUP_ERROR.search(tail)
        return ("crash", f"one of its processes ended with code {failed[1]}", "") if failed else (kind, message, fix)
    if found := LAUNCHER_SIGNAL.search(tail):
        return "signal", f"its launcher was ended by signal {found[1]}", ""
    if kind == "crash" and MEMORY.search(tail):
        return "out_of_memory", f"{message}, and its log speaks of memory", child.memory_fix
    if kind == "crash" and LOST.search(tail):
        return "lost", f"{message}, and its log speaks of a lost device, process or node", ""
    return kind, message, fix


def _told(child: Child) -> tuple[str, str, str] | None:
    if not child.failure.exists():
        return None
    told = json.loads(child.failure.read_text(encoding="utf-8"))
    return told["kind"], told["message"], told["fix"]


def _of_code(code: int) -> tuple[str, str, str]:
    number = -code if code < 0 else code - 128  # negative: the supervisor itself was ended
    if 0 < number <= signal.SIGRTMAX:
        return "signal", f"ended by signal {number}", ""
    return "crash", f"exit code {code}", ""


def _tail(path: Path, start: int) -> list[str]:
    with path.open("rb") as file:
        file.seek(max(start, path.stat().st_size - 64_000))
        return file.read().decode("utf-8", "replace").splitlines()[-TAIL_LINES:]
