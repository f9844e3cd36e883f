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
from transformers import AutoModelForCausalLM, TrainingArguments, set_seed

from artifacts import Accepted, Pair, Ref, Store
from tasks import objectives
from tasks.workers import progress
from tasks.workers.batches import Plan, Sequences, plan
from tasks.workers.failure import BadInput, reported
from tasks.workers.jobs import TrainJob
from tasks.workers.policy import score
from tasks.workers.template import load_tokenizer
from tasks.workers.trainer import MicroBatches, ObjectiveTrainer, StepReport, committed_checkpoints

SCHEDULES = {"constant": "constant_with_warmup", "linear": "linear", "cosine": "cosine"}
ROWS = {"pairs": Pair, "accepted": Accepted}


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


def reference_logprobs(job: TrainJob, sequences: Sequences, pad_id: int, device: torch.device) -> list[np.ndarray]:
    """One [T] array per sequence, under the reference policy; each process scores its share of the rows."""
    rank, world = dist.get_rank(), dist.get_world_size()
    dtype = getattr(torch, job.training.dtype)
    assert job.reference is not None
    model: Any = AutoModelForCausalLM.from_pretrained(job.reference, dtype=dtype, trust_remote_code=False)
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


def deepspeed_config(job: TrainJob, accumulation: int, processes: int) -> dict[str, Any]:
    """The user's DeepSpeed file with every number that must agree with the plan filled in.

    Raises:
        BadInput: the file cannot be read, or sets what the run config decides.
    """
    path = job.machine.deepspeed
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError) as error:
        raise BadInput(f"DeepSpeed config {path}: {error}", "point machine.deepspeed to a JSON file") from error
    ours = {
        "train_micro_batch_size_per_gpu": 1,  # one item of the data set is one micro-batch
        "gradient_accumulation_steps": accumulation,
        "train_batch_size": accumulation * processes,
        "gradient_clipping": job.training.max_grad_norm,
        "bf16": {"enabled": job.training.dtype == "bfloat16"},
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": False,
        "steps_per_print": 10**9,
    }
    clash = sorted(set(config) & set(ours))
    if clash:
        raise BadInput(f"{path} sets {', '.join(clash)}", "remove it there: the run config decides it")
    return {**config, **ours}


def arguments(job: TrainJob, steps: Plan, processes: int) -> TrainingArguments:
    """Translate our settings into the Trainer's."""
    training = job.training
    return TrainingArguments(
        output_dir=str(job.checkpoints),
        per_device_train_batch_size=1,
        gradient_accumulation_steps=steps.accumulation,
        num_train_epochs=1,  # the plan already holds all epochs
        learning_rate=training.learning_rate,
        lr_scheduler_type=SCHEDULES[training.schedule],
        warmup_steps=training.warmup_steps,
        adam_beta1=training.betas[0],
        adam_beta2=training.betas[1],
        weight_decay=training.weight_decay,
        max_grad_norm=training.max_grad_norm,
        bf16=training.dtype == "bfloat16",
        gradient_checkpointing=training.gradient_checkpointing,
        gradient_checkpointing_kwargs={"use_reentrant": False} if training.gradient_checkpointing else None,
        use_cpu=not torch.cuda.is_available(),
        deepspeed=deepspeed_config(job, steps.accumulation, processes),
        save_strategy="steps",
        save_steps=training.save_steps,
        save_total_limit=2,
        logging_strategy="no",
        report_to=[],
        remove_unused_columns=False,
        dataloader_pin_memory=torch.cuda.is_available(),
        disable_tqdm=True,
        seed=job.seed,
    )


def train(job: TrainJob) -> None:
    """Run the job; on rank 0 write the final folder and then the result file."""
    rank, processes, device = start_distributed()
    objective = objectives.load(**job.objective)
    tokenizer = load_tokenizer(job.model)
    pad_id = int(tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id)  # type: ignore[arg-type]
    store = Store(job.store)
    rows = Ref.from_json(job.rows)
    sequences, dropped = short_enough(Sequences.of(store.table(rows)), job.training.max_length)
    reference = reference_logprobs(job, sequences, pad_id, device) if job.reference else None
    lengths = [sequences.completion_tokens(row) for row in range(len(sequences))]
    steps = plan(
        lengths,
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
        train_dataset=MicroBatches(steps, sequences, reference, pad_id),
        processing_class=tokenizer,
    )
    trainer.add_callback(StepReport(trainer, job.progress))
    if rank == 0:
        progress.report(job.progress, kind="ready", rows=len(sequences), steps=steps.num_steps)
    resume = _resume_point(job.checkpoints, processes)
    trainer.train(resume_from_checkpoint=str(resume) if resume else None)
    facts = _engine_facts(trainer.model_wrapped, processes, steps.num_steps, trainer.state.global_step)
    facts |= {"rows": len(sequences), "dropped": {"longer than max_length": dropped}}
    trainer.save_model(str(job.output))
    if rank == 0:
        _finish(job, facts)
    dist.barrier()


def short_enough(sequences: Sequences, max_length: int | None) -> tuple[Sequences, int]:
    """Keep the rows whose longest sequence fits; return them and how many were dropped.

    Raises:
        BadInput: no row fits.
    """
    kept = [row for row in range(len(sequences)) if max_length is None or sequences.longest(row) <= max_length]
    if not kept:
        raise BadInput(f"all {len(sequences)} rows are longer than train.max_length={max_length}", "raise it")
    return (sequences if len(kept) == len(sequences) else sequences.take(kept)), len(sequences) - len(kept)


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


if __name__ == "__main__":
    main()
