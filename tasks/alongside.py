"""Shards are graded while the engines make others: the stage that wants the grades finds them, and makes the rest.

Sampling goes first. One grading process works at a time, with a tenth of the weight of an engine on a core that both
want. An answer that took long there might have come out otherwise on a quiet machine, so its part is left to the stage;
so is everything when grading fails, whose error the stage then meets itself.
"""

import logging
import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType

import eval_math
from artifacts import Prompt, Ref, Rollout, Store
from tasks.graded_parts import GradedParts, RolloutPart
from tasks.verdicts import Rule, grade_parts

log = logging.getLogger(__name__)

NICE = 10
BATCH = 16
"""Shards that share the start of a grading process when more than one is waiting."""
SLOW_SECONDS = 3.5
"""Less than any limit that the grader sets by the clock on the wall."""
LOST = (eval_math.Reason.TIMEOUT, eval_math.Reason.OUT_OF_MEMORY, eval_math.Reason.GRADER_CRASHED)


@dataclass(frozen=True)
class Alongside:
    """Who wants the grades of answers that are being sampled, and by which rule."""

    rule: Rule
    workdir: Callable[[Ref[Rollout]], Path]
    """Work folder of the stage that will grade this table."""

    def hand_over(self, folder: Path, prompts: Ref[Prompt], rollouts: Ref[Rollout]) -> None:
        """Give that stage what was graded in `folder`; without it the stage only has more to do."""
        digest = self.rule.digest(prompts)
        files = GradedParts(folder, digest).files()
        if not files:
            return
        try:
            GradedParts(self.workdir(rollouts), digest).take(files)
        except OSError as error:
            log.warning("grades made while sampling cannot be used and are made again: %s", error)


@dataclass(eq=False)
class Watched:
    """Shards of one table: where they will appear, and where their grades are kept."""

    along: Alongside
    prompts: Ref[Prompt]
    folder: Path
    shards: list[Path]
    """Those that are not final yet."""


class _Slow(Exception):
    """A verdict took so long that the load of the machine may have decided it."""


class _Abandoned(Exception):
    """Sampling has failed."""


class ShardGrader:
    """Grades final shards in a thread while its `with` block runs; then it finishes the one in hand.

    No error of the grading leaves it: whoever needs the grades makes them again and meets it.
    """

    def __init__(self, store: Store, watched: Sequence[Watched], label: str) -> None:
        """Start nothing yet."""
        self.graded = 0
        """Shards whose grades are there."""
        self._store, self._watched, self._label = store, watched, label
        self._waiting: deque[tuple[Watched, Path]] = deque()
        self._changed = threading.Condition()
        self._ending = self._abandoned = False
        self._thread = threading.Thread(target=self._work, name="grading", daemon=True)

    def __enter__(self) -> "ShardGrader":
        """Begin with what an earlier run has left."""
        if self._watched:
            self._thread.start()
            self.look()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wait for the shard in hand, or give it up if the block raised."""
        with self._changed:
            self._ending, self._abandoned = True, kind is not None
            self._changed.notify()
        if self._watched:
            self._thread.join()
            log.info("%s · %d shards were graded while others were sampled", self._label, self.graded)

    def note(self) -> str:
        """How far it is, to stand behind the engines' own progress; empty when nobody wants grades."""
        return f", {self.graded} shards graded" if self._watched else ""

    def look(self) -> None:
        """Queue the shards that have become final since the last look."""
        final = [(table, shard) for table in self._watched for shard in table.shards if shard.exists()]
        for table, shard in final:
            table.shards.remove(shard)
        with self._changed:
            self._waiting.extend(final)
            self._changed.notify()

    def _work(self) -> None:
        try:
            # On Linux a thread has a priority of its own, and the processes it starts inherit that.
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
            while batch := self._take():
                self._grade(*batch)
        except _Abandoned:
            return
        except Exception as error:  # a user's reward may raise anything
            log.warning("%s · grading waits for the end of sampling: %s: %s", self._label, type(error).__name__, error)

    def _take(self) -> tuple[Watched, list[Path]] | None:
        """The shard that waits longest with others of its table; None when the block has ended."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._ending)
            if self._ending:
                return None
            table = self._waiting[0][0]
            batch = [item for item in self._waiting if item[0] is table][:BATCH]
            for item in batch:
                self._waiting.remove(item)
        return table, [shard for _, shard in batch]

    def _grade(self, table: Watched, shards: list[Path]) -> None:
        rule = table.along.rule
        kept = GradedParts(table.folder, rule.digest(table.prompts))
        missing = tuple(part for part in map(RolloutPart.of, shards) if kept.find(part) is None)
        self.graded += len(shards) - len(missing)
        check = partial(self._check, min(SLOW_SECONDS, rule.deadline))
        made = grade_parts(missing, table.prompts, rule, self._store, kept, workers=1, check=check)
        done = 0
        try:
            while not self._ending and next(made, None):
                done += 1
                self.graded += 1
        except _Slow:
            with self._changed:
                self._waiting.extendleft((table, part.path) for part in reversed(missing[done + 1 :]))
        finally:
            made.close()

    def _check(self, slow: float, verdict: eval_math.Grade) -> None:
        if self._abandoned:
            raise _Abandoned
        if verdict.seconds >= slow or verdict.reason in LOST:
            raise _Slow
