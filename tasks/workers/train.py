"""The training child: rows in, a Hugging Face folder out, under DeepSpeed.

    python -m tasks.workers.train JOB.json          (one process)
    torchrun | deepspeed ... tasks/workers/train.py (several)

Peak memory is one model: the reference policy's log-probabilities are computed first, by plain replicas, and
that model is gone before the policy is loaded.
"""

import argparse
import gc
import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from transformers import AutoModelForCausalLM, set_seed

from artifacts import Ref, Store
from tasks import objectives
from tasks.workers import progress
from tasks.workers.arguments import arguments
from tasks.workers.batches import plan
from tasks.workers.failure import BadInput, reported
from tasks.workers.jobs import TrainJob
from tasks.workers.policy import score
from tasks.workers.prepare import rows_of, short_enough, with_final_advantages
from tasks.workers.sequences import Sequences
from tasks.workers.template import load_tokenizer
from tasks.workers.trainer import MicroBatches, ObjectiveTrainer, StepReport, committed_checkpoints


def start_distributed() -> tuple[int, int, torch.device]:
    """Join the process group; return rank, number of processes and this process's device."""
    import deepspeed
    from deepspeed.ops import __compatible_ops__

    on_gpu = torch.cuda.is_available()
    if not on_gpu:
        # The shared-memory collective would be compiled here (minutes, and it needs a C++ compiler); gloo does.
        __compatible_ops__["deepspeed_shm_comm"] = False
    # Before the model is built: without a process group ZeRO-3 would take the world for one process.
    deepspeed.init_distributed(dist_backend="nccl" if on_gpu else "gloo", verbose=False)
    local = int(os.environ.get("LOCAL_RANK", "0"))
    device = torch.device("cuda", local) if on_gpu else torch.device("cpu")
    if on_gpu:
        torch.cuda.set_device(device)
    return dist.get_rank(), dist.get_world_size(), device


def logprobs_under(
    folder: str, job: TrainJob, sequences: Sequences, pad_id: int, device: torch.device
) -> list[np.ndarray]:
    """One [T] array per sequence, under a frozen policy; each process scores its share of the rows."""
    rank, world = dist.get_rank(), dist.get_world_size()
    dtype = getattr(torch, job.training.dtype)
    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, trust_remote_code=False)
    model = model.eval().to(device)
    mine = list(range(rank, len(sequences), world))
    scored = dict(score(model, sequences, mine, job.machine.micro_batch, pad_id))
    del model
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    gathered: list[dict[int, np.ndarray]] = [{} for _ in range(world)]
    dist.all_gather_object(gathered, scored)
    everything = {index: values for part in gathered for index, values in part.items()}
    return [everything[index] for index in range(len(everything))]


def train(job: TrainJob) -> None:
    """Run the job; on rank 0 write the final folder and then the result file."""
    rank, processes, device = start_distributed()
    objective = objectives.load(**job.objective)
    tokenizer = load_tokenizer(job.model)
    pad_id = int(tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id)  # type: ignore[arg-type]
    rows: Ref[Any] = Ref.from_json(job.rows)
    sequences, dropped = short_enough(Sequences.of(Store(job.store).table(rows)), job.training.max_length)
    reference = logprobs_under(job.reference, job, sequences, pad_id, device) if job.reference else None
    recompute = job.training.old_logprobs == "recomputed" and "old_logprobs" in objective.columns
    old = logprobs_under(job.model, job, sequences, pad_id, device) if recompute else None
    sequences = with_final_advantages(objective, sequences, reference, old)
    steps = plan(
        rows_of(sequences, objective, job.training.order),
        batch_size=job.training.batch_size,
        micro_batch=job.machine.micro_batch,
        processes=processes,
        epochs=job.training.epochs,
        seed=job.seed,
    )
    set_seed(job.seed)
    args = arguments(job, steps, processes)  # before the model: ZeRO-3 shards it while it is loaded
    dtype = getattr(torch, job.training.dtype)
    model = AutoModelForCausalLM.from_pretrained(job.model, dtype=dtype, trust_remote_code=False)
    trainer = ObjectiveTrainer(
        objective=objective,
        model=model,
        args=args,
        train_dataset=MicroBatches(steps, sequences, reference, pad_id, old),
        processing_class=tokenizer,
    )
    follower = StepReport(trainer, job.progress, job.training.max_kl)
    trainer.add_callback(follower)
    if rank == 0:
        progress.report(job.progress, kind="ready", rows=len(sequences), steps=steps.num_steps)
    resume = _resume_point(job.checkpoints, processes)
    trainer.train(resume_from_checkpoint=str(resume) if resume else None)
    planned = trainer.state.global_step if follower.stopped else steps.num_steps
    facts = _engine_facts(trainer.model_wrapped, processes, planned, trainer.state.global_step)
    facts |= {"rows": len(sequences), "dropped": {"longer than max_length": dropped}, "stopped": follower.stopped}
    trainer.save_model(str(job.output))
    if rank == 0:
        _finish(job, facts)
    dist.barrier()


def _resume_point(folder: Path, processes: int) -> Path | None:
    """The newest complete checkpoint made by as many processes as there are now."""
    for checkpoint in committed_checkpoints(folder):
        (marker,), _ = progress.read(next(checkpoint.glob("odr-committed.json")))
        if marker["processes"] == processes:
            print(f"resuming from {checkpoint}", flush=True)  # noqa: T201 - the child's log
            return checkpoint
    return None


def _engine_facts(engine: Any, processes: int, planned: int, done: int) -> dict[str, Any]:
    """What really ran. A silent fall-back to plain PyTorch would train, but not what the config says."""
    import deepspeed

    if not isinstance(engine, deepspeed.DeepSpeedEngine):
        raise RuntimeError(f"expected a DeepSpeed engine, found {type(engine).__name__}")
    if done != planned:
        raise RuntimeError(f"the trainer stopped after {done} of {planned} steps")
    return {"steps": done, "processes": processes, "zero_stage": engine.zero_optimization_stage()}


def _finish(job: TrainJob, facts: dict[str, Any]) -> None:
    if not list(job.output.glob("*.safetensors")):
        raise BadInput(
            f"{job.output} holds no weights: ZeRO-3 did not gather them",
            'set "stage3_gather_16bit_weights_on_model_save": true in the DeepSpeed config',
        )
    job.result.write_text(json.dumps(facts), encoding="utf-8")


def main() -> None:
    """Serve the job file; `--local_rank` is what the deepspeed launcher adds."""
    parser = argparse.ArgumentParser()
    parser.add_argument("job")
    parser.add_argument("--local_rank", type=int, default=0)
    job = TrainJob.load(parser.parse_args().job)
    with reported(job.failure):
        train(job)
    sys.stdout.flush()
    sys.stderr.flush()
    # Everything is written. A process that ends in the usual way can still be aborted by a thread of its libraries that
    # runs on (seen on a loaded machine: "terminate called without an active exception"), and would count as failed.
    os._exit(0)


if __name__ == "__main__":
    main()
