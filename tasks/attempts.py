"""Which failures of a stage get another attempt, how many, and when.

Every attempt goes on from what the last one finished: shards, optimizer checkpoints. Prefect counts the attempts and
shows the wait between them; a preempted child is no failure and is started again at once.
"""

import logging
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from tasks.child import MAY_PASS, ChildFailed
from tasks.machine import Machine

log = logging.getLogger(__name__)

P = ParamSpec("P")
R = TypeVar("R")

LONGEST_WAIT = 600.0
"""Seconds."""
PREEMPTIONS = 100
"""Of one stage in one run: a scheduler that ends every child at once must not go on for ever."""


def waits(machine: Machine) -> list[float]:
    """Seconds before the second attempt, the third, and so on."""
    return [min(LONGEST_WAIT, machine.retry_seconds * 2**number) for number in range(machine.retries)]


def retry_condition(label: str) -> Callable[[Any, Any, Any], bool]:
    """Whether Prefect is to try a task again: only where it can help, and said in the log."""

    def may_pass(task: Any, task_run: Any, state: Any) -> bool:
        error = state.data
        if not isinstance(error, ChildFailed) or error.kind not in MAY_PASS:
            return False
        wait = task.retry_delay_seconds[min(task_run.run_count, len(task.retry_delay_seconds)) - 1]
        log.warning(
            "%s: %s; attempt %d of %d in %g s",
            label, str(error).splitlines()[0], task_run.run_count + 1, task.retries + 1, wait,
        )  # fmt: skip
        return True

    return may_pass


def rescheduled(label: str, work: Callable[P, R]) -> Callable[P, R]:
    """The same work, begun again as often as its child is preempted."""

    @wraps(work)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        for _ in range(PREEMPTIONS):
            try:
                return work(*args, **kwargs)
            except ChildFailed as error:
                if error.kind != "preempted":
                    raise
                log.warning("%s: %s; it is started again", label, error.message.partition(" (log: ")[0])
        return work(*args, **kwargs)

    return call
