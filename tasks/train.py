"""Stage 4: one pass of optimisation in a DeepSpeed child; the result is a Hugging Face folder."""

import json
import logging
import shutil
from pathlib import Path
from typing import Any

import tasks.workers
from artifacts import Checkpoint, Ref, TokenScores, checkpoints
from tasks import launch, objectives
from tasks.caching import Run, stage
from tasks.child import ChildFailed
from tasks.display import bar
from tasks.distributed import child
from tasks.model_card import model_card
from tasks.pairing.checks import check_rows
from tasks.pairing.lengths import check_lengths
from tasks.pairing.scored import check_scored
from tasks.settings import Training
from tasks.workers.jobs import TrainJob

log = logging.getLogger(__name__)

WORKER = Path(tasks.workers.__file__).parent / "train.py"
MEMORY_FIX = (
    "lower machine.micro_tokens, keep train.gradient_checkpointing on, or shard more: "
    "machine.deepspeed=configs/deepspeed/zero3.json"
)
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
    scored: dict[str, Ref[TokenScores]] | None = None,
) -> Checkpoint:
    """Minimise the objective on these rows, starting from `policy`; return the new policy.

    `reference` is the frozen policy and `scored` what frozen models said of these rows, by column: the stage `score`.

    Raises:
        ValueError: these rows are not what the objective trains on, or hold what nobody can learn from.
        ChildFailed: the trainer stopped early; its last complete optimizer checkpoint is used next time.
    """
    loaded, scored = objectives.load(**objective), scored or {}
    check_rows(run.workspace.store, rows, loaded, training, reference is not None)
    check_scored(run.workspace.store, rows, loaded, training, scored, reference.digest if reference else None)
    check_lengths(run.workspace.store, rows, Path(policy.path), training.max_length)
    final = run.workspace.checkpoints / run.workdir.name
    job = TrainJob(
        store=str(run.workspace.root / "store"),
        model=policy.path,
        reference=reference.path if reference and "ref_kl" in loaded.columns else None,
        rows=rows.to_json(),
        scored={column: ref.to_json() for column, ref in sorted(scored.items())},
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
            **{column: ref.digest for column, ref in sorted(scored.items())},
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
    curve: dict[int, dict[str, float]] = {}
    with bar(f"{run.label} · training steps", None) as steps:

        def on_progress(line: dict[str, Any]) -> None:
            if line["kind"] == "ready":
                steps.total(line["steps"])
            elif line["kind"] == "step":
                curve[line["step"]] = line["metrics"]
                steps.at(line["step"], f"loss {line['metrics']['loss']:.4f}")
                if run.on_metrics:
                    run.on_metrics(line["step"], line["metrics"])

        for line in launch.progress.read(job.progress)[0]:  # an earlier attempt's steps, before the checkpoint
            if line["kind"] == "step":
                curve[line["step"]] = line["metrics"]
        trainer = child("trainer", WORKER, job_path, job.failure, run, MEMORY_FIX)
        launch.run([trainer], job.progress, on_progress)
    if not job.result.exists():
        raise ChildFailed("crash", f"the trainer ended without a result; see {run.workdir}")
    return curve
