"""One iteration: sample, grade, pair, score, train, evaluate. READ THIS FIRST."""

import time
from contextlib import suppress
from typing import Any

from prefect import flow

from artifacts import Checkpoint
from flows import summary
from flows.benchmarks import benchmark
from flows.config import RunConfig
from flows.mirror.campaign import Mirror
from flows.steps import Steps
from tasks import presence
from tasks.caching import Stopped
from tasks.grade import grade
from tasks.pair import pair
from tasks.reward import reward
from tasks.sample import sample
from tasks.score import score
from tasks.train import train
from tasks.workspace import Workspace, home


@flow(name="iteration", flow_run_name="{config.name} · iteration {number}")
def iteration(
    config: RunConfig,
    number: int,
    policy: dict[str, Any],
    initial: dict[str, Any],
    refresh: tuple[str, ...] = (),
    stop_after: str = "",
    critic: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Improve `policy` once; return the new policy, its scores and what was done.

    Every stage is cached: what is finished is read, not computed. `policy`, `initial` (the first iteration's policy)
    and `critic` (None: it starts from the policy) are `Checkpoint.to_json()`, so that this flow can be started alone.
    Iterations count from 1. `refresh` and `stop_after` are as for the campaign; one that ends early returns {}.
    """
    started = time.monotonic()
    steps = Steps.of(config, Workspace(home()), frozenset(refresh), stop_after)
    mirror, locks = Mirror.of(steps), steps.run.workspace.locks
    start, first = Checkpoint.from_json(policy), Checkpoint.from_json(initial)
    values = Checkpoint.from_json(critic) if critic else start

    with presence.at_work(locks, config.name), mirror.iteration(number) as follow, suppress(Stopped):
        prompts = steps.prompts(number)
        rollouts = sample(**steps.sample(number, start, prompts))
        grades = grade(**steps.grade(number, rollouts, prompts))
        rewarded = grades
        if config.reward_model:
            rewarded = reward(**steps.reward(number, grades, score(**steps.judge(number, rollouts))))
        rows = pair(**steps.pair(number, rollouts, rewarded, start))
        models = steps.scorers(start, first, values)
        scored = {column: score(**steps.score(number, column, model, rows)) for column, model in models.items()}
        trained = train(**steps.train(number, start, rows, first, scored, on_metrics=follow))
        judge = None
        if steps.critic_objective():
            judge = values = train(**steps.train_critic(number, values, rows, steps.reference(start, first), scored))
        scores = benchmark(steps, f"iteration {number}", trained, later=next_sample(steps, number + 1, trained))
        mirror.finish(number, prompts, rollouts, grades, rows, trained, scores, judge)
        summary.publish(steps, summary.Done(number, start, rollouts, grades, rows, trained, scores), mirror)

        return {
            "iteration": number,
            "policy": trained.to_json(),
            "critic": judge.to_json() if judge else None,
            "scores": scores.to_json(),
            "rollouts": rollouts.to_json(),
            "grades": grades.to_json(),
            "rows": rows.to_json(),
            "seconds": time.monotonic() - started,
            "stages": steps.run.events,
        }
    return {}


def next_sample(steps: Steps, number: int, policy: Checkpoint) -> list[dict[str, Any]]:
    """What iteration `number` will sample from this policy, if there is such an iteration."""
    if number > steps.config.iterations:
        return []
    return [steps.sample(number, policy, steps.prompts(number))]
