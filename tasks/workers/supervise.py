"""Run a command that cannot outlive its parent.

    python -m tasks.workers.supervise SECONDS COMMAND...

Standard input is a pipe whose only writing end the parent holds. When it closes, because the parent
stopped the child, was cancelled or was killed with SIGKILL, everything the command started is ended:
SIGTERM to all descendants, then, after so many seconds, SIGKILL. torchrun and deepspeed put their ranks into sessions
of their own; this process is a child subreaper, so orphans come back to it and are still found.

Linux only (prctl, /proc). The exit code is the command's; 128 + n when signal n ended it.
"""

import ctypes
import os
import select
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36
PR_SET_PDEATHSIG = 1
POLL_SECONDS = 0.02


def descendants(root: int) -> list[int]:
    """Process ids below `root`, from /proc."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            state, parent = (entry / "stat").read_text().rsplit(")", 1)[1].split()[:2]
        except (OSError, ValueError, IndexError):
            continue  # the process ended while we looked
        if state != "Z":  # ended, and waits for its parent to notice
            children.setdefault(int(parent), []).append(int(entry.name))
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


def _end(process: subprocess.Popen[bytes], grace_seconds: float) -> None:
    """Ask, wait, then insist."""
    _signal_all(descendants(os.getpid()), signal.SIGTERM)
    deadline = time.monotonic() + grace_seconds
    # All of them, not only the command: deepspeed's launcher dies at once and leaves its processes to us.
    while time.monotonic() < deadline and (process.poll() is None or descendants(os.getpid())):
        time.sleep(0.05)
    _signal_all(descendants(os.getpid()), signal.SIGKILL)


def main(grace_seconds: float, command: list[str]) -> int:
    """Run the command until it ends, or until the parent lets go or SIGTERM arrives: then it has some seconds left."""
    libc = ctypes.CDLL(None)
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    supervisor = os.getpid()

    def die_with_the_supervisor() -> None:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != supervisor:  # it was killed before the kernel knew
            os._exit(1)

    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=die_with_the_supervisor,
    )
    wake_read, wake_write = os.pipe()

    ending = threading.Event()

    def watch() -> None:
        # os.read and select, not sys.stdin: a thread inside a buffered read aborts the interpreter at exit.
        while True:
            ready, _, _ = select.select([0, wake_read], [], [])
            if wake_read in ready or not os.read(0, 4096):
                ending.set()
                _end(process, grace_seconds)
                os._exit(128 + signal.SIGTERM)

    signal.signal(signal.SIGTERM, lambda number, frame: os.write(wake_write, b"!"))
    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    while (code := process.poll()) is None:  # `wait` would hold a lock that `_end` needs to see the end
        time.sleep(POLL_SECONDS)
    if ending.is_set():
        watcher.join()  # what the command has left behind has its seconds; then this process ends there
    _signal_all(descendants(os.getpid()), signal.SIGKILL)  # helpers that the command left behind
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    os._exit(main(float(sys.argv[1]), sys.argv[2:]))
