"""Commits optimizer checkpoints, makes room for the next, and asks for one when the process is asked to end."""

from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from transformers import TrainerCallback

from tasks.workers.commitment import checkpoint_folder, checkpoints, commit, force, remove
from tasks.workers.preemption import Notice
from tasks.workers.progress import report


class Keeper(TrainerCallback):
    """Two checkpoints at most are on the disk; one of them is always committed, from the first commit on.

    `latest` is the checkpoint that training goes on from, if any; `made` goes into each marker.
    """

    def __init__(self, notice: Notice, progress: Path, latest: Path | None, **made: Any) -> None:
        self._notice, self._progress, self._latest, self._made = notice, progress, latest, made
        self.preempted: Path | None = None
        """The checkpoint after which training was ended because one of the processes was asked to."""

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Before the last step's end, save and stop if any process is asked to; before any saving, make room."""
        target = checkpoint_folder(Path(args.output_dir), state.global_step)
        if not control.should_training_stop and self._asked(args.device):
            control.should_save = control.should_training_stop = True
            self.preempted = target
        if control.should_save and state.is_world_process_zero:  # DeepSpeed waits for this process before it writes
            for checkpoint in checkpoints(target.parent):
                if checkpoint == target or (self._latest and checkpoint != self._latest):
                    remove(checkpoint)

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Force the files to the disk, on every node, then write the marker; nobody goes on before it is there."""
        self._latest = checkpoint_folder(Path(args.output_dir), state.global_step)
        dist.barrier()
        if args.local_process_index == 0:
            force(self._latest)
        dist.barrier()
        if state.is_world_process_zero:
            commit(self._latest, **self._made)
            report(self._progress, kind="checkpoint", step=state.global_step)
        dist.barrier()

    def _asked(self, device: torch.device) -> bool:
        """Whether any process was; the same answer in all of them."""
        asked = torch.tensor([float(self._notice.given)], device=device)
        dist.all_reduce(asked, op=dist.ReduceOp.MAX)
        return bool(asked.item())
