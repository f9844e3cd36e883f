"""N iterations of one recipe from one base model, after a warm-up if the config asks for one."""

import logging
from collections.abc import Callable
from typing import Any

from prefect import flow

from artifacts import Checkpoint, Ref
from flows import cancellation, report, status
from flows.benchmarks import benchmark
from flows.config import RunConfig
from flows.iteration import iteration, next_sample
from flows.mirror.campaign import Mirror, ending
from flows.steps import Steps
from tasks import presence
from tasks.caching import Stopped, unseen
from tasks.demonstrate import demonstrate
from tasks.train import train
from tasks.workspace import Workspace, home

log = logging.getLogger(__name__)


@flow(name="campaign", flow_run_name="{config.name}", on_crashed=[cancellation.stays_cancelled])
def campaign(config: RunConfig, refresh: tuple[str, ...] = (), stop_after: str = "") -> str:
    """Run or go on with a campaign; return the folder of its last policy, or nothing if it was asked to end before.

    Stages named in `refresh` (`train`, or `train@2` for one iteration) are computed anew; `stop_after` (`pair@2`,
    `demonstrate@warm-up`) is the last stage wanted now. A run that was killed goes on from its last finished stage,
    and inside that stage from its last finished shard or optimizer checkpoint.
    """
    with cancellation.obeyed():
        return _run(config, refresh, stop_after, iteration)


def look_up(config: RunConfig, stop_after: str = "") -> str:
    """As `campaign`, of one whose every stage is cached, without Prefect: nothing runs that anybody could watch."""
    with unseen():
        return _run(config, (), stop_after, iteration.fn)


def _run(config: RunConfig, refresh: tuple[str, ...], stop_after: str, iterate: Callable[..., dict[str, Any]]) -> str:
    steps = Steps.of(config, Workspace(home()), frozenset(refresh), stop_after)
    mirror = Mirror.of(steps)
    with presence.at_work(steps.run.workspace.locks, config.name), status.recorded(steps):
        mirror.open()
        try:
            results = improve(steps, mirror, iterate)
        except Stopped as stopped:
            log.info("%s: the same command without --stop-after goes on", stopped)
            mirror.close("FINISHED")
            return ""
        except BaseException as error:
            mirror.close(ending(error))
            raise
        mirror.attach(report.write(steps, results))
        mirror.close("FINISHED")
    return str(results[-1]["policy"]["path"])


def improve(steps: Steps, mirror: Mirror, iterate: Callable[..., dict[str, Any]]) -> list[dict[str, Any]]:
    """The results of the policy at the start and of every iteration.

    Raises:
        Stopped: the last stage that is wanted now is done.
    """
    initial = warm_up(steps)
    scores = benchmark(steps, "base", initial, later=next_sample(steps, 1, initial))
    mirror.base(initial, scores)
    status.reached(steps, 0, scores)
    policy = initial.to_json()
    results = [{"iteration": 0, "policy": policy, "scores": scores.to_json(), "stages": steps.run.events}]
    refresh, stop_after = tuple(sorted(steps.run.refresh)), steps.run.stop_after
    for number in range(1, steps.config.iterations + 1):
        last = results[-1]
        found = iterate(steps.config, number, last["policy"], policy, refresh, stop_after, last.get("critic"))
        if not found:
            raise Stopped(f"stopped after {stop_after.partition('@')[0]} of iteration {number}")
        results.append(found)
        status.reached(steps, number, Ref.from_json(found["scores"]))
    return results


def warm_up(steps: Steps) -> Checkpoint:
    """The policy that the first iteration starts from."""
    model = steps.base_model()
    if steps.config.warmup is None:
        return model
    rows = demonstrate(**steps.demonstrate(model, steps.demonstrations()))
    return train(**steps.warm_up(model, rows))
