"""The training child, ended in the middle under real DeepSpeed: it goes on, and ends with the very same weights."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch

from tasks.settings import Lora
from tasks.workers.commitment import COMMITTED, checkpoint_folder, checkpoints, commit, marker_of
from tasks.workers.failure import PREEMPTED
from tasks.workers.progress import read
from tasks.workers.supervise import descendants
from tests.e2e.test_training import GRPO, ROOT, a_job, groups

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]  # thirteen trainers are started

EVERY = 4
"""Optimizer steps between checkpoints."""
STEPS = 60
SECONDS = 240
"""How long a test waits for something that takes a tenth of it."""
OPTIONS = {
    "scored": {"ref_logprobs": -4.0}, "batch_size": 2, "epochs": STEPS // 3, "save_steps": EVERY, "schedule": "cosine",
    "warmup_steps": 3,
}  # fmt: skip
CASES: dict[str, tuple[int, dict[str, Any]]] = {
    "zero0": (1, {"micro_tokens": 24}),
    "zero2": (2, {"stage": 2, "dtype": "bfloat16"}),
    "zero3": (2, {"stage": 3}),
    "lora": (1, {"stage": 2, "dtype": "bfloat16", "lora": Lora(rank=2, alpha=4, dropout=0.3)}),
}


@dataclass
class Told:
    """What was seen of an interrupted training, launch by launch."""

    codes: list[int] = field(default_factory=list)
    logs: list[str] = field(default_factory=list)
    failure: dict[str, str] = field(default_factory=dict)
    saved: list[str] = field(default_factory=list)
    """Names of the committed checkpoints after SIGTERM, newest first."""
    swords: list[Path] = field(default_factory=list)
    """Files that were there because a pickle was executed."""


@contextmanager
def child(folder: Path, processes: int) -> Iterator[subprocess.Popen[bytes]]:
    """The trainer, started as the stage starts it; nothing of it is left at the end."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    if processes == 1:
        launcher = []
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = str(probe.getsockname()[1])
        place = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        environment |= place
    else:
        launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes)]
    command = [sys.executable, *launcher, "-m", "tasks.workers.train", str(folder / "job.json")]
    with (folder / "log.txt").open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT)
    try:
        yield process
    finally:
        end(process, signal.SIGKILL)
        process.wait()


