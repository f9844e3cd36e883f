"""One contestant's process: a worker of this project on a job file.

    python -m tests.bench.train_ours score | train JOB.json RESULT.json

Counted is what the worker's own function does: reading the table, loading weights, scoring; then, in a second process,
planning, loading weights, training, the checkpoint at the end of it, saving the model.
"""

import importlib
import json
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from artifacts import checkpoints
from tasks import objectives
from tasks.distributed import ALLOCATOR
from tasks.machine import Machine
from tasks.pairing.scored import scored_columns
from tasks.settings import Training
from tasks.workers import progress
from tasks.workers.jobs import ScoreJob, TrainJob
from tasks.workers.preemption import Notice
from tests.bench.train_data import Setup
from tests.bench.train_measure import ROOT, Meter, child


def score_job(setup: Setup, work: Path, machine: Machine, digest: str) -> ScoreJob:
    """The reference's log-probabilities of all rows."""
    return ScoreJob(
        store=f"{setup.folder}/store", model=f"{setup.folder}/model", scores="policy", rows=setup.rows, dtype="float32",
        digest=digest, machine=machine, progress=work / "score.jsonl", failure=work / "score-failure.json",
        result=work / "score-ref.json",
    )  # fmt: skip


def train_job(setup: Setup, work: Path, machine: Machine, objective: dict[str, Any]) -> TrainJob:
    """Training with the settings that TRL gets too."""
    training = Training(
        learning_rate=setup.learning_rate, schedule="constant", epochs=setup.epochs, batch_size=setup.batch_size,
        order=setup.order, dtype="float32", gradient_checkpointing=setup.checkpointing, save_steps=10_000,
    )  # fmt: skip
    return TrainJob(
        store=f"{setup.folder}/store", model=f"{setup.folder}/model", reference=None, rows=setup.rows, scored={},
        objective=objective, training=training, machine=machine, seed=0, checkpoints=work / "checkpoints",
        output=work / "output", progress=work / "train.jsonl", failure=work / "train-failure.json",
        result=work / "train-result.json",
    )  # fmt: skip


def run(setup: Setup, work: Path, objective: dict[str, Any], threads: int = 1) -> dict[str, Any]:
    """Score, if the objective needs it, and train; seconds add up, of memory the larger counts."""
    work.mkdir(parents=True)
    deepspeed = ROOT / "configs/deepspeed/zero0.json"
    machine = Machine(threads=threads, micro_tokens=setup.micro_tokens, deepspeed=deepspeed)
    train = train_job(setup, work, machine, objective)
    needed = scored_columns(objectives.load(**objective), train.training)
    done: list[dict[str, Any]] = []

    def step(kind: str, job: ScoreJob | TrainJob) -> None:
        job.save(work / f"{kind}.json")
        result, log = work / f"{kind}-measured.json", work / f"{kind}.log"
        done.append(
            child(
                "tests.bench.train_ours", kind, work / f"{kind}.json", result=result, log=log, threads=threads,
                variables=ALLOCATOR,
            )
        )  # fmt: skip

    if needed:
        assert needed == ["ref_logprobs"]
        job = score_job(setup, work, machine, checkpoints.register(f"{setup.folder}/model").digest)
        step("score", job)
        scored = {"ref_logprobs": json.loads(job.result.read_text(encoding="utf-8"))}
        train = train.model_copy(update={"scored": scored})
    step("train", train)
    losses = [line["metrics"]["loss"] for line in progress.read(train.progress)[0] if line["kind"] == "step"]
    return {
        **{name: sum(part[name] for part in done) for name in ("seconds", "cpu", "wall")},
        **{name: max(part[name] for part in done) for name in ("rise", "most")},
        "parts": {"score": done[0]["seconds"] if needed else 0.0, "train": done[-1]["seconds"]},
        "losses": losses, "steps": len(losses), "loss": sum(losses) / len(losses),
    }  # fmt: skip


def main() -> None:
    """Load the worker's libraries, then let it work."""
    kind, job_path, result = sys.argv[1:]
    worker = importlib.import_module(f"tasks.workers.{kind}")
    importlib.import_module("transformers.models.qwen2.modeling_qwen2")
    if kind == "train":
        importlib.import_module("deepspeed")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = str(probe.getsockname()[1])
        os.environ.update(RANK="0", LOCAL_RANK="0", WORLD_SIZE="1", MASTER_ADDR="127.0.0.1", MASTER_PORT=port)
    job_type: type[ScoreJob] | type[TrainJob] = {"score": ScoreJob, "train": TrainJob}[kind]
    work: Callable[..., None] = getattr(worker, kind)
    job = job_type.load(job_path)
    more = [Notice(job.failure)] if kind == "train" else []
    meter = Meter()
    work(job, *more)
    meter.save(Path(result))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # as the worker itself ends, and for its reason


if __name__ == "__main__":
    main()
