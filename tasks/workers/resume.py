"""Which optimizer checkpoint a training run goes on from."""

from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from tasks.workers.commitment import checkpoint_folder, checkpoints, damage, marker_of, remove, step_of
from tasks.workers.plainload import refusal


def resume_point(folder: Path, device: torch.device, **made: Any) -> Path | None:
    """The newest sound checkpoint that was made this way, the same in every process; None to start anew.

    Every process calls this; rank 0 looks, and removes what is not sound. With several nodes the folder is shared.
    """
    chosen = choose(folder, **made) if dist.get_rank() == 0 else None
    step = torch.tensor([step_of(chosen) if chosen else -1], device=device)
    dist.broadcast(step, src=0)
    return checkpoint_folder(folder, int(step)) if step >= 0 else None


def choose(folder: Path, **made: Any) -> Path | None:
    """See `resume_point`; for one process. What is removed or passed over is said in the child's log."""
    markers = {checkpoint: marker_of(checkpoint) for checkpoint in checkpoints(folder)}
    for checkpoint, marker in markers.items():
        if marker is None:
            _removed(checkpoint, "it was not finished")
    for checkpoint, marker in markers.items():
        if marker is None:
            continue
        if other := {name: marker.get(name) for name, value in made.items() if marker.get(name) != value}:
            _say(f"passing over {checkpoint}: it has {other}, expected {made}")
        elif why := damage(checkpoint, marker) or refusal(checkpoint):
            _removed(checkpoint, why)
        else:
            _say(f"resuming from {checkpoint}")
            return checkpoint
    return None


def _removed(checkpoint: Path, why: str) -> None:
    _say(f"removing {checkpoint}: {why}")
    remove(checkpoint)


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - the child's log
