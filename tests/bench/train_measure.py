"""Seconds and memory of one contestant, from inside its process: from loaded libraries to saved weights.

Beside the wall's seconds stand the processor's (`cpu`, user and system, all threads), which other work on the machine
disturbs less.
Peak memory is the high-water mark of the resident set of this process alone (VmHWM); `getrusage` would start it at
what the parent held when it forked.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


def resident(field: str) -> float:
    """VmRSS (now) or VmHWM (at most so far) of this process, MiB."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split(f"{field}:")[1].split()[0]) / 1024


class Meter:
    """Starts when it is made."""

    def __init__(self) -> None:
        self._before = resident("VmRSS")
        self._started, self._cpu = time.monotonic(), time.process_time()

    @property
    def seconds(self) -> float:
        """Since then."""
        return time.monotonic() - self._started

    def save(self, path: Path, **facts: Any) -> None:
        """Write what was measured since, and `facts`."""
        seconds, cpu, most = self.seconds, time.process_time() - self._cpu, resident("VmHWM")
        measured = {"seconds": seconds, "cpu": cpu, "before": self._before, "most": most, "rise": most - self._before}
        path.write_text(json.dumps(measured | facts), encoding="utf-8")


def child(
    module: str, *arguments: object, result: Path, log: Path, threads: int, variables: dict[str, str] | None = None
) -> dict[str, Any]:
    """Run `python -m module ARGUMENTS RESULT` alone; return what it measured, and `wall` of the whole process.

    `variables` are what its user's tool would set for it.

    Raises:
        SystemExit: it failed; shows the end of its log.
    """
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "MLFLOW_"))}
    environment = {**clean, "OMP_NUM_THREADS": str(threads), "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    environment |= variables or {}
    result.unlink(missing_ok=True)
    command = [sys.executable, "-m", module, *map(str, arguments), str(result)]
    started = time.monotonic()
    with log.open("wb") as output:
        done = subprocess.run(command, env=environment, cwd=ROOT, stdout=output, stderr=output)
    if done.returncode or not result.exists():
        raise SystemExit(f"{' '.join(command)} failed:\n{log.read_text(errors='replace')[-4000:]}")
    return json.loads(result.read_text(encoding="utf-8")) | {"wall": time.monotonic() - started}
