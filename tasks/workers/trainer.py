"""One trainer for all objectives: a `transformers.Trainer` that computes log-probabilities and nothing else.

The objective turns log-probabilities into a loss; this class feeds it planned micro-batches, multiplies by
the number of processes (DeepSpeed averages gradients over them, the loss is already normalised over all) and
reports one line per optimizer step, averaged exactly over processes and micro-batches.
"""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch.utils.data import Dataset, Sampler, SequentialSampler
from transformers import Trainer, TrainerCallback

from tasks.objectives import Batch, Objective
from tasks.workers.batches import Plan, collate
from tasks.workers.failure import NotFinite
from tasks.workers.policy import token_logprobs
from tasks.workers.progress import report
from tasks.workers.sequences import Sequences

COMMITTED = "odr-committed.json"
KINDS = {"pairs": ("chosen", "rejected"), "accepted": ("accepted",), "groups": ("right", "wrong")}
"""Kinds of answers by kind of row: right (or chosen) ones, then the others."""


class MicroBatches(Dataset[dict[str, Any]]):
    """Item i is the i-th micro-batch of the plan."""

    def __init__(
        self,
        plan: Plan,
        sequences: Sequences,
        reference: list[Any] | None,
        pad_id: int,
        old: list[Any] | None = None,
    ) -> None:
        self._plan, self._sequences, self._reference, self._pad_id = plan, sequences, reference, pad_id
        self._old = old

    def __len__(self) -> int:
        return len(self._plan.micro_batches)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return collate(self._sequences, self._plan.micro_batches[index], self._reference, self._pad_id, self._old)


