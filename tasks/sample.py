"""Stage 1: K answers of the current policy to each prompt."""

import logging
from collections.abc import Sequence
from typing import Any

from artifacts import Checkpoint, Prompt, Ref, Rollout
from tasks.alongside import Alongside
from tasks.caching import Run, stage
from tasks.generate import Wanted, collect, generate
from tasks.locking import FlockLockManager
from tasks.settings import Sampling, Template

log = logging.getLogger(__name__)


@stage("sample", code=lambda _: ("tasks.workers.sample",))
def sample(
    policy: Checkpoint,
    prompts: Ref[Prompt],
    sampling: Sampling,
    template: Template,
    seed: int,
    run: Run,
    ahead: Sequence[Wanted] = (),
    along: Alongside | None = None,
) -> Ref[Rollout]:
    """Draw `samples_per_prompt` answers per prompt and return their table, in prompt order.

    `ahead` is what later calls want of the same policy: one engine start serves all of them.
    `along` wants the grades of the answers: finished shards are graded while others are sampled.

    Raises:
        ChildFailed: an engine failed; finished shards are kept and not made again.
    """
    wanted = Wanted(prompts, sampling, seed, run.workdir, along)
    locks = FlockLockManager(run.workspace.locks)
    # Another run may be making the same answers right now: what it has locked is left to it.
    mine = [item for item in ahead if locks.try_lock(item.folder.name, run.label)]
    try:
        generate(policy, [wanted, *mine], template, run)
    finally:
        for item in mine:
            locks.release_lock(item.folder.name, run.label)
    rollouts = collect(wanted, policy, template, run)
    if along is not None:
        along.hand_over(run.workdir, prompts, rollouts)
    dropped = run.workspace.store.manifest(rollouts).summary["dropped"]["prompt_too_long"]
    log.info(
        "%s · sample: %d prompts -> %d rollouts (dropped: prompt too long %d)",
        run.label, prompts.rows, rollouts.rows, dropped,
    )  # fmt: skip
    return rollouts


def wanted_later(**arguments: Any) -> Wanted:
    """What a later call of `sample` with these arguments needs, so that an engine that runs anyway can make it."""
    workdir = sample.begin(**arguments).workdir
    return Wanted(arguments["prompts"], arguments["sampling"], arguments["seed"], workdir, arguments.get("along"))
