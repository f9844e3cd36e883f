"""A small campaign for the tests of `flows`: files, config, steps."""

import copy
import json
from pathlib import Path
from typing import Any

from flows.config import RunConfig, load_fields

SMALL: dict[str, Any] = {
    "name": "small",
    "seed": 3,
    "iterations": 2,
    "prompts": {"per_iteration": 4},
    "sample": {"engine": "transformers", "samples_per_prompt": 3, "max_tokens": 8, "dtype": "float32"},
    "train": {"batch_size": 2, "dtype": "float32", "gradient_checkpointing": False},
    "machine": {"micro_tokens": 64, "grade_workers": 0},
}


def write_rows(path: Path, count: int) -> Path:
    """A file of questions with answers and worked solutions."""
    rows = [{"question": f"{i}+1?", "answer": i + 1, "solution": f"\\boxed{{{i + 1}}}"} for i in range(count)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def small_fields(folder: Path, model: Path | str) -> dict[str, Any]:
    """The fields of the config, with its files in `folder`."""
    return {
        **copy.deepcopy(SMALL),
        "model": str(model),
        "prompts": {**SMALL["prompts"], "path": str(write_rows(folder / "train.jsonl", 10))},
        "evaluate": {"benchmarks": [{"name": exam(folder), "data_dir": str(folder), "samples": 2}]},
    }


def exam(folder: Path) -> str:
    return write_rows(folder / "exam.jsonl", 5).stem


def small(folder: Path, model: Path | str, *overrides: str) -> RunConfig:
    return load_fields(small_fields(folder, model), list(overrides), "test")
