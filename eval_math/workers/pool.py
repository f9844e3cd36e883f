"""Grade many responses: in order, in bounded memory, with processes that can be killed.

Small inputs are graded here. Larger ones go to `python -m eval_math.workers.worker` children, started by subprocess
rather than multiprocessing: a child then imports this package only, never the caller's __main__, and
nothing is forked from a process with threads. One thread (the caller's) drives all of them.
"""

from __future__ import annotations

import os
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import chain, islice

from eval_math.extraction.extract import Extraction, extract
from eval_math.grade import Golds, grade, grade_answer
from eval_math.judging.gold import Gold
from eval_math.policy import Policy
from eval_math.verdict import Grade
from eval_math.workers.processes import Job, Processes

Key = tuple[str, Gold]

SMALL = 256
"""Up to so many rows are graded in this process: starting children would take longer."""
WINDOW = 1024
"""Rows that may wait behind the oldest unfinished one."""
CACHE_SIZE = 16_384


def grade_many(
    rows: Iterable[tuple[str, Golds]],
    policy: Policy,
    *,
    workers: int | None = None,
    deadline: float = 5.0,
    progress: Callable[[int], None] | None = None,
) -> Iterator[Grade]:
    """One Grade per (response, golds) row, in the order of the rows.

    `workers` is the number of processes: None chooses, 0 grades in this process. An answer that takes
    longer than `deadline` seconds has its process killed and comes out as TIMEOUT, one that needs more
    memory than a process may have as OUT_OF_MEMORY, and either as GOLD_UNREADABLE when its gold alone
    takes as much. `progress` is called with the number of rows done.

    Raises:
        ValueError: workers < 0 or deadline <= 0.
        WorkersFailed: while iterating, when no worker process can be started.
    """
    if deadline <= 0 or (workers is not None and workers < 0):
        raise ValueError(f"workers={workers}, deadline={deadline}; expected workers >= 0 and deadline > 0")
    return _stream(iter(rows), policy, workers, deadline, progress)


def _stream(
    rows: Iterator[tuple[str, Golds]],
    policy: Policy,
    workers: int | None,
    deadline: float,
    progress: Callable[[int], None] | None,
) -> Iterator[Grade]:
    head = list(islice(rows, SMALL + 1)) if workers is None else []
    rows = chain(head, rows)
    if workers == 0 or (workers is None and len(head) <= SMALL):
        grades = _in_process(rows, policy)
    else:
        count = workers or min(4, os.cpu_count() or 1)
        grades = _Run(rows, policy, Processes(count, policy, deadline)).grades()
    for number, verdict in enumerate(grades, 1):
        if progress:
            progress(number)
        yield verdict


@dataclass
class _Cache:
    """The last verdicts by (answer, golds); the oldest goes first."""

    grades: OrderedDict[Key, Grade] = field(default_factory=OrderedDict)

    def get(self, key: Key) -> Grade | None:
        if key in self.grades:
            self.grades.move_to_end(key)
        return self.grades.get(key)

    def put(self, key: Key, verdict: Grade) -> None:
        self.grades[key] = verdict
        if len(self.grades) > CACHE_SIZE:
            self.grades.popitem(last=False)


def _in_process(rows: Iterator[tuple[str, Golds]], policy: Policy) -> Iterator[Grade]:
    cache = _Cache()
    for response, gold in rows:
        found = extract(response, policy.style)
        if found is None or not found.text.strip():
            yield grade(response, gold, policy)
            continue
        key = (found.text, _as_gold(gold))
        verdict = cache.get(key)
        if verdict is None:
            verdict = grade_answer(*key, policy)
            cache.put(key, verdict)
        yield _placed(verdict, found)


def _as_gold(gold: Golds) -> Gold:
    return gold if isinstance(gold, Gold) else Gold((gold,) if isinstance(gold, str) else tuple(gold))


def _placed(verdict: Grade, found: Extraction) -> Grade:
    return replace(verdict, answer=found.text, span=(found.start, found.end), rule=found.rule)


class _Run:
    """One pass over the rows with child processes."""

    def __init__(self, rows: Iterator[tuple[str, Golds]], policy: Policy, processes: Processes) -> None:
        self.rows = rows
        self.policy = policy
        self.processes = processes
        self.cache = _Cache()
        self.window: deque[tuple[Extraction, Key] | Grade] = deque()
        self.running: dict[Key, int] = {}
        self.keys: dict[int, Key] = {}
        self.ready: dict[Key, Grade] = {}
        self.waiting: dict[Key, int] = {}
        self.number = 0

    def grades(self) -> Iterator[Grade]:
        """The verdicts in order; the children end with the iteration, however it ends."""
        try:
            while self._fill() or self.window:
                while self.window and (verdict := self._front()) is not None:
                    yield verdict
                    self._fill()
                if self.window:
                    for number, verdict in self.processes.step():
                        self._finish(number, verdict)
        finally:
            self.processes.close()

    def _fill(self) -> bool:
        """Read rows until the window is full."""
        while len(self.window) < WINDOW:
            row = next(self.rows, None)
            if row is None:
                return False
            response, gold = row
            found = extract(response, self.policy.style)
            if found is None or not found.text.strip() or len(found.text) > self.policy.max_answer_chars:
                self.window.append(grade(response, gold, self.policy))
                continue
            key = (found.text, _as_gold(gold))
            self.window.append((found, key))
            self.waiting[key] = self.waiting.get(key, 0) + 1
            if key not in self.running and key not in self.ready:
                cached = self.cache.get(key)
                if cached is not None:
                    self.ready[key] = cached
                else:
                    self.number += 1
                    self.running[key], self.keys[self.number] = self.number, key
                    self.processes.submit(Job(self.number, *key))
        return True

    def _front(self) -> Grade | None:
        """The verdict of the oldest row if it is there; the row is then done."""
        first = self.window[0]
        if isinstance(first, Grade):
            self.window.popleft()
            return first
        found, key = first
        verdict = self.ready.get(key)
        if verdict is None:
            return None
        self.window.popleft()
        self.waiting[key] -= 1
        if not self.waiting[key]:
            del self.waiting[key], self.ready[key]
        return _placed(verdict, found)

    def _finish(self, number: int, verdict: Grade) -> None:
        key = self.keys.pop(number)
        del self.running[key]
        self.ready[key] = verdict
        self.cache.put(key, verdict)
