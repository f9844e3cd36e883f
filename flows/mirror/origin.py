"""Where a run comes from: the commit, the packages, the machine, the resolved config."""

import functools
import hashlib
import importlib.metadata
import json
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

import yaml

from flows.config import RunConfig
from tasks.tracking import Tracker, without_credentials

NAME = "online-dpo-r1"
ROOT = Path(__file__).parents[1]
ASK_SECONDS = 5.0
DESCRIBED = "odr.origin"
"""Tag: a digest of what a run was last described with."""


def describe(tracker: Tracker, run_id: str | None, config: RunConfig, *, at_work: bool) -> None:
    """Attach all of it to a run that lacks it; to one at work also if commit, config or machine have changed."""
    if not at_work and tracker.has(run_id, DESCRIBED):
        return
    resolved = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)
    commit = commit_tags()
    digest = hashlib.sha256(json.dumps([resolved, commit, platform.node()]).encode()).hexdigest()
    if tracker.has(run_id, DESCRIBED, digest):
        return
    facts, lock = machine(), lock_file()
    graphics = f"{len(facts['gpus'])} x {facts['gpus'][0]}" if facts["gpus"] else "no GPU"
    short = f"{facts['cpus']} CPUs, {facts['memory_gib']} GiB, {graphics}"
    tracker.tag(run_id, {**commit, "odr.host": platform.node(), "odr.machine": short})
    texts = {
        "config.yaml": without_credentials(resolved),
        "origin/packages.txt": packages(),
        "origin/machine.json": json.dumps(facts, indent=1),
        **({"origin/requirements.lock": lock.read_text(encoding="utf-8")} if lock else {}),
    }
    if all([tracker.text(run_id, name, text) for name, text in texts.items()]):
        tracker.tag(run_id, {DESCRIBED: digest})


@functools.cache
def commit_tags() -> dict[str, str]:
    """MLflow's own tag for the commit, and whether the tree differed from it; only the version if this is no tree."""
    try:
        version = importlib.metadata.version(NAME)
    except importlib.metadata.PackageNotFoundError:  # a tree that is used without being installed
        version = "not installed"
    tags = {"mlflow.source.name": NAME, "odr.version": version}
    commit = _git("rev-parse", "HEAD")
    if commit is None:
        return tags
    changed = _git("status", "--porcelain", "--untracked-files=no")
    return {**tags, "mlflow.source.git.commit": commit, "odr.git.dirty": str(changed != "").lower()}


def lock_file() -> Path | None:
    """The lock of this environment, of a source tree that has one."""
    import torch

    path = ROOT / "requirements" / ("gpu.lock" if torch.version.cuda else "cpu.lock")
    return path if path.is_file() else None


def packages() -> str:
    """What is installed, one `name==version` a line."""
    found = {f"{item.metadata['Name']}=={item.version}" for item in importlib.metadata.distributions()}
    return "\n".join(sorted(found, key=str.lower)) + "\n"


def machine() -> dict[str, Any]:
    """Processor, memory, GPUs, operating system."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "cpus": os.cpu_count(),
        "processor": _processor(),
        "memory_gib": round(pages / 2**30, 1),
        "gpus": _gpu_names(),
        "system": platform.platform(),
        "python": platform.python_version(),
    }


def _git(*arguments: str) -> str | None:
    """What git says of this tree; None if it is none, or git is not there."""
    if not (ROOT / ".git").exists():
        return None
    try:
        done = subprocess.run(
            ["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=True, timeout=ASK_SECONDS,
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _gpu_names() -> list[str]:
    """From the driver's management library, so that this process holds no GPU."""
    try:
        import pynvml  # type: ignore[import-not-found]

        pynvml.nvmlInit()
        handles = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]
        return [str(pynvml.nvmlDeviceGetName(handle)) for handle in handles]
    except Exception:  # no library, no driver, no device: there is nothing to name
        return []
