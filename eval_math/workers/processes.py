"""Worker processes, killed when silent too long or out of memory, and replaced; the caller's thread drives them."""

from __future__ import annotations

import contextlib
import os
import selectors
import subprocess
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, astuple, dataclass, field
from typing import NamedTuple

from eval_math.children import start
from eval_math.children.limits import OUT_OF_MEMORY_STATUS
from eval_math.children.wire import READY, STARTING, send, unpack
from eval_math.judging.gold import Gold
from eval_math.policy import Policy
from eval_math.verdict import Grade, Reason, verdict_of
from eval_math.workers import worker

BATCH_ITEMS, BATCH_BYTES = 32, 40_000
"""A batch stays below a pipe's 64 KiB, so that writing it never blocks."""
START_SECONDS = 60.0
"""A child may take so long until it is ready: imports on a busy machine."""
MAX_FAILED_STARTS = 3
"""So many children in a row that end before they are ready are no accident."""
PROBE_ANSWER = "0.5"
"""Graded against a gold whose answer ran out of time or memory, to see which of the two is to blame."""


class WorkersFailed(RuntimeError):
    """No worker process can be started here."""


class Job(NamedTuple):
    """One answer to grade."""

    number: int
    answer: str
    gold: Gold
    crashed: bool = False
    """Whether this is the second trial, after a crash."""
    suspect: Reason | None = None
    """This is the probe of the gold: TIMEOUT or OUT_OF_MEMORY is what the answer is blamed for if the gold passes."""
    seconds: float = 0.0
    """How long the suspect took."""


@dataclass(eq=False)
class _Child:
    process: subprocess.Popen[bytes]
    jobs: deque[Job] = field(default_factory=deque)
    buffer: bytearray = field(default_factory=bytearray)
    heard_at: float = 0.0
    overdue_at: float = 0.0
    ready: bool = False


class Processes:
    """At most `count` children; `submit` jobs, then `step` until their verdicts have come."""

    def __init__(self, count: int, policy: Policy, deadline: float, command: Sequence[str] | None = None) -> None:
        """Start nothing yet; `command` replaces the worker in tests."""
        self.count = count
        self.settings = {"policy": asdict(policy), "deadline": deadline}
        self.deadline = deadline
        self.command = list(command or start.command_of(worker.__name__))
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
            now = time.monotonic()
            for child in [child for child in self.children if child.jobs and now > child.overdue_at]:
                self._replace(child, Reason.TIMEOUT)
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
        child = _Child(start.start(self.command, own_group=True))
        self.children.append(child)
        assert child.process.stdout is not None
        self.selector.register(child.process.stdout, selectors.EVENT_READ, child)
        self._write(child, self.settings)

    def _send(self, child: _Child) -> None:
        size = 0
        while self.queue and len(child.jobs) < BATCH_ITEMS:
            job = self.queue[0]
            size += 6 * (len(job.answer) + sum(map(len, job.gold.texts))) + 64
            alone = job.crashed or job.suspect is not None
            if child.jobs and (size > BATCH_BYTES or alone):
                break
            child.jobs.append(self.queue.popleft())
            if alone:
                break
        self._restart_clock(child)
        self._write(child, [(job.number, job.answer, *astuple(job.gold)) for job in child.jobs])

    def _write(self, child: _Child, message: object) -> None:
        assert child.process.stdin is not None
        # A child that died is noticed where its output ends.
        with contextlib.suppress(BrokenPipeError):
            send(child.process.stdin, message)

    def _restart_clock(self, child: _Child, *, starting: bool = False) -> None:
        child.heard_at = time.monotonic()
        child.overdue_at = child.heard_at + (self.deadline if child.ready and not starting else START_SECONDS)

    def _read(self, child: _Child) -> None:
        if child not in self.children:
            return
        assert child.process.stdout is not None
        data = os.read(child.process.stdout.fileno(), 1 << 16)
        if not data:
            self._replace(child)
            return
        child.buffer += data
        while (message := unpack(child.buffer)) is not None:
            if message == READY:
                child.ready, self.num_failed_starts = True, 0
            elif message != STARTING:
                job = child.jobs.popleft()
                assert job.number == message[0]
                self._settle(job, Grade.from_json(message[1]))
            self._restart_clock(child, starting=message == STARTING)

    def _settle(self, job: Job, verdict: Grade) -> None:
        if job.suspect is not None:
            verdict = _blamed(job.suspect if verdict.correct is not None else Reason.GOLD_UNREADABLE, job.seconds)
        self.done.append((job.number, verdict))

    def _replace(self, child: _Child, reason: Reason = Reason.GRADER_CRASHED) -> None:
        """Kill a child; its first job is retried, probed or given up, the others go back to the queue."""
        jobs = child.jobs
        seconds = time.monotonic() - child.heard_at
        self._end(child)
        if child.process.returncode == OUT_OF_MEMORY_STATUS:
            reason = Reason.OUT_OF_MEMORY
        if not child.ready:
            self._count_failed_start()
            self.queue.extendleft(reversed(jobs))
            return
        if not jobs:
            return
        job = jobs.popleft()
        self.queue.extendleft(reversed(jobs))
        if reason is Reason.GRADER_CRASHED and not job.crashed:
            self.queue.appendleft(job._replace(crashed=True))
        elif reason is Reason.GRADER_CRASHED:
            self.done.append((job.number, _blamed(reason, seconds)))
        elif job.suspect is not None:
            self.done.append((job.number, _blamed(Reason.GOLD_UNREADABLE, seconds)))
        else:
            self.queue.appendleft(job._replace(answer=PROBE_ANSWER, suspect=reason, seconds=seconds))

    def _count_failed_start(self) -> None:
        self.num_failed_starts += 1
        if self.num_failed_starts >= MAX_FAILED_STARTS:
            command = " ".join(self.command)
            raise WorkersFailed(
                f"{MAX_FAILED_STARTS} grading workers ended before they were ready; run `{command}` by hand "
                "to see why, or grade with workers=0"
            )

    def _end(self, child: _Child) -> None:
        self.children.remove(child)
        self.selector.unregister(child.process.stdout)  # type: ignore[arg-type]
        start.kill_group(child.process)


def _blamed(reason: Reason, seconds: float) -> Grade:
    return Grade(verdict_of(reason), reason, 4, seconds=seconds)
