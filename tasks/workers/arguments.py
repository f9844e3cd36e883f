"""Our settings in the words of DeepSpeed and of the Hugging Face Trainer."""

import json
from typing import Any

import torch
from transformers import TrainingArguments

from tasks.workers.batches import Plan
from tasks.workers.failure import BadInput
from tasks.workers.jobs import TrainJob

SCHEDULES = {"constant": "constant_with_warmup", "linear": "linear", "cosine": "cosine"}


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
        use_cpu=not torch.cuda.is_available(),
        deepspeed=deepspeed_config(job, steps.accumulation, processes),
        save_strategy="steps",
        save_steps=training.save_steps,
        save_total_limit=None,  # the Trainer counts unfinished ones and goes by modification times; see `keeper`
        logging_strategy="no",
        report_to=[],
        remove_unused_columns=False,
        dataloader_pin_memory=torch.cuda.is_available(),
        disable_tqdm=True,
        seed=job.seed,
    )