def end(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """Send a signal to a process that may have ended, and to all below it."""
    for pid in [*descendants(process.pid), process.pid] if process.poll() is None else []:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue


def finished(folder: Path, processes: int, told: Told) -> None:
    with child(folder, processes) as process:
        told.codes.append(process.wait(SECONDS))
    told.logs.append((folder / "log.txt").read_text())


def interrupted(folder: Path, processes: int, told: Told, number: signal.Signals, kind: str, after: int) -> None:
    """Train until a line of this kind is of a step above `after`; then the signal."""
    progress = folder / "progress.jsonl"
    start = progress.stat().st_size if progress.exists() else 0
    deadline = time.monotonic() + SECONDS
    with child(folder, processes) as process:
        while not any(line["kind"] == kind and line["step"] > after for line in read(progress, start)[0]):
            assert process.poll() is None, (folder / "log.txt").read_text()[-3000:]
            assert time.monotonic() < deadline
            time.sleep(0.01)
        end(process, number)
        told.codes.append(process.wait(SECONDS))
    told.logs.append((folder / "log.txt").read_text())
    assert not (folder / "result.json").exists()


def committed(folder: Path) -> list[Path]:
    return [path for path in checkpoints(folder / "checkpoints") if marker_of(path)]


class Sword:
    """Its pickle writes a file when it is executed."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


def plant(checkpoint: Path, sword: Path) -> None:
    """A pickle that runs code instead of a file of the checkpoint, and a marker that agrees with it."""
    made = {name: value for name, value in (marker_of(checkpoint) or {}).items() if name not in ("step", "files")}
    (target,) = checkpoint.glob("global_step*/mp_rank_00_model_states.pt")
    torch.save({"module": Sword(sword)}, target)
    torch.load(target, weights_only=False)  # who trusts it is struck
    sword.rmdir()
    (checkpoint / COMMITTED).unlink()
    commit(checkpoint, **made)


def flip(checkpoint: Path) -> None:
    target = sorted(checkpoint.glob("global_step*/*optim_states.pt"))[-1]
    content = bytearray(target.read_bytes())
    content[len(content) // 2] ^= 1
    target.write_bytes(content)


def live_through(name: str, folder: Path) -> Told:
    """What befalls this case."""
    told, (processes, _) = Told(), CASES[name]
    last = 0
    if name != "lora":
        interrupted(folder, processes, told, signal.SIGKILL, "checkpoint", EVERY)
        newest = committed(folder)[0]
        last = int(newest.name.rsplit("-", 1)[1])
        if name == "zero0":
            sword = folder / "sword"
            plant(newest, sword)
            told.swords.append(sword)
        if name == "zero2":
            flip(newest)
        if name == "zero3":
            shutil.copytree(newest, checkpoint_folder(newest.parent, last + 1))  # the marker is of another step
            (newest.parent / "checkpoint-59").mkdir()
    if name in ("zero2", "lora"):
        interrupted(folder, processes, told, signal.SIGTERM, "step", last)
        told.failure = json.loads((folder / "failure.json").read_text())
        told.saved = [path.name for path in committed(folder)]
        (folder / "failure.json").unlink()
    finished(folder, processes, told)
    told.swords = [sword for sword in told.swords if sword.exists()]
    return told


@pytest.fixture(scope="module")
def lives(tmp_path_factory: pytest.TempPathFactory, model_folder: Path) -> dict[str, tuple[Path, Path, Told]]:
    """Of each case: the folder of an undisturbed training, that of an interrupted one, and what was seen of it."""
    root = tmp_path_factory.mktemp("resume")
    rows = groups([3, 4, 2, 4, 3, 2])
    folders = {
        name: [a_job(root / f"{name}-{kind}", model_folder, rows, GRPO, **OPTIONS, **how) for kind in ("calm", "rough")]
        for name, (_, how) in CASES.items()
    }
    with ThreadPoolExecutor(2) as pool:
        rough = {name: pool.submit(live_through, name, folders[name][1]) for name in CASES}
        calm = {name: pool.submit(finished, folders[name][0], CASES[name][0], Told()) for name in CASES}
        for task in calm.values():
            task.result()
        return {name: (folders[name][0], folders[name][1], rough[name].result()) for name in CASES}


@pytest.mark.parametrize("name", CASES)
def test_an_interrupted_training_ends_with_the_same_bytes(lives: dict[str, tuple[Path, Path, Told]], name: str) -> None:
    calm, rough, told = lives[name]

    found = (rough / "output" / "model.safetensors").read_bytes()

    assert told.codes[-1] == 0, told.logs[-1][-3000:]
    assert "resuming from" in told.logs[-1]
    assert found == (calm / "output" / "model.safetensors").read_bytes()


@pytest.mark.parametrize("name", CASES)
def test_its_curve_is_the_same_too(lives: dict[str, tuple[Path, Path, Told]], name: str) -> None:
    curves = []
    for folder in lives[name][:2]:
        lines = [line for line in read(folder / "progress.jsonl")[0] if line["kind"] == "step"]
        curves.append({line["step"]: line["metrics"] for line in lines})

    assert len(curves[0]) == STEPS
    assert curves[1] == curves[0]


@pytest.mark.parametrize("name", ["zero2", "lora"])
def test_who_is_asked_to_end_saves_the_step_he_is_in(lives: dict[str, tuple[Path, Path, Told]], name: str) -> None:
    _, rough, told = lives[name]

    found = re.fullmatch(r"asked to end, after step (\d+), which is saved in (.*)", told.failure["message"])

    assert found
    assert told.failure["kind"] == "preempted"
    assert told.codes[-2] == PREEMPTED if CASES[name][0] == 1 else told.codes[-2] != 0  # torchrun has codes of its own
    assert told.saved[0] == Path(found[2]).name == f"checkpoint-{found[1]}"
    assert f"resuming from {found[2]}" in told.logs[-1]
    assert len(committed(rough)) == 2


def test_a_pickle_that_runs_code_is_refused_and_the_checkpoint_before_it_used(
    lives: dict[str, tuple[Path, Path, Told]],
) -> None:
    told = lives["zero0"][2]

    assert told.swords == []
    assert re.search(
        r"removing \S+: global_step\d+/mp_rank_00_model_states.pt asks for posix.mkdir, which is no training state\n",
        told.logs[1],
    )
    assert "resuming from" in told.logs[1]


def test_a_flipped_bit_is_found_and_the_checkpoint_before_it_used(lives: dict[str, tuple[Path, Path, Told]]) -> None:
    told = lives["zero2"][2]

    assert re.search(r"removing \S+: global_step\d+/\S+optim_states.pt was altered", told.logs[1])
    assert "resuming from" in told.logs[1]


def test_what_was_not_finished_is_removed(lives: dict[str, tuple[Path, Path, Told]]) -> None:
    log = lives["zero3"][2].logs[1]

    assert re.search(r"removing \S+/checkpoint-59: it was not finished", log)
    assert re.search(r"removing \S+: its marker is of step \d+", log)
    assert log.count("resuming from") == 1
