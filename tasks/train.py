"""Stage 4: one pass of optimisation in a DeepSpeed child; the result is a Hugging Face folder."""

import json
import logging
import shutil
import socket
import sys
from pathlib import Path
from typing import Any

import tasks.workers
from artifacts import Checkpoint, Ref, checkpoints
from tasks import launch, objectives
from tasks.caching import Run, stage
from tasks.devices import gpus, train_processes, visible
from tasks.display import bar
from tasks.model_card import model_card
from tasks.pairing.checks import check_rows
from tasks.settings import Training
from tasks.workers.jobs import TrainJob

log = logging.getLogger(__name__)

WORKER = Path(tasks.workers.__file__).parent / "train.py"
CURVE = "training.jsonl"
"""In a checkpoint's folder: one line of metrics per optimizer step."""


@stage("train", code=lambda inputs: ("tasks.workers.train", f"tasks.objectives.{inputs['objective']['name']}"))
def train(
    policy: Checkpoint,
    rows: Ref[Any],
    reference: Checkpoint | None,
    objective: dict[str, Any],
    training: Training,
    seed: int,
    run: Run,
) -> Checkpoint:
    """Minimise the objective on these rows, starting from `policy`; return the new policy.

    Raises:
        ValueError: these rows are not what the objective trains on, or hold what nobody can learn from.
        ChildFailed: the trainer stopped early; its last complete optimizer checkpoint is used next time.
    """
    check_rows(run.workspace.store, rows, objectives.load(**objective), training, reference is not None)
    final = run.workspace.checkpoints / run.workdir.name
    job = TrainJob(
        store=str(run.workspace.root / "store"),
        model=policy.path,
        reference=reference.path if reference else None,
        rows=rows.to_json(),
        objective=objective,
        training=training,
        machine=run.machine,
        seed=seed,
        checkpoints=run.workdir / "checkpoints",
        output=run.workdir / "output",
        progress=run.workdir / "progress.jsonl",
        failure=run.workdir / "failure.json",
        result=run.workdir / "result.json",
    )
    job_path = run.workdir / "job.json"
    job.save(job_path)
    job.result.unlink(missing_ok=True)
    shutil.rmtree(job.output, ignore_errors=True)  # half-written weights of an earlier attempt
    curve = _launch(job, job_path, run)
    facts = json.loads(job.result.read_text(encoding="utf-8"))
    lines = [json.dumps({"step": step, **metrics}) + "\n" for step, metrics in sorted(curve.items())]
    (job.output / CURVE).write_text("".join(lines), encoding="utf-8")
    lineage = {
        **facts,
        "objective": objective,
        "parents": {
            "policy": policy.digest,
            "rows": rows.digest,
            "reference": reference and reference.digest,
        },
        "training": training.model_dump(mode="json"),
        "seed": seed,
    }
    (job.output / "README.md").write_text(model_card(run.campaign, run.label, lineage), encoding="utf-8")
    if final.exists():
        shutil.rmtree(final)  # a refreshed or damaged result makes room for the new one
    checkpoint = checkpoints.commit(job.output, final, lineage)
    log.info(
        "%s · train: %d rows (dropped: longer than max_length %d), %d steps%s -> %s",
        run.label, facts["rows"], facts["dropped"]["longer than max_length"], facts["steps"],
        f" ({facts['stopped']})" if facts.get("stopped") else "", final,
    )  # fmt: skip
    return checkpoint


def curve_of(checkpoint: Checkpoint) -> list[dict[str, float]]:
    """Metrics by optimizer step of the training that made this checkpoint; empty for an imported one."""
    path = Path(checkpoint.path) / CURVE
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _launch(job: TrainJob, job_path: Path, run: Run) -> dict[int, dict[str, float]]:
    """Run the child; return the metrics of every step, also of those made before an interruption."""
    processes = train_processes(run.machine)
    environment = {"OMP_NUM_THREADS": str(run.machine.threads)}
    if not run.machine.hostfile and (indices := gpus(run.machine)):
        environment |= visible(indices[:processes])
    child = launch.Child(
        "trainer",
        _command(run, processes, job_path, environment),
        run.workdir / "log.txt",
        job.failure,
        environment,
    )
    curve: dict[int, dict[str, float]] = {}
    with bar(f"{run.label} · training steps", 1) as steps:

        def on_progress(line: dict[str, Any]) -> None:
            if line["kind"] == "ready":
                steps.total(line["steps"])
            elif line["kind"] == "step":
                curve[line["step"]] = line["metrics"]
                steps.advance(1, f"loss {line['metrics']['loss']:.4f}")
                if run.on_metrics:
                    run.on_metrics(line["step"], line["metrics"])

        for line in launch.progress.read(job.progress)[0]:  # an earlier attempt's steps, before the checkpoint
            if line["kind"] == "step":
                curve[line["step"]] = line["metrics"]
        launch.run([child], job.progress, on_progress)
    if not job.result.exists():
        raise launch.ChildFailed("crash", f"the trainer ended without a result; see {run.workdir / 'log.txt'}")
    return curve


def _command(run: Run, processes: int, job_path: Path, environment: dict[str, str]) -> list[str]:
    """The launcher's command line; for one process no launcher is needed."""
    machine = run.machine
    launcher = machine.launcher
    if launcher == "auto":
        launcher = "deepspeed" if machine.hostfile else "torchrun" if processes > 1 else "direct"
    if launcher == "deepspeed":
        place = ["--hostfile", str(machine.hostfile)] if machine.hostfile else ["--no_ssh_check"]
        # With a size the launcher ignores CUDA_VISIBLE_DEVICES and takes GPUs 0, 1, ...: without, it obeys.
        size = [] if machine.hostfile or gpus(machine) else ["--num_gpus", str(processes)]
        return [
            sys.executable, "-m", "deepspeed.launcher.runner", *place, *size,
            "--master_port", str(_free_port()), str(WORKER), str(job_path),
        ]  # fmt: skip
    if launcher == "torchrun":
        return [
            sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes),
            "-m", "tasks.workers.train", str(job_path),
        ]  # fmt: skip
    environment.update(
        {
            "RANK": "0",
            "LOCAL_RANK": "0",
            "WORLD_SIZE": "1",
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(_free_port()),
        }
    )
    return launch.module_command("tasks.workers.train", job_path)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
