"""Which accelerators a stage gets, and how they are dealt to its children."""

import os
from collections.abc import Sequence

import torch

from tasks.machine import Machine


def gpus(machine: Machine) -> list[int]:
    """Indices of the GPUs to use; empty means the CPU.

    Counting goes through the driver's management library, so this process never holds a GPU.

    Raises:
        ValueError: the config names a GPU that is not there.
    """
    present = torch.cuda.device_count()
    if machine.devices == "auto":
        return list(range(present))
    missing = [index for index in machine.devices if index >= present]
    if missing:
        raise ValueError(
            f"machine.devices names GPU {missing[0]}, but this machine has {present}; "
            "correct the list or use `devices: auto`"
        )
    return list(machine.devices)


def engine_environments(machine: Machine) -> list[dict[str, str]]:
    """One environment per sampling engine: every GPU belongs to exactly one.

    Raises:
        ValueError: the GPUs cannot be split into groups of `tensor_parallel`.
    """
    threads = {"OMP_NUM_THREADS": str(machine.threads)}
    indices = gpus(machine)
    if not indices:
        return [threads] * machine.cpu_engines
    size = machine.tensor_parallel
    if len(indices) % size:
        raise ValueError(
            f"{len(indices)} GPUs cannot be split into engines of machine.tensor_parallel={size}; "
            "choose a divisor, or list fewer machine.devices"
        )
    groups = [indices[i : i + size] for i in range(0, len(indices), size)]
    return [{**threads, **visible(group)} for group in groups]


def visible(indices: Sequence[int]) -> dict[str, str]:
    """The environment that shows a child these GPUs of those that this process sees, and no other.

    On a shared machine the scheduler has already set the variable: our GPU 0 is its first entry, which may be an
    index or a UUID.
    """
    ours = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    names = [ours[index].strip() if index < len(ours) else str(index) for index in indices]
    return {"CUDA_VISIBLE_DEVICES": ",".join(names)}


def train_processes(machine: Machine) -> int:
    """Training processes on this node."""
    return machine.train_processes or max(1, len(gpus(machine)))