class ObjectiveTrainer(Trainer):
    """Minimise an objective over planned micro-batches."""

    def __init__(self, *, objective: Objective, **kwargs: Any) -> None:
        super().__init__(data_collator=lambda items: items[0], **kwargs)
        self.objective = objective
        self.loss_is_scaled_for_ga = True
        self.sums: dict[str, tuple[float, float]] = defaultdict(lambda: (0.0, 0.0))
        """Metric -> (sum, count) of the current optimizer step on this process."""
        self.largest: dict[str, float] = {}
        """Metrics of which the largest counts, of the current optimizer step on this process."""

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler[int]:
        return SequentialSampler(train_dataset if train_dataset is not None else self.train_dataset)  # type: ignore[arg-type]

    def compute_loss(self, model: Any, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> torch.Tensor:
        """Return this micro-batch's share of the step's loss, times the number of processes."""
        mask_NT, weights_N = inputs["mask"], inputs["weights"]
        logprobs_NT = token_logprobs(model, inputs["input_ids"], inputs["attention_mask"], mask_NT.shape[1])
        logprobs_NT = logprobs_NT * mask_NT
        batch = self._batch(logprobs_NT, inputs)
        loss = self.objective.loss(batch)
        if not torch.isfinite(loss.value):
            raise NotFinite(
                f"the loss is {loss.value.item()} in step {self.state.global_step + 1}, rows {list(inputs['rows'])}",
                "lower train.learning_rate or use train.dtype=float32",
            )
        self._add("loss", loss.value.detach().item(), 0.0)
        weight = float(weights_N[0])
        for name, values in loss.metrics.items():
            if name.endswith("/max"):
                self._keep_largest(name, values, weight)
            else:
                self._add(name, weight * values.sum().item(), weight * values.numel())
        self._measure_coefficients(loss.value, logprobs_NT, inputs)
        self._measure_gap(logprobs_NT.detach(), inputs["sampler_logprobs"], mask_NT * weights_N[:, None])
        return loss.value * self.args.world_size

    def _batch(self, logprobs_NT: torch.Tensor, inputs: dict[str, Any]) -> Batch:
        """What the objective sees: the columns it asked for, and no others."""
        columns: Any = {name: inputs[name] for name in self.objective.columns}
        counts = {name: inputs[name] for name in ("num_items", "num_sequences", "num_tokens", "num_chosen_tokens")}
        groups = inputs["groups"] if self.objective.rows == "groups" else None
        return Batch(
            logprobs=logprobs_NT, mask=inputs["mask"], weights=inputs["weights"], groups=groups, **counts, **columns
        )

    def _measure_coefficients(self, value: torch.Tensor, logprobs_NT: torch.Tensor, inputs: dict[str, Any]) -> None:
        """dLoss/dlogprob per token, by kind of answer: what the objective really asks of them.

        It goes back to the log-probabilities and no further, so it costs nothing beside the model's backward pass.
        """
        (slope_NT,) = torch.autograd.grad(value, logprobs_NT, retain_graph=True)
        counted_NT = inputs["mask"] * inputs["weights"][:, None]
        for name, kind_N in zip(KINDS[self.objective.rows], (inputs["right"], ~inputs["right"]), strict=False):
            of_kind_NT = counted_NT * kind_N[:, None]
            self._add(f"coef/{name}", (slope_NT * of_kind_NT).sum().item(), of_kind_NT.sum().item())

    def _measure_gap(self, logprobs_NT: torch.Tensor, sampler_NT: torch.Tensor, mask_NT: torch.Tensor) -> None:
        """Sampler against trainer on the same tokens: before the first update both are the same policy."""
        if self.state.global_step == 0 and sampler_NT.any():
            gap_NT = (logprobs_NT - sampler_NT).abs() * mask_NT
            self._add("sampler_gap_mean", gap_NT.sum().item(), mask_NT.sum().item())
            self._keep_largest("sampler_gap_max", gap_NT)

    def _keep_largest(self, name: str, values: torch.Tensor, weight: float = 1.0) -> None:
        top = values.max().item() if weight else -torch.inf  # a filler has the name, as all processes must
        self.largest[name] = max(self.largest.get(name, -torch.inf), top)

    def _add(self, name: str, total: float, count: float) -> None:
        old = self.sums[name]
        self.sums[name] = (old[0] + total, old[1] + count)

    def drain(self) -> dict[str, float]:
        """Return the step's averages over all processes and start the next step."""
        names, tops = sorted(self.sums), sorted(self.largest)
        totals = torch.tensor([self.sums[name] for name in names], dtype=torch.float64, device=self.args.device)
        largest = torch.tensor([self.largest[name] for name in tops], dtype=torch.float64, device=self.args.device)
        if dist.is_initialized() and dist.get_world_size() > 1:
            dist.all_reduce(totals)
            dist.all_reduce(largest, op=dist.ReduceOp.MAX)
        self.sums.clear()
        self.largest.clear()
        # A count of 0 marks the loss, which is already normalised over the step, or a kind of answer it does not hold.
        sums = dict(zip(names, totals.tolist(), strict=True))
        metrics = {name: s / n if n else s for name, (s, n) in sums.items() if n or name == "loss"}
        return metrics | dict(zip(tops, largest.tolist(), strict=True))


class StepReport(TrainerCallback):
    """Appends one progress line per optimizer step; marks checkpoints that are complete; stops at `max_kl`."""

    def __init__(self, trainer: ObjectiveTrainer, progress: Path, max_kl: float | None = None) -> None:
        self._trainer, self._progress, self._max_kl = trainer, progress, max_kl
        self.stopped: str | None = None
        """Why training ended before its last step."""

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Report loss, metrics, learning rate and gradient norm."""
        metrics = self._trainer.drain()
        engine: Any = self._trainer.model_wrapped
        norm = engine.get_global_grad_norm() if hasattr(engine, "get_global_grad_norm") else None
        if norm is not None:
            metrics["grad_norm"] = float(norm)
        metrics["learning_rate"] = float(kwargs["lr_scheduler"].get_last_lr()[0])
        if self._max_kl is not None and metrics["kl/old"] > self._max_kl:  # the same number on every process
            self.stopped = f"kl/old {metrics['kl/old']:.3g} above train.max_kl after step {state.global_step}"
            control.should_training_stop = True
        if state.is_world_process_zero:
            report(self._progress, kind="step", step=state.global_step, total=state.max_steps, metrics=metrics)

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Write the marker without which a checkpoint is not used."""
        if dist.is_initialized():
            dist.barrier()
        if state.is_world_process_zero:
            folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
            report(folder / COMMITTED, step=state.global_step, processes=args.world_size)
            report(self._progress, kind="checkpoint", step=state.global_step)


def committed_checkpoints(folder: Path) -> Iterator[Path]:
    """Complete checkpoints of a run, newest first."""
    found = [path.parent for path in folder.glob(f"checkpoint-*/{COMMITTED}")]
    yield from sorted(found, key=lambda path: int(path.name.rsplit("-", 1)[1]), reverse=True)
