"""Worker processes, killed when silent too long and replaced at once; the caller's thread drives them."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import struct
import subprocess
import sys
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import NamedTuple

from eval_math import worker
from eval_math.policy import Policy
from eval_math.verdict import Grade, Reason, verdict_of

BATCH_ITEMS, BATCH_BYTES = 32, 40_000
"""A batch stays below a pipe's 64 KiB, so that writing it never blocks."""
START_SECONDS = 60.0
"""A child may take so long until it is ready: imports on a busy machine."""
MAX_FAILED_STARTS = 3
"""So many children in a row that end before they are ready are no accident."""
PROBE_ANSWER = "0.5"
"""Graded against a gold whose answer ran out of time, to see which of the two is to blame."""


class WorkersFailed(RuntimeError):
    """No worker process can be started here."""


class Job(NamedTuple):
    """One answer to grade. trial: 0 first, 1 again after a crash, 2 a probe of the gold after a timeout."""

    number: int
    answer: str
    golds: tuple[str, ...]
    trial: int = 0


@dataclass(eq=False)
class _Child:
    process: subprocess.Popen[bytes]
    jobs: deque[Job] = field(default_factory=deque)
    buffer: bytearray = field(default_factory=bytearray)
    overdue_at: float = 0.0
    ready: bool = False


class Processes:
    """At most `count` children; `submit` jobs, then `step` until their verdicts have come."""

    def __init__(self, count: int, policy: Policy, deadline: float, command: Sequence[str] | None = None) -> None:
        """Start nothing yet; `command` replaces the worker in tests."""
        self.count = count
        self.settings = {"policy": asdict(policy), "deadline": deadline}
        self.deadline = deadline
        self.command = list(command or (sys.executable, "-m", worker.__name__))
        self.queue: deque[Job] = deque()
        self.children: list[_Child] = []
        self.selector = selectors.DefaultSelector()
        self.done: list[tuple[int, Grade]] = []
        self.num_failed_starts = 0

    def submit(self, job: Job) -> None:
        """Queue a job."""
        self.queue.append(job)

    def step(self) -> list[tuple[int, Grade]]:
        """Hand out work, wait for something to happen, and return the verdicts that arrived."""
        self._hand_out()
        busy = [child for child in self.children if child.jobs]
        if busy and not self.done:
            patience = max(0.0, min(child.overdue_at for child in busy) - time.monotonic())
            for key, _ in self.selector.select(patience):
                self._read(key.data)
            for child in [child for child in self.children if child.jobs and time.monotonic() > child.overdue_at]:
                self._replace(child, timed_out=True)
        done, self.done = self.done, []
        return done

    def close(self) -> None:
        """Kill every child and wait for its end."""
        for child in list(self.children):
            self._end(child)
        self.selector.close()

    def _hand_out(self) -> None:
        while self.queue and len(self.children) < self.count:
            self._start()
            if len(self.queue) <= BATCH_ITEMS * sum(not child.jobs for child in self.children):
                break
        for child in list(self.children):
            if not child.jobs and self.queue:
                self._send(child)

    def _start(self) -> None:
        # The package's own folder comes first and the working directory is left out of the path: no file
        # lying there can stand in for a module.
        path = os.pathsep.join(filter(None, (str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH"))))
        environment = {**os.environ, "PYTHONPATH": path, "PYTHONSAFEPATH": "1"}
        pipe = subprocess.PIPE
        process = subprocess.Popen(
            self.command,
            stdin=pipe,
            stdout=pipe,
            stderr=subprocess.DEVNULL,
            env=environment,
            start_new_session=True,
        )
        child = _Child(process)
        self.children.append(child)
        assert process.stdout is not None
        self.selector.register(process.stdout, selectors.EVENT_READ, child)
        self._write(child, self.settings)

    def _send(self, child: _Child) -> None:
        size = 0
        while self.queue and len(child.jobs) < BATCH_ITEMS:
            job = self.queue[0]
            size += 6 * (len(job.answer) + sum(map(len, job.golds))) + 64
            if child.jobs and (size > BATCH_BYTES or job.trial):
                break
            child.jobs.append(self.queue.popleft())
            if job.trial:
                break
        self._restart_clock(child)
        self._write(child, [(job.number, job.answer, job.golds) for job in child.jobs])

    def _write(self, child: _Child, message: object) -> None:
        assert child.process.stdin is not None
        # A child that died is noticed where its output ends.
        with contextlib.suppress(BrokenPipeError):
            worker.send(child.process.stdin, message)

    def _restart_clock(self, child: _Child) -> None:
        child.overdue_at = time.monotonic() + (self.deadline if child.ready else START_SECONDS)

    def _read(self, child: _Child) -> None:
        if child not in self.children:
            return
        assert child.process.stdout is not None
        data = os.read(child.process.stdout.fileno(), 1 << 16)
        if not data:
            self._replace(child, timed_out=False)
            return
        child.buffer += data
        while len(child.buffer) >= 4:
            (length,) = struct.unpack(">I", child.buffer[:4])
            if len(child.buffer) < 4 + length:
                break
            message = json.loads(bytes(child.buffer[4 : 4 + length]))
            del child.buffer[: 4 + length]
            if message == worker.READY:
                child.ready, self.num_failed_starts = True, 0
            else:
                job = child.jobs.popleft()
                assert job.number == message[0]
                self._settle(job, Grade.from_json(message[1]))
            self._restart_clock(child)

    def _settle(self, job: Job, verdict: Grade) -> None:
        if job.trial == 2:
            blame = Reason.TIMEOUT if verdict.correct is not None else Reason.GOLD_UNREADABLE
            verdict = Grade(verdict_of(blame), blame, 4)
        self.done.append((job.number, verdict))

    def _replace(self, child: _Child, *, timed_out: bool) -> None:
        """Kill a child; its first job is retried, probed or given up, the others go back to the queue."""
        jobs = child.jobs
        self._end(child)
        if not child.ready:
            self.num_failed_starts += 1
            if self.num_failed_starts >= MAX_FAILED_STARTS:
                command = " ".join(self.command)
                raise WorkersFailed(
                    f"{MAX_FAILED_STARTS} grading workers ended before they were ready; run `{command}` by hand "
                    "to see why, or grade with workers=0"
                )
            self.queue.extendleft(reversed(jobs))
            return
        if not jobs:
            return
        job = jobs.popleft()
        self.queue.extendleft(reversed(jobs))
        if timed_out and job.trial == 2:
            self.done.append((job.number, Grade(None, Reason.GOLD_UNREADABLE, 4)))
        elif timed_out:
            self.queue.appendleft(job._replace(answer=PROBE_ANSWER, trial=2))
        elif job.trial == 0:
            self.queue.appendleft(job._replace(trial=1))
        else:
            self.done.append((job.number, Grade(None, Reason.GRADER_CRASHED, 4)))

    def _end(self, child: _Child) -> None:
        self.children.remove(child)
        self.selector.unregister(child.process.stdout)  # type: ignore[arg-type]
        child.process.kill()
        with contextlib.suppress(BrokenPipeError):
            child.process.communicate()
