"""Run a command that cannot outlive its parent.

    python -m tasks.workers.supervise COMMAND...

Standard input is a pipe whose only writing end the parent holds. When it closes, because the parent
stopped the child, was cancelled or was killed with SIGKILL, everything the command started is ended:
SIGTERM to its group, then SIGKILL to all descendants. torchrun and deepspeed put their ranks into sessions
of their own; this process is a child subreaper, so orphans come back to it and are still found.

Linux only (prctl, /proc). The exit code is the command's; 128 + n when signal n ended it.
"""

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import FrameType

PR_SET_CHILD_SUBREAPER = 36
GRACE_SECONDS = 10.0


def descendants(root: int) -> list[int]:
    """Process ids below `root`, from /proc."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
        except (OSError, IndexError):
            continue  # the process ended while we looked
        children.setdefault(parent, []).append(int(entry.name))
    found: list[int] = []
    queue = [root]
    while queue:
        below = children.get(queue.pop(), [])
        found += below
        queue += below
    return found


def _signal_all(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask, wait, then insist."""
    _signal_all(descendants(os.getpid()), signal.SIGTERM)
    deadline = time.monotonic() + GRACE_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.05)
    _signal_all(descendants(os.getpid()), signal.SIGKILL)


def main(command: list[str]) -> int:
    """Run the command until it ends or the parent lets go."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)

    def watch_parent() -> None:
        # os.read, not sys.stdin: a thread inside a buffered read aborts the interpreter at exit.
        while os.read(0, 4096):
            pass
        _end(process)
        os._exit(143)

    def on_terminate(number: int, frame: FrameType | None) -> None:
        _end(process)
        os._exit(128 + number)

    signal.signal(signal.SIGTERM, on_terminate)
    threading.Thread(target=watch_parent, daemon=True).start()
    code = process.wait()
    _signal_all(descendants(os.getpid()), signal.SIGKILL)  # helpers that the command left behind
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    os._exit(main(sys.argv[1:]))
