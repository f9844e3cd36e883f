"""N iterations of one recipe from one base model, after a warm-up if the config asks for one."""

import logging

from prefect import flow

from artifacts import Checkpoint
from flows import report
from flows.benchmarks import benchmark
from flows.config import RunConfig
from flows.iteration import iteration, next_sample
from flows.mirror import Mirror
from flows.steps import Steps
from tasks.demonstrate import demonstrate
from tasks.train import train
from tasks.workspace import Workspace, home

log = logging.getLogger(__name__)


@flow(name="campaign", flow_run_name="{config.name}")
def campaign(config: RunConfig, refresh: tuple[str, ...] = ()) -> str:
    """Run or go on with a campaign; return the folder of its last policy.

    Stages named in `refresh` are computed anew. A run that was killed goes on from its last finished stage, and
    inside that stage from its last finished shard or optimizer checkpoint.
    """
    steps = Steps.of(config, Workspace(home()), frozenset(refresh))
    mirror = Mirror.of(steps)
    mirror.open()
    try:
        initial = warm_up(steps)
        scores = benchmark(steps, "base", initial, later=next_sample(steps, 1, initial))
        mirror.base(initial, scores)
        results = [
            {
                "iteration": 0,
                "policy": initial.to_json(),
                "scores": scores.to_json(),
                "stages": steps.run.events,
            }
        ]
        for number in range(1, config.iterations + 1):
            results.append(iteration(config, number, results[-1]["policy"], initial.to_json(), refresh))
    except BaseException:
        mirror.close("FAILED")
        raise
    for path in report.write(steps, results):
        mirror.attach(str(path))
    mirror.close("FINISHED")
    return str(results[-1]["policy"]["path"])


def warm_up(steps: Steps) -> Checkpoint:
    """The policy that the first iteration starts from."""
    model = steps.base_model()
    if steps.config.warmup is None:
        return model
    rows = demonstrate(**steps.demonstrate(model, steps.demonstrations()))
    return train(**steps.warm_up(model, rows))
