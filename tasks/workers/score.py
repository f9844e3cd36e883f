"""The scoring child: rows in, one number per token out, under a frozen model.

python -m tasks.workers.score JOB.json          (one process)
torchrun | deepspeed ... tasks/workers/score.py (several: each scores its share with a replica of its own)
"""

import argparse
import json
import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import torch
import torch.distributed as dist

from artifacts import Ref, Store, TokenScores
from tasks.workers.failure import reported
from tasks.workers.jobs import ScoreJob, scratch_of
from tasks.workers.policy import load_frozen
from tasks.workers.policy import score as token_scores
from tasks.workers.progress import report
from tasks.workers.sequences import Sequences

REPORT_EVERY = 64
"""Answers between two lines of progress."""


def score(job: ScoreJob) -> None:
    """Run the job; rank 0 writes the table and then the result file."""
    rank, world = _join()
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0"))) if torch.cuda.is_available() else "cpu"
    store = Store(job.store)
    table = store.mapped(Ref.from_json(job.rows), scratch_of(job))
    sequences = Sequences.of(table)
    model = load_frozen(job.model, job.scores, job.dtype, torch.device(device))
    if rank == 0:
        report(job.progress, kind="ready", sequences=len(sequences.prompts))
    mine = list(range(rank, len(sequences), world))
    found: dict[int, np.ndarray] = {}
    for index, values in token_scores(model, job.scores, sequences, mine, job.machine.micro_tokens):
        found[index] = values
        if len(found) % REPORT_EVERY == 0:
            report(job.progress, kind="scored", sequences=REPORT_EVERY)
    parts: list[dict[int, np.ndarray] | None] = [None] * world if rank == 0 else []
    if world > 1:
        dist.gather_object(found, parts if rank == 0 else None)
    else:
        parts = [found]
    if rank == 0:
        everything = {index: values for part in parts if part for index, values in part.items()}
        parents, producer = [job.rows["digest"], job.digest], {"scores": job.scores, "dtype": job.dtype}
        with store.writer(TokenScores, parents=parents, producer=producer, allow_empty=True) as writer:
            writer.write_many(_rows(job, table, sequences.per_row, everything))
            writer.summary.update(_of_answers(everything))
        job.result.write_text(json.dumps(writer.ref.to_json()), encoding="utf-8")
    if world > 1:
        dist.barrier()


def _join() -> tuple[int, int]:
    """Rank and number of processes; what they exchange are arrays in host memory, so gloo serves everywhere."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world > 1:
        dist.init_process_group("gloo")
    return int(os.environ.get("RANK", "0")), world


def _rows(job: ScoreJob, table: pa.Table, per_row: int, values: dict[int, np.ndarray]) -> Iterator[TokenScores]:
    names, of_rows = table.column("prompt_id").to_pylist(), str(job.rows["digest"])
    for sequence in range(len(names) * per_row):
        of_tokens: Any = values[sequence]
        yield TokenScores(
            prompt_id=names[sequence // per_row],
            sequence=sequence,
            scored_rows=of_rows,
            model=job.digest,
            values=of_tokens.tolist(),
        )


def _of_answers(values: dict[int, np.ndarray]) -> dict[str, float]:
    """Mean and deviation over the answers of the number after the last token: a reward model's score of the answer."""
    last = np.array([each[-1] for each in values.values() if len(each)], dtype=np.float64)
    return {"mean": float(last.mean()), "std": float(last.std())} if len(last) else {}


def main() -> None:
    """Serve the job file; `--local_rank` is what the deepspeed launcher adds."""
    parser = argparse.ArgumentParser()
    parser.add_argument("job")
    parser.add_argument("--local_rank", type=int, default=0)
    job = ScoreJob.load(parser.parse_args().job)
    with reported(job.failure):
        score(job)


if __name__ == "__main__":
    main()
