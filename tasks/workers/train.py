"""The training child: rows in, a Hugging Face folder out, under DeepSpeed.

    python -m tasks.workers.train JOB.json          (one process)
    torchrun | deepspeed ... tasks/workers/train.py (several)

Memory is that of one model in training: what frozen models say of the rows is in the job, scored before. Only an
objective that needs the reference's whole distribution (`ref_kl`) has it loaded here, whole, in every process.
"""

import argparse
import json
import os
import sys
from typing import Any

import torch
import torch.distributed as dist
from transformers import set_seed

from artifacts import Ref, Store
from tasks import objectives
from tasks.objectives import Objective
from tasks.workers import progress
from tasks.workers.arguments import arguments
from tasks.workers.batches import plan
from tasks.workers.failure import PREEMPTED, Preempted, reported
from tasks.workers.jobs import TrainJob, scratch_of
from tasks.workers.keeper import Keeper
from tasks.workers.lora import adapted
from tasks.workers.plainload import restrict
from tasks.workers.policy import checkpoint_activations, load, load_frozen
from tasks.workers.preemption import Notice
from tasks.workers.prepare import rows_of, short_enough, with_final_columns, with_recorded_reference, with_scores
from tasks.workers.resume import resume_point
from tasks.workers.saving import save
from tasks.workers.sequences import Sequences, arrays
from tasks.workers.stepreport import StepReport
from tasks.workers.template import load_tokenizer
from tasks.workers.trainer import MicroBatches, ObjectiveTrainer


def start_distributed() -> tuple[int, int, torch.device]:
    """Join the process group; return rank, number of processes and this process's device."""
    import deepspeed

    on_gpu = torch.cuda.is_available()
    if not on_gpu:
        # The shared-memory collective would be compiled here (minutes, and it needs a C++ compiler); gloo does. Nothing
        # else is asked of this table, and to fill it DeepSpeed would try a compiler (1.4 s of every start).
        ops: Any = deepspeed.ops
        ops.__compatible_ops__ = {"deepspeed_shm_comm": False}
    # Before the model is built: without a process group ZeRO-3 would take the world for one process.
    deepspeed.init_distributed(dist_backend="nccl" if on_gpu else "gloo", verbose=False)
    local = int(os.environ.get("LOCAL_RANK", "0"))
    device = torch.device("cuda", local) if on_gpu else torch.device("cpu")
    if on_gpu:
        torch.cuda.set_device(device)
    return dist.get_rank(), dist.get_world_size(), device


def rows_of_job(job: TrainJob, objective: Objective) -> tuple[Sequences, int]:
    """The rows with all columns the objective needs, and how many were too long."""
    store, scratch = Store(job.store), scratch_of(job)
    rows: Ref[Any] = Ref.from_json(job.rows)
    scored = {
        name: arrays(store.mapped(Ref.from_json(ref), scratch, columns=["values"]), "values")
        for name, ref in job.scored.items()
    }
    sequences = with_scores(Sequences.of(store.mapped(rows, scratch)), scored)
    sequences, dropped = short_enough(sequences, job.training.max_length)
    sequences = with_recorded_reference(objective, sequences, job.training.reference_logprobs)
    return with_final_columns(objective, sequences), dropped


def train(job: TrainJob, notice: Notice) -> None:
    """Run the job; on rank 0 write the final folder and then the result file.

    Raises:
        Preempted: this process or another was asked to end, before the last step; what was done is saved.
    """
    rank, processes, device = start_distributed()
    restrict()
    objective = objectives.load(**job.objective)
    tokenizer = load_tokenizer(job.model)
    sequences, dropped = rows_of_job(job, objective)
    steps = plan(
        rows_of(sequences, objective, job.training.order),
        batch_size=job.training.batch_size,
        micro_tokens=job.machine.micro_tokens,
        processes=processes,
        epochs=job.training.epochs,
        seed=job.seed,
    )
    # Before the arguments: what is loaded after them under ZeRO-3 is sharded, and nobody would gather the reference.
    reference = load_frozen(job.reference, "policy", job.training.dtype, device) if job.reference else None
    set_seed(job.seed)
    args = arguments(job, steps, processes)  # before the model: ZeRO-3 shards it while it is loaded
    model = load(job.model, objective.trains, getattr(torch, job.training.dtype))
    if job.training.gradient_checkpointing:
        checkpoint_activations(model)
    trainer = ObjectiveTrainer(
        objective=objective,
        reference=reference,
        model=adapted(model, job.training.lora, objective.trains) if job.training.lora else model,
        args=args,
        train_dataset=MicroBatches(steps, sequences),
        processing_class=tokenizer,
    )
    follower = StepReport(trainer, job.progress, job.training.max_kl)
    trainer.add_callback(follower)
    if rank == 0:
        progress.report(job.progress, kind="ready", rows=len(sequences), steps=steps.num_steps)
    made = {"processes": processes, "zero_stage": args.hf_deepspeed_config.get_value("zero_optimization.stage", 0)}
    resume = resume_point(job.checkpoints, device, **made)
    keeper = Keeper(notice, job.progress, resume, **made)
    trainer.add_callback(keeper)
    notice.training_starts()
    trainer.train(resume_from_checkpoint=str(resume) if resume else None)
    if keeper.preempted:
        raise Preempted(f"asked to end, after step {trainer.state.global_step}, which is saved in {keeper.preempted}")
    planned = trainer.state.global_step if follower.stopped else steps.num_steps
    facts = _engine_facts(trainer.model_wrapped, processes, planned, trainer.state.global_step)
    facts |= {"rows": len(sequences), "dropped": {"longer than max_length": dropped}, "stopped": follower.stopped}
    save(trainer.model, job.output, write=rank == 0)
    if rank == 0:
        tokenizer.save_pretrained(job.output)
        job.result.write_text(json.dumps(facts), encoding="utf-8")
    dist.barrier()


def _engine_facts(engine: Any, processes: int, planned: int, done: int) -> dict[str, Any]:
    """What really ran. A silent fall-back to plain PyTorch would train, but not what the config says."""
    import deepspeed

    if not isinstance(engine, deepspeed.DeepSpeedEngine):
        raise RuntimeError(f"expected a DeepSpeed engine, found {type(engine).__name__}")
    if done != planned:
        raise RuntimeError(f"the trainer stopped after {done} of {planned} steps")
    return {"steps": done, "processes": processes, "zero_stage": engine.zero_optimization_stage()}


def main() -> None:
    """Serve the job file; `--local_rank` is what the deepspeed launcher adds."""
    parser = argparse.ArgumentParser()
    parser.add_argument("job")
    parser.add_argument("--local_rank", type=int, default=0)
    job = TrainJob.load(parser.parse_args().job)
    notice, code = Notice(job.failure), 0
    notice.listen()
    try:
        with reported(job.failure):
            train(job, notice)
    except Preempted as found:
        print(found.message)  # noqa: T201 - the child's log
        code = PREEMPTED
    sys.stdout.flush()
    sys.stderr.flush()
    # Everything is written. A process that ends in the usual way can still be aborted by a thread of its libraries that
    # runs on (seen on a loaded machine: "terminate called without an active exception"), and would count as failed.
    os._exit(code)


if __name__ == "__main__":
    main()
