"""The command line of a child that may run as several processes, for each launcher."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tasks import distributed
from tasks.machine import Machine
from tasks.train import WORKER

JOB = Path("/w/job.json")


@pytest.fixture(autouse=True)
def no_gpus(monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)


def command(run, processes=1, **machine):
    environment: dict[str, str] = {}
    return distributed.command(
        replace(run, machine=Machine(**machine)), processes, WORKER, JOB, environment
    ), environment


def test_one_process_needs_no_launcher(run):
    words, environment = command(run)

    assert words[1:] == ["-m", "tasks.workers.train", str(JOB)]
    assert (environment["RANK"], environment["WORLD_SIZE"]) == ("0", "1")
    assert int(environment["MASTER_PORT"]) > 0


def test_several_processes_go_through_torchrun(run):
    words, _ = command(run, processes=4)

    assert words[1:3] == ["-m", "torch.distributed.run"]
    assert words[words.index("--nproc_per_node") + 1] == "4"
    assert words[-3:] == ["-m", "tasks.workers.train", str(JOB)]


def test_a_hostfile_goes_through_deepspeed(run):
    words, _ = command(run, hostfile=Path("/w/hosts"))

    assert words[1:3] == ["-m", "deepspeed.launcher.runner"]
    assert words[words.index("--hostfile") + 1] == "/w/hosts"
    assert Path(words[-2]).name == "train.py"
    assert Path(words[-2]).is_file()


def test_deepspeed_does_not_use_its_fixed_port(run):
    words, _ = command(run, launcher="deepspeed")

    assert words[words.index("--master_port") + 1] != "29500"  # two runs on one machine would collide


def test_deepspeed_takes_the_gpus_of_the_config(run, monkeypatch):
    """deepspeed ignores CUDA_VISIBLE_DEVICES as soon as --num_gpus is given, and would take GPUs 0 and 1."""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)

    words, _ = command(run, processes=2, launcher="deepspeed", devices=(2, 3))

    assert "--num_gpus" not in words
    if "--include" in words:  # without it, deepspeed reads CUDA_VISIBLE_DEVICES, which the stage sets
        assert words[words.index("--include") + 1] == "localhost:2,3"
