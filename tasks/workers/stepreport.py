"""What a trainer says after each optimizer step."""

import math
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from tasks.workers.engine import prepare
from tasks.workers.progress import report
from tasks.workers.trainer import ObjectiveTrainer


class StepReport(TrainerCallback):
    """Appends one progress line per optimizer step; stops at `max_kl`."""

    def __init__(self, trainer: ObjectiveTrainer, progress: Path, max_kl: float | None = None) -> None:
        self._trainer, self._progress, self._max_kl = trainer, progress, max_kl
        self.stopped: str | None = None
        """Why training ended before its last step."""

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Have the engine keep the gradient's norm, which is reported."""
        prepare(self._trainer.model_wrapped)

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Start collecting the step's rows."""
        self._trainer.rows.clear()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Report loss, metrics, learning rate and gradient norm.

        Raises:
            NotFinite: the gradient is not a number; its step is never saved.
        """
        engine: Any = self._trainer.model_wrapped
        norm = float(engine.get_global_grad_norm())
        if not math.isfinite(norm):
            state.global_step -= 1  # counted already; the error names the step that has failed
            raise self._trainer.not_finite(f"the gradient's norm is {norm}", self._trainer.rows)
        metrics = self._trainer.drain()
        metrics["grad_norm"] = norm
        metrics["learning_rate"] = float(kwargs["lr_scheduler"].get_last_lr()[0])
        if self._max_kl is not None and metrics["kl/old"] > self._max_kl:  # the same number on every process
            self.stopped = f"kl/old {metrics['kl/old']:.3g} above train.max_kl after step {state.global_step}"
            control.should_training_stop = True
            control.should_save = False  # who goes on from a checkpoint would not know that it was the end
        if state.is_world_process_zero:
            report(self._progress, kind="step", step=state.global_step, total=state.max_steps, metrics=metrics)
