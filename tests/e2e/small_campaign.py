"""The demo, shrunken to a minute, and how the tests start it."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

SMALL = [
    "iterations=1",
    "prompts.per_iteration=96",
    "warmup.demonstrations.per_iteration=3000",
    "warmup.train.warmup_steps=10",
    "train.batch_size=8",
    "train.save_steps=2",
    "evaluate.benchmarks.0.samples=2",
    "evaluate.benchmarks.0.limit=40",
]


def odr(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "flows.cli", *arguments], env=environment(home), capture_output=True, text=True
    )


def environment(home: Path) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "MLFLOW_"))}
    return {**clean, "ODR_HOME": str(home), "OMP_NUM_THREADS": "1"}


def results(home: Path, name: str = "demo") -> dict[str, Any]:
    return json.loads((home / "campaigns" / name / "results.json").read_text())


def stages(found: dict[str, Any]) -> list[tuple[str, str, bool]]:
    return [(s["label"], s["stage"], s["cached"]) for row in found["iterations"] for s in row["stages"]]
