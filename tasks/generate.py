"""Answers to tables of prompts, from engines that are started once for all of them."""

import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from artifacts import Checkpoint, Prompt, Ref, Rollout
from tasks import launch
from tasks.alongside import Alongside, ShardGrader, Watched
from tasks.caching import Run
from tasks.child import Child
from tasks.devices import engine_environments
from tasks.display import bar
from tasks.settings import Sampling, Template
from tasks.workers.jobs import SampleJob, SampleRequest


@dataclass(frozen=True)
class Wanted:
    """Answers to one table of prompts, kept as shards in `folder` until they are collected."""

    prompts: Ref[Prompt]
    sampling: Sampling
    seed: int
    folder: Path
    along: Alongside | None = None
    """Who wants their grades; None: nobody yet."""

    def request(self, run: Run) -> SampleRequest:
        """What the sampling child is told."""
        return SampleRequest(
            store=str(run.workspace.root / "store"),
            prompts=self.prompts.to_json(),
            num_prompts=self.prompts.rows,
            sampling=self.sampling,
            seed=self.seed,
            shards=self.folder / "shards",
            claims=self.folder / "claims",
        )


def generate(policy: Checkpoint, wanted: Sequence[Wanted], template: Template, run: Run) -> None:
    """Make every shard that is not there yet. Nothing to do starts nothing.

    Raises:
        ChildFailed: an engine could not be started or died; finished shards stay.
    """
    requests = [item.request(run) for item in wanted]
    missing = [r for r in requests if not all(r.shard_path(i).exists() for i in range(r.num_shards))]
    if not missing:
        return
    for request in missing:
        request.shards.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(request.claims, ignore_errors=True)  # claims of a launch that has ended
        request.claims.mkdir(parents=True)
    progress_file = run.workdir / "progress.jsonl"
    children = list(_engines(policy, missing, template, progress_file, run))
    watched = [] if run.machine.grade_workers == 0 else list(_watched(wanted, run))
    with ShardGrader(run.workspace.store, watched, run.label) as grader:
        _follow(children, missing, progress_file, run, grader)


def _engines(
    policy: Checkpoint, requests: list[SampleRequest], template: Template, progress_file: Path, run: Run
) -> Iterator[Child]:
    for rank, environment in enumerate(engine_environments(run.machine)):
        job_path = run.workdir / f"engine-{rank}.json"
        failure = run.workdir / f"engine-{rank}.failure.json"
        SampleJob(
            store=str(run.workspace.root / "store"),
            model=policy.path,
            requests=tuple(requests),
            template=template,
            machine=run.machine,
            progress=progress_file,
            failure=failure,
        ).save(job_path)
        command = launch.module_command("tasks.workers.sample", job_path)
        yield Child(f"sampling engine {rank}", command, run.workdir / f"engine-{rank}.log", failure, environment)


def _watched(wanted: Sequence[Wanted], run: Run) -> Iterator[Watched]:
    for item in wanted:
        if item.along is not None:
            request = item.request(run)
            shards = [request.shard_path(index) for index in range(request.num_shards)]
            yield Watched(item.along, item.prompts, item.folder, shards)


def _follow(
    children: list[Child], requests: list[SampleRequest], progress_file: Path, run: Run, grader: ShardGrader
) -> None:
    done = sum(r.shard_path(i).exists() for r in requests for i in range(r.num_shards))
    tokens, started = 0, None
    with bar(f"{run.label} · sampling shards", sum(r.num_shards for r in requests)) as shards:
        shards.there(done)

        def on_progress(line: dict[str, object]) -> None:
            nonlocal tokens, started
            if line["kind"] == "ready":
                started = started or time.monotonic()
            elif line["kind"] == "answers":
                tokens += int(str(line["tokens"]))
            elif line["kind"] == "shard":
                seconds = max(1e-9, time.monotonic() - (started or time.monotonic()))
                grader.look()
                shards.advance(1, f"{tokens / seconds:,.0f} tokens/s{grader.note()}")

        launch.run(children, progress_file, on_progress)


def collect(wanted: Wanted, policy: Checkpoint, template: Template, run: Run) -> Ref[Rollout]:
    """Make one artifact of finished shards; the shard files become its parts."""
    request = wanted.request(run)
    producer = {
        "policy": policy.digest,
        "sampling": wanted.sampling.model_dump(mode="json"),
        "template": template.model_dump(mode="json"),
        "seed": wanted.seed,
    }
    with run.workspace.store.writer(Rollout, parents=[wanted.prompts.digest], producer=producer) as writer:
        for index in range(request.num_shards):
            writer.adopt(request.shard_path(index))
        dropped = request.num_prompts - writer.rows // wanted.sampling.samples_per_prompt
        writer.summary.update({"prompts": request.num_prompts, "dropped": {"prompt_too_long": dropped}})
    return writer.ref
