"""What of a campaign goes to MLflow, and under which names.

parent run   parameters, eval/<benchmark>/<metric> by iteration, tables and plots
child run    train/<metric> by optimizer step, sample/ grade/ pair/ counts, data sets, the checkpoint
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any

from artifacts import Checkpoint, Ref, Score
from flows.config import RunConfig
from flows.steps import Steps
from tasks.tracking import Tracker
from tasks.train import curve_of
from tasks.workspace import Workspace


@cache
def _tracker(workspace: Workspace) -> Tracker:
    return Tracker(workspace)


class Mirror:
    """Sends one campaign's numbers; sending twice changes nothing."""

    def __init__(self, steps: Steps, tracker: Tracker) -> None:
        self._steps, self._tracker = steps, tracker
        self._key = campaign_key(steps.config)

    @classmethod
    def of(cls, steps: Steps) -> "Mirror":
        """The mirror of this process."""
        return cls(steps, _tracker(steps.run.workspace))

    def open(self) -> str | None:
        """Find or make the parent run."""
        config = self._steps.config
        tags = {"kind": "campaign", "objective": config.objective["name"], "campaign": config.name}
        return self._tracker.run(self._key, config.name, flat_parameters(config), tags, None)

    @contextmanager
    def iteration(self, number: int) -> Iterator[Callable[[int, dict[str, float]], None]]:
        """An iteration's run; gives what sends training metrics as they come. A failure is marked and raised on."""
        run_id = self._child(number)

        def follow(step: int, metrics: dict[str, float]) -> None:
            self._tracker.metrics(run_id, step, _prefixed("train", metrics))

        try:
            yield follow
        except BaseException:
            self._tracker.end(run_id, "FAILED")
            raise
        self._tracker.end(run_id, "FINISHED")

    def base(self, policy: Checkpoint, scores: Ref[Score]) -> None:
        """The policy before the first iteration: step 0 of every benchmark."""
        parent = self.open()
        self._tracker.metrics(parent, 0, self._scores(scores))
        self._tracker.curve(parent, [(int(p.pop("step")), _prefixed("warmup", p)) for p in curve_of(policy)])

    def finish(
        self,
        number: int,
        prompts: Ref[Any],
        rollouts: Ref[Any],
        grades: Ref[Any],
        rows: Ref[Any],
        policy: Checkpoint,
        scores: Ref[Score],
    ) -> None:
        """Send everything of a finished iteration that is not there yet."""
        run_id, parent = self._child(number), self.open()
        store = self._steps.run.workspace.store
        for name, ref in {"sample": rollouts, "grade": grades, "pair": rows}.items():
            summary = {"rows": ref.rows, **store.manifest(ref).summary}
            numbers = {key: value for key, value in summary.items() if isinstance(value, int | float)}
            self._tracker.metrics(run_id, number, _prefixed(name, numbers))
        self._tracker.curve(run_id, [(int(p.pop("step")), _prefixed("train", p)) for p in curve_of(policy)])
        evaluation = self._scores(scores)
        self._tracker.metrics(run_id, number, evaluation)
        self._tracker.metrics(parent, number, evaluation)
        for name, ref, context in (("prompts", prompts, "sampling"), (rows.kind, rows, "training")):
            self._tracker.dataset(run_id, name, ref.digest, ref.rows, context)
        label = f"{self._steps.config.name}-iteration-{number}"
        self._tracker.checkpoint(run_id, label.replace(".", "-"), policy.path, policy.digest)

    def evaluation(self, policy: Checkpoint, scores: Ref[Score]) -> None:
        """A run of its own for a model that was evaluated outside a campaign."""
        config = self._steps.config
        tags = {"kind": "evaluation", "odr.checkpoint": policy.digest}
        run_id = self._tracker.run(
            f"{self._key}-{policy.digest[:16]}", config.model, flat_parameters(config), tags, None
        )
        self._tracker.metrics(run_id, 0, self._scores(scores))
        self._tracker.end(run_id, "FINISHED")

    def attach(self, path: str) -> None:
        """Put a file beside the parent run."""
        self._tracker.file(self.open(), path)

    def close(self, status: str) -> None:
        """End the parent run."""
        self._tracker.end(self.open(), status)

    def _child(self, number: int) -> str | None:
        config = self._steps.config
        tags = {"kind": "iteration", "iteration": str(number), "campaign": config.name}
        name = f"{config.name} · iteration {number}"
        return self._tracker.run(f"{self._key}/{number}", name, {"iteration": number}, tags, self.open())

    def _scores(self, scores: Ref[Score]) -> dict[str, float]:
        rows = self._steps.run.workspace.store.read(scores, Score)
        return {f"eval/{row.benchmark}/{row.metric}": row.value for row in rows}


def campaign_key(config: RunConfig) -> str:
    """Names the parent run: the same recipe goes on in the same run, also with more iterations or other machines."""
    recipe = config.model_dump(mode="json", exclude={"iterations", "machine"})
    return f"{config.name}-{hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()[:16]}"


def flat_parameters(config: RunConfig) -> dict[str, Any]:
    """Dotted names, so that MLflow can search and compare them."""
    flat: dict[str, Any] = {}

    def walk(prefix: str, value: Any) -> None:
        if isinstance(value, dict):
            for name, item in value.items():
                walk(f"{prefix}.{name}" if prefix else name, item)
        else:
            flat[prefix] = value

    # Parameters of a run cannot change; these two may.
    walk("", config.model_dump(mode="json", exclude={"iterations", "machine"}))
    return flat


def _prefixed(prefix: str, values: Mapping[str, float]) -> dict[str, float]:
    return {f"{prefix}/{name.replace(':', '').replace(' ', '_')}": float(value) for name, value in values.items()}
