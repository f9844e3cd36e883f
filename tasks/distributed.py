"""The command line of a child that may run as several processes, for each launcher."""

import math
import socket
import sys
from pathlib import Path

from tasks import launch
from tasks.caching import Run
from tasks.child import Child
from tasks.devices import gpus, train_processes, visible

ALLOCATOR = {"MALLOC_MMAP_THRESHOLD_": str(4 << 20), "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}
"""For training in the host's memory: blocks above 4 MiB, a pass's widest activations, go back to the system when they
are freed. The C library's own bound rises to 32 MiB, and what it keeps serves blocks of other sizes badly. The rest
goes back between the passes (`workers.hostmemory`). Where the system allows it, large blocks come in huge pages."""


def child(name: str, worker: Path, job: Path, failure: Path, run: Run, memory_fix: str) -> Child:
    """The processes that run `worker`, a file of `tasks.workers`, on one job: as many as train on this machine."""
    processes = train_processes(run.machine)
    environment = {
        "OMP_NUM_THREADS": str(run.machine.threads),
        "TORCH_ELASTIC_SHUTDOWN_TIMEOUT": str(math.ceil(run.machine.grace_seconds)),  # torchrun's own, else 30
    }
    if not run.machine.hostfile and (indices := gpus(run.machine)):
        environment |= visible(indices[:processes])
    elif not run.machine.hostfile:
        environment |= ALLOCATOR
    return Child(
        name,
        command(run, processes, worker, job, environment),
        run.workdir / "log.txt",
        failure,
        environment,
        memory_fix,
        run.machine.grace_seconds,
    )


def command(run: Run, processes: int, worker: Path, job: Path, environment: dict[str, str]) -> list[str]:
    """The launcher's command line; for one process no launcher is needed."""
    machine, module = run.machine, f"tasks.workers.{worker.stem}"
    launcher = machine.launcher
    if launcher == "auto":
        launcher = "deepspeed" if machine.hostfile else "torchrun" if processes > 1 else "direct"
    if launcher == "deepspeed":
        place = ["--hostfile", str(machine.hostfile)] if machine.hostfile else ["--no_ssh_check"]
        # With a size the launcher ignores CUDA_VISIBLE_DEVICES and takes GPUs 0, 1, ...: without, it obeys.
        size = [] if machine.hostfile or gpus(machine) else ["--num_gpus", str(processes)]
        return [
            sys.executable, "-m", "deepspeed.launcher.runner", *place, *size,
            "--master_port", str(_free_port()), str(worker), str(job),
        ]  # fmt: skip
    if launcher == "torchrun":
        return [
            sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes),
            "-m", module, str(job),
        ]  # fmt: skip
    environment.update(
        {
            "RANK": "0",
            "LOCAL_RANK": "0",
            "WORLD_SIZE": "1",
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(_free_port()),
        }
    )
    return launch.module_command(module, job)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
