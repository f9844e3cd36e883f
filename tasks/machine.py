"""Where the work runs: the one part of a config that is in no cache key, so that other hardware keeps what is done."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from tasks.settings import Settings

Devices = Literal["auto"] | Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)]


class Machine(Settings):
    """Where the work runs. No field of this class is part of a cache key."""

    devices: Devices = Field(default="auto", description="GPU indices, or auto: all visible ones, else the CPU.")
    tensor_parallel: int = Field(default=1, ge=1, description="GPUs per sampling engine.")
    cpu_engines: int = Field(default=1, ge=1, description="Sampling engines when there is no GPU.")
    train_processes: int | None = Field(default=None, ge=1, description="Default: one per GPU, or 1 on the CPU.")
    threads: int = Field(default=1, ge=1, description="CPU threads per child process; processes x threads <= cores.")
    deepspeed: Path = Field(default=Path("configs/deepspeed/zero0.json"), description="ZeRO stage and offloading.")
    launcher: Literal["auto", "direct", "torchrun", "deepspeed"] = Field(
        default="auto", description="auto: direct for one process, torchrun for several; deepspeed with a hostfile."
    )
    hostfile: Path | None = Field(default=None, description="DeepSpeed hostfile for several nodes.")
    micro_tokens: int = Field(
        default=8192,
        ge=16,
        description="Tokens per process per forward pass, packed without padding; a longer row has one of its own.",
    )
    max_num_seqs: int = Field(default=256, ge=1, description="Answers in flight per sampling engine.")
    gpu_memory: float = Field(
        default=0.9, gt=0, le=1.0, description="Share of GPU memory the sampling engine may take."
    )
    kv_cache_gib: int = Field(default=1, ge=1, description="Key-value cache of a sampling engine on the CPU, GiB.")
    grade_workers: int | None = Field(
        default=None,
        ge=0,
        description="Grading processes; default: one per core, at most 4. While engines sample, one runs at low "
        "priority. 0: none; grading waits for sampling and is done in the flow's own process.",
    )
    retries: int = Field(
        default=2,
        ge=0,
        description="More attempts at a stage whose child a signal ended, or that lost a device or node. What would "
        "fail again (input, memory, a value that is not finite, an error of the program) gets none.",
    )
    retry_seconds: float = Field(
        default=10.0, ge=0, description="Wait before the first further attempt; doubled each time, at most 10 min."
    )
    grace_seconds: float = Field(
        default=10.0,
        gt=0,
        description="Seconds a trainer has to save its optimizer state when it is asked to end (SIGTERM, a cancelled "
        "flow). Large models need more; Prefect ends a cancelled flow after 30 s.",
    )

    @model_validator(mode="after")
    def _each_device_once(self) -> "Machine":
        if self.devices != "auto" and len(set(self.devices)) < len(self.devices):
            raise ValueError(f"machine.devices lists a GPU twice: {list(self.devices)}; two engines do not share one")
        return self
