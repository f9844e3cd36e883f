"""Start children that hold accelerators, follow them, and never leave one behind.

A child is a module with a job file. It runs under `tasks.workers.supervise`, whose standard input is a pipe
only this process can write to: however this process ends, the pipe closes and the child's whole tree is ended.
"""

import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tasks.child import Before, Child, why
from tasks.forwarding import Forwarder
from tasks.workers import progress

log = logging.getLogger(__name__)

POLL_SECONDS = 0.1

TIMES = "times.jsonl"
"""Beside the progress file: seconds of each launch, and how many of them passed before the first was ready."""

QUIET = {
    "HF_HUB_OFFLINE": "1",  # parents resolve models to folders; a child must not wait for a hub
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "TRL_EXPERIMENTAL_SILENCE": "1",
    "PYTHONUNBUFFERED": "1",
}


def module_command(module: str, job: Path) -> list[str]:
    """Run a worker module on a job file with this interpreter."""
    return [sys.executable, "-m", module, str(job)]


def run(children: Sequence[Child], progress_file: Path, on_progress: Callable[[dict[str, Any]], None]) -> None:
    """Run the children side by side until all have ended; hand on each progress line as it appears.

    Raises:
        ChildFailed: one ended with a non-zero code; the others are ended first.
    """
    running: list[tuple[Child, Before, subprocess.Popen[bytes]]] = []
    started, ready = time.monotonic(), None
    offset = progress_file.stat().st_size if progress_file.exists() else 0
    forwarders = [Forwarder(child, len(children)) for child in children]
    try:
        running = [(child, Before.of(child), _start(child)) for child in children]
        while True:
            states = [process.poll() for _, _, process in running]
            lines, offset = progress.read(progress_file, offset)
            for line in lines:
                if line["kind"] == "ready":
                    ready = ready or time.monotonic()
                on_progress(line)
            for forwarder in forwarders:
                forwarder.forward()
            for (child, before, _), code in zip(running, states, strict=True):
                if code:
                    raise why(child, code, before)
            if all(code == 0 for code in states):
                seconds = time.monotonic() - started
                start_up = (ready or started) - started
                progress.report(
                    progress_file.with_name(TIMES), child=children[0].name, seconds=seconds, start_up=start_up
                )
                return
            time.sleep(POLL_SECONDS)
    finally:
        for _, _, process in running:
            assert process.stdin is not None
            process.stdin.close()
        for _, _, process in running:
            process.wait()
        for forwarder in forwarders:
            forwarder.close()


def _start(child: Child) -> subprocess.Popen[bytes]:
    child.log.parent.mkdir(parents=True, exist_ok=True)
    child.failure.unlink(missing_ok=True)
    log.debug("starting %s: %s", child.name, child.shell())
    with child.log.open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "tasks.workers.supervise", str(child.grace_seconds), *child.command],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={**os.environ, **QUIET, **child.environment},
        )
