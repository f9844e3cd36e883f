"""One night of a standing campaign: the next iteration from the last good policy, then a verdict on its own.

The campaign's stages are cached as ever: a night that was killed goes on the next time from its last finished stage,
shard or optimizer checkpoint, and one that is asked for twice computes nothing twice.
"""

import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from artifacts import Checkpoint, Ref
from flows import report, status
from flows.config import RunConfig
from flows.mirror.campaign import Mirror, ending
from flows.nightly import record, registry, rule, standing
from flows.nightly.record import Night, Nights
from flows.steps import Steps
from tasks import presence
from tasks.locking import FlockLockManager
from tasks.tracking import without_credentials
from tasks.workspace import Workspace

log = logging.getLogger(__name__)

Begin = Callable[[Steps, Mirror], dict[str, Any]]
Iterate = Callable[..., dict[str, Any]]


class Skipped(Exception):
    """The night does not take place, and nothing is wrong."""


@contextmanager
def alone(workspace: Workspace, campaign: str, due: datetime) -> Iterator[None]:
    """Nobody else runs a night of this campaign while the block runs; `due` is when this one was to begin.

    Raises:
        Skipped: another one runs, or did when this one was due: nights do not queue up into the day.
    """
    locks, key, holder = FlockLockManager(workspace.locks), f"night-{campaign}", f"night {os.getpid()}"
    if not locks.try_lock(key, holder):
        raise Skipped(f"the night of {campaign} is skipped: the previous one still runs")
    try:
        nights = record.read(workspace, campaign).nights
        if nights and nights[-1].ended > due.timestamp():
            raise Skipped(
                f"the night of {campaign} is skipped: the previous one still ran when it was due ({due:%c %Z})"
            )
        yield
    finally:
        locks.release_lock(key, holder)


def run(
    workspace: Workspace,
    campaign: str,
    *,
    begin: Begin | None = None,
    iterate: Iterate | None = None,
    clock: Callable[[], float] = time.time,
) -> str:
    """Run the next iteration of a standing campaign, judge it, move the aliases; return what came of it, in words.

    `begin` and `iterate` are the campaign's beginning and the iteration flow, `clock` gives seconds since 1970.

    Raises:
        ValueError: the campaign does not stand.
    """
    began, standard = clock(), standing.read(workspace, campaign).config
    limits, nights = rule.resolved(standard), record.read(workspace, campaign)
    number = nights.next_iteration(limits.attempts)
    # A night knows of no later one: what follows may start from another policy, so nothing is sampled ahead.
    config = standard.model_copy(update={"iterations": number})
    steps = Steps.of(config, workspace)
    mirror = Mirror.of(steps)
    with presence.at_work(workspace.locks, campaign), status.recorded(steps):
        mirror.open()
        mirror.passed_over(set(range(1, number)) - {int(result["iteration"]) for result in nights.results})
        try:
            if not nights.nights:
                first = (begin or _begin)(steps, mirror)
                nights = nights.with_night(Night(0, "base", "where the campaign starts", began, clock(), first))
                record.write(workspace, nights)
                status.reached(steps, 0, Ref.from_json(first["scores"]))
            result = _improve(config, number, nights, iterate)
        except BaseException as error:
            if isinstance(error, Exception):  # one that was cancelled or preempted has not failed: it goes on next time
                said = next(iter(without_credentials(str(error)).splitlines()), type(error).__name__)
                record.write(workspace, nights.with_night(Night(number, "failed", said, began, clock())))
            mirror.close(ending(error))
            raise
        status.reached(steps, number, Ref.from_json(result["scores"]))
        verdict = rule.judge(workspace, limits, nights.result_of(int(nights.best or 0)), result)
        nights = nights.with_night(Night(number, verdict.outcome, verdict.why, began, clock(), result))
        record.write(workspace, nights)
        mirror.attach(report.write(steps, nights.results))
        mirror.close("FINISHED")
    registry.mirror(workspace, nights)
    said = f"{campaign}, iteration {number} {verdict.outcome}. {verdict.why}"
    log.info("%s", said)
    return said


def _improve(config: RunConfig, number: int, nights: Nights, iterate: Iterate | None) -> dict[str, Any]:
    from flows.iteration import iteration

    start, first = nights.start(), nights.results[0]
    log.info("%s: iteration %d starts from iteration %d", config.name, number, start["iteration"])
    return (iterate or iteration)(config, number, start["policy"], first["policy"], (), "", start.get("critic"))


def _begin(steps: Steps, mirror: Mirror) -> dict[str, Any]:
    """The policy before the first night, with its scores."""
    from flows.benchmarks import benchmark
    from flows.campaign import warm_up

    initial: Checkpoint = warm_up(steps)
    scores = benchmark(steps, "base", initial)
    mirror.base(initial, scores)
    return {"iteration": 0, "policy": initial.to_json(), "scores": scores.to_json(), "stages": steps.run.events}
