"""One contestant's process: stock TRL on the rows of a table.

    python -m tests.bench.train_trl dpo | grpo SETUP.json RESULT.json

DPOTrainer gets the token ids themselves (its own tokenisation, which would be counted, is skipped), loads policy and
reference, and pads each micro-batch. GRPOTrainer gets the recorded answers from its `rollout_func`.
Counted: reading the table, loading weights, training, TRL's own checkpoint at the end of it, saving the model.
"""

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import transformers.models.qwen2.modeling_qwen2  # noqa: F401 - a library, so it is loaded before the clock starts
from datasets import Dataset
from transformers import AutoTokenizer
from trl import DPOConfig, DPOTrainer, GRPOConfig, GRPOTrainer

from artifacts import Group, Pair, Ref, Store
from tests.bench.train_data import LONGEST, Setup
from tests.bench.train_measure import Meter


class TokenDPOTrainer(DPOTrainer):
    """Takes prompt_ids, chosen_ids and rejected_ids as they are; TRL 1.16 would insist on text."""

    def _prepare_dataset(self, dataset: Any, *args: Any, **kwargs: Any) -> Any:
        return dataset


def common(setup: Setup, output: str, items_per_step: int) -> dict[str, Any]:
    """Arguments that both trainers share; what is not set here is TRL's default."""
    return {
        "output_dir": output,
        "per_device_train_batch_size": setup.micro,
        "gradient_accumulation_steps": items_per_step // setup.micro,
        "num_train_epochs": setup.epochs,
        "learning_rate": setup.learning_rate,
        "lr_scheduler_type": "constant_with_warmup",
        "max_grad_norm": 1.0,
        "weight_decay": 0.0,
        "gradient_checkpointing": setup.checkpointing,
        "bf16": False,
        "use_cpu": True,
        "report_to": [],
        "disable_tqdm": True,
        "dataloader_pin_memory": False,
    }


def dpo(setup: Setup, output: str, **overrides: Any) -> DPOTrainer:
    """Ready to train; with `precompute` the reference's log-probabilities are computed by now."""
    table = Store(f"{setup.folder}/store").read(Ref.from_json(setup.rows), Pair)
    rows = [{n: list(getattr(row, n)) for n in ("prompt_ids", "chosen_ids", "rejected_ids")} for row in table]
    model = f"{setup.folder}/model"
    arguments = common(setup, output, setup.batch_size)
    arguments |= {"max_length": None, "precompute_ref_log_probs": setup.precompute, "beta": 0.1}
    return TokenDPOTrainer(
        model=model,
        args=DPOConfig(**arguments | overrides),
        train_dataset=Dataset.from_list(rows),
        processing_class=AutoTokenizer.from_pretrained(model),
    )


def grpo(setup: Setup, output: str) -> GRPOTrainer:
    """Ready to train on the recorded groups; beta = 0, so there is no reference."""
    recorded: dict[str, list[Group]] = {}
    for row in Store(f"{setup.folder}/store").read(Ref.from_json(setup.rows), Group):
        recorded.setdefault(row.prompt_id, []).append(row)

    def drawn(prompts: list[str]) -> list[Group]:
        """The k-th time a prompt is asked, its k-th answer."""
        seen: Counter[str] = Counter()
        found = []
        for prompt in prompts:
            found.append(recorded[prompt][seen[prompt] % setup.answers])
            seen[prompt] += 1
        return found

    def rollout(prompts: list[str], trainer: Any) -> dict[str, Any]:
        rows = drawn(prompts)
        return {
            "prompt_ids": [list(row.prompt_ids) for row in rows],
            "completion_ids": [list(row.completion_ids) for row in rows],
            "logprobs": [list(row.logprobs) for row in rows],
        }

    def reward(prompts: list[str], **_: Any) -> list[float]:
        return [row.reward for row in drawn(prompts)]

    model = f"{setup.folder}/model"
    arguments = common(setup, output, setup.batch_size * setup.answers)
    return GRPOTrainer(
        model=model,
        reward_funcs=[reward],
        rollout_func=rollout,
        args=GRPOConfig(
            **arguments, num_generations=setup.answers, max_completion_length=LONGEST, beta=0.0, loss_type="grpo"
        ),
        train_dataset=Dataset.from_list([{"prompt": name} for name in recorded]),
        processing_class=AutoTokenizer.from_pretrained(model, padding_side="left"),
    )


def main() -> None:
    """Train, save, report."""
    kind, setup_path, result = sys.argv[1:]
    setup = Setup(**json.loads(Path(setup_path).read_text(encoding="utf-8")))
    output = f"{setup_path}.output"
    meter = Meter()
    trainer = {"dpo": dpo, "grpo": grpo}[kind](setup, output)
    loaded = meter.seconds
    done = trainer.train()
    trained = meter.seconds
    trainer.save_model(output)
    meter.save(
        Path(result), steps=done.global_step, loss=done.training_loss, before_steps=loaded,
        after_steps=meter.seconds - trained,
    )  # fmt: skip


if __name__ == "__main__":
    main()
