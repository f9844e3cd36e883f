"""One trainer for all objectives: a `transformers.Trainer` that computes what a model says of each token and no more.

The objective turns that into a loss; this class feeds it planned micro-batches, multiplies by
the number of processes (DeepSpeed averages gradients over them, the loss is already normalised over all) and
reports one line per optimizer step, averaged exactly over processes and micro-batches.
"""

import dataclasses
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, cast

import torch
import torch.distributed as dist
from torch.utils.data import Dataset, Sampler, SequentialSampler
from transformers import Trainer

from tasks.objectives import Batch, Objective
from tasks.workers import hostmemory
from tasks.workers.batches import Plan
from tasks.workers.collate import collate
from tasks.workers.failure import NotFinite
from tasks.workers.packing import padded
from tasks.workers.policy import per_token
from tasks.workers.sequences import Sequences

NAMED = 8
"""Rows that an error names."""
READ = {field.name for field in dataclasses.fields(Batch)} - {"ref_kl"}
"""Columns that a loss may read. The others served their purpose before the first step; `ref_kl` is made here."""
KINDS = {"pairs": ("chosen", "rejected"), "accepted": ("accepted",), "groups": ("right", "wrong")}
"""Kinds of answers by kind of row: right (or chosen) ones, then the others."""


class MicroBatches(Dataset[dict[str, Any]]):
    """Item i is the i-th micro-batch of the plan."""

    def __init__(self, plan: Plan, sequences: Sequences) -> None:
        self._plan, self.sequences = plan, sequences

    def __len__(self) -> int:
        return len(self._plan.micro_batches)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return collate(self.sequences, self._plan.micro_batches[index])


class ObjectiveTrainer(Trainer):
    """Minimise an objective over planned micro-batches; `reference` is the frozen policy of a `ref_kl`, else None."""

    def __init__(self, *, objective: Objective, reference: Any = None, **kwargs: Any) -> None:
        super().__init__(data_collator=lambda items: items[0], **kwargs)
        self.objective, self.reference = objective, reference
        self.loss_is_scaled_for_ga = True
        self.sums: dict[str, tuple[float, float]] = defaultdict(lambda: (0.0, 0.0))
        """Metric -> (sum, count) of the current optimizer step on this process."""
        self.largest: dict[str, float] = {}
        """Metrics of which the largest counts, of the current optimizer step on this process."""
        self.rows: list[int] = []
        """Rows of the current optimizer step on this process."""

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler[int]:
        return SequentialSampler(train_dataset if train_dataset is not None else self.train_dataset)  # type: ignore[arg-type]

    def compute_loss(self, model: Any, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> torch.Tensor:
        """Return this micro-batch's share of the step's loss, times the number of processes."""
        mask_NT, weights_N = inputs["mask"], inputs["weights"]
        self.rows += inputs["rows"]
        trains = self.objective.trains
        found_M, kl_M = per_token(model, trains, inputs["packed"].to(mask_NT.device), self.reference)
        found_NT = padded(found_M, mask_NT)
        loss = self.objective.loss(self._batch(found_NT, inputs, kl_M))
        if not torch.isfinite(loss.value):
            raise self.not_finite(f"the loss is {loss.value.item()}", inputs["rows"])
        self._add("loss", loss.value.detach().item(), 0.0)
        weight = float(weights_N[0])
        for name, values in loss.metrics.items():
            if name.endswith("/max"):
                self._keep_largest(name, values, weight)
            else:
                self._add(name, weight * values.sum().item(), weight * values.numel())
        self._measure_coefficients(loss.value, found_NT, inputs)
        if trains == "policy":
            self._measure_gap(found_NT.detach(), inputs["sampler_logprobs"], mask_NT * weights_N[:, None])
        if mask_NT.device.type == "cpu":
            hostmemory.trim()
        return loss.value * self.args.world_size

    def save_model(self, *args: Any, **kwargs: Any) -> None:
        """Nothing: DeepSpeed's own files are all it takes to go on from a checkpoint; `saving` writes the result."""

    def not_finite(self, what: str, rows: Sequence[int]) -> NotFinite:
        """The error of this step, naming the rows in the user's words."""
        sequences = cast("MicroBatches", self.train_dataset).sequences
        names = [sequences.name(row) for row in sorted(set(rows))]
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        return NotFinite(
            f"{what} in step {self.state.global_step + 1}, rows {', '.join(names[:NAMED])}{more}",
            "lower train.learning_rate or use train.dtype=float32",
        )

    def _batch(self, found_NT: torch.Tensor, inputs: dict[str, Any], kl_M: torch.Tensor | None = None) -> Batch:
        """What the objective sees: the columns it asked for, and no others."""
        columns: Any = {name: inputs[name] for name in self.objective.columns if name in READ}
        if kl_M is not None:
            columns["ref_kl"] = padded(kl_M, inputs["mask"])
        counts = {name: inputs[name] for name in ("num_items", "num_sequences", "num_tokens", "num_chosen_tokens")}
        groups = inputs["groups"] if self.objective.rows == "groups" else None
        policy = self.objective.trains == "policy"
        return Batch(
            logprobs=found_NT if policy else torch.zeros_like(found_NT),
            predicted=None if policy else found_NT,
            mask=inputs["mask"],
            weights=inputs["weights"],
            groups=groups,
            **counts,
            **columns,
        )

    def _measure_coefficients(self, value: torch.Tensor, found_NT: torch.Tensor, inputs: dict[str, Any]) -> None:
        """dLoss/dlogprob (of a critic, dLoss/dvalue) per token, by kind of answer: what is really asked of them.

        It goes back to the log-probabilities and no further, so it costs nothing beside the model's backward pass.
        """
        (slope_NT,) = torch.autograd.grad(value, found_NT, retain_graph=True)
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
