"""Between `pair` and `train`: what a frozen model says of every token that is to be trained on.

Reference log-probabilities, a critic's values, the log-probabilities of a DPO policy, a reward model's scores: each is
an artifact of its own, made once per model and rows, so that training holds one model in memory.
"""

import json
import logging
from pathlib import Path
from typing import Any

import tasks.workers
from artifacts import Checkpoint, Ref, TokenScores
from tasks import launch
from tasks.caching import Run, stage
from tasks.child import ChildFailed
from tasks.display import bar
from tasks.distributed import child
from tasks.objectives import Trained
from tasks.workers.jobs import ScoreJob

log = logging.getLogger(__name__)

WORKER = Path(tasks.workers.__file__).parent / "score.py"
MEMORY_FIX = "lower machine.micro_tokens"


@stage("score", code=lambda _: ("tasks.workers.score",))
def score(model: Checkpoint, rows: Ref[Any], scores: Trained, dtype: str, run: Run) -> Ref[TokenScores]:
    """Return one row of numbers per answer of `rows`, in their order; `scores` says what kind of model it is.

    Raises:
        ChildFailed: the model does not fit, or does not go with these rows.
    """
    job = ScoreJob(
        store=str(run.workspace.root / "store"),
        model=model.path,
        scores=scores,
        rows=rows.to_json(),
        dtype=dtype,
        digest=model.digest,
        machine=run.machine,
        progress=run.workdir / "progress.jsonl",
        failure=run.workdir / "failure.json",
        result=run.workdir / "result.json",
    )
    job_path = run.workdir / "job.json"
    job.save(job_path)
    job.result.unlink(missing_ok=True)
    with bar(f"{run.label} · answers scored", rows.rows) as answers:

        def on_progress(line: dict[str, Any]) -> None:
            if line["kind"] == "ready":
                answers.total(line["sequences"])
            elif line["kind"] == "scored":
                answers.advance(line["sequences"])

        scorer = child("scorer", WORKER, job_path, job.failure, run, MEMORY_FIX)
        launch.run([scorer], job.progress, on_progress)
    if not job.result.exists():
        raise ChildFailed("crash", f"the scorer ended without a result; see {run.workdir}")
    found: Ref[TokenScores] = Ref.from_json(json.loads(job.result.read_text(encoding="utf-8")))
    log.info("%s · score: %d answers under %s", run.label, found.rows, model.path)
    return found
