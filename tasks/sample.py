"""Stage 1: K answers of the current policy to each prompt."""

import logging

from artifacts import Checkpoint, Prompt, Ref, Rollout
from tasks.caching import Run, stage
from tasks.generate import Wanted, collect, generate
from tasks.settings import Sampling, Template

log = logging.getLogger(__name__)


@stage("sample", code=lambda _: ("tasks.workers.sample",))
def sample(
    policy: Checkpoint, prompts: Ref[Prompt], sampling: Sampling, template: Template, seed: int, run: Run
) -> Ref[Rollout]:
    """Draw `samples_per_prompt` answers per prompt and return their table, in prompt order.

    Raises:
        ChildFailed: an engine failed; finished shards are kept and not made again.
    """
    wanted = Wanted(prompts, sampling, seed, run.workdir)
    generate(policy, [wanted], template, run)
    rollouts = collect(wanted, policy, template, run)
    dropped = run.workspace.store.manifest(rollouts).summary["dropped"]
    log.info("%s · sample: %d prompts -> %d rollouts, dropped %s", run.label, prompts.rows, rollouts.rows, dropped)
    return rollouts


def wanted_later(
    policy: Checkpoint, prompts: Ref[Prompt], sampling: Sampling, template: Template, seed: int, run: Run
) -> Wanted:
    """What a later call of `sample` needs, so that an engine that runs anyway can make it ahead."""
    at_work = sample.at_work(policy=policy, prompts=prompts, sampling=sampling, template=template, seed=seed, run=run)
    return Wanted(prompts, sampling, seed, at_work.workdir)
