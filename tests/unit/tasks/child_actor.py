"""Run as a child: does what its words say. Not a test; see test_launching.py.

sleep            for a minute
spawn FILE       start a child that sleeps, write both process ids to FILE, then sleep
detach FILE      the same, with the child in a session of its own
deaf FILE        the same, and neither listens to SIGTERM
leave FILE       start such a child and end at once
lines FILE N     N progress lines, one of them in two halves
fail KIND FILE   end as `reported` tells
preempted FILE   as a trainer that was asked to end
exit N           with this code
kill N           by this signal
talk N           N lines on standard output, then exit 3
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from tasks.workers.failure import BadInput, OutOfMemory, reported
from tasks.workers.progress import report

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]
DEAF = [sys.executable, "-c", "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"]


def spawn(path: str, *, detached: bool = False, deaf: bool = False) -> None:
    if deaf:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    child = subprocess.Popen(DEAF if deaf else SLEEP, start_new_session=detached)
    time.sleep(0.2 if deaf else 0)
    Path(path + ".tmp").write_text(json.dumps([os.getpid(), child.pid]))
    Path(path + ".tmp").replace(path)


def lines(path: Path, count: int) -> None:
    report(path, kind="ready", seconds=0.1)
    for number in range(count):
        if number == 3:
            with path.open("a") as file:
                file.write('{"kind": "step", ')
                file.flush()
                time.sleep(0.4)
                file.write('"step": 3}\n')
        else:
            report(path, kind="step", step=number)


def fail(kind: str, path: str) -> None:
    with reported(Path(path)):
        if kind == "bad_input":
            raise BadInput("the data are bad", "mend them")
        if kind == "out_of_memory":
            raise OutOfMemory("it does not fit", "take less")
        if kind == "memory_error":
            raise MemoryError
        raise RuntimeError("something broke")


def main(what: str, *words: str) -> None:
    if what in ("spawn", "detach", "deaf", "leave"):
        spawn(words[0], detached=what in ("detach", "leave"), deaf=what == "deaf")
        if what == "leave":
            return
        time.sleep(60)
    elif what == "sleep":
        time.sleep(60)
    elif what == "lines":
        lines(Path(words[0]), int(words[1]))
    elif what == "fail":
        fail(words[0], words[1])
    elif what == "preempted":
        Path(words[0]).write_text(json.dumps({"kind": "preempted", "message": "asked to end", "fix": ""}))
        sys.exit(75)
    elif what == "exit":
        sys.exit(int(words[0]))
    elif what == "kill":
        os.kill(os.getpid(), int(words[0]))
        time.sleep(60)
    elif what == "talk":
        for number in range(int(words[0])):
            print(f"line {number}", flush=True)
        sys.exit(3)


if __name__ == "__main__":
    main(*sys.argv[1:])
