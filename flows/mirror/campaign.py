"""What of a campaign goes to MLflow, and under which names.

parent run   parameters; by iteration eval/<benchmark>/<metric>, eval_se/ (standard errors), sample/ grade/ pair/ counts
             and progress/<tokens, steps>; train/<metric> by optimizer step over all iterations; tables and plots;
             commit, packages, machine and resolved config (`origin`); train_critic/<metric> of an iteration's last step
             (so named that what all algorithms have, eval/ first, comes before it in MLflow's tables)
child run    the same numbers of one iteration; train/<metric> and train_critic/<metric> by steps; data sets; the
             checkpoint
both         system/<load> by seconds since the run began

What is reported elsewhere (`reporters`) has the parent's names and steps.
"""

import hashlib
import json
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from artifacts import Checkpoint, Ref, Score
from flows.mirror import reporters
from flows.mirror.amounts import Amounts, Ledger, amounts_of
from flows.mirror.origin import describe
from flows.mirror.parameters import campaign_key, flat_parameters
from flows.mirror.points import Live, Points, curve, prefixed, shifted
from flows.steps import Steps
from tasks.caching import is_unseen
from tasks.tracking import SENT, Tracker, without_credentials
from tasks.workspace import Workspace

log = logging.getLogger(__name__)

FILES = "odr.files"
"""Tag: which files the run was given at its end."""


@cache
def _tracker(workspace: Workspace) -> Tracker:
    return Tracker(workspace)


class Mirror:
    """Sends one campaign's numbers; sending twice changes nothing, and what is there whole costs one question."""

    def __init__(self, steps: Steps, tracker: Tracker) -> None:
        self._steps, self._tracker = steps, tracker
        self._key = campaign_key(steps.config)
        place = steps.run.workspace.root / "reported"
        self._ledger = Ledger(place / f"{self._key}.json")
        self._reporters = reporters.chosen(place, self._key, steps.config.name)

    @classmethod
    def of(cls, steps: Steps) -> "Mirror":
        """The mirror of this process.

        Raises:
            ValueError: a reporter is asked for that is unknown or not installed.
        """
        reporters.asked()  # before a database is made
        return cls(steps, _tracker(steps.run.workspace))

    def open(self) -> str | None:
        """Find or make the parent run."""
        return self._parent

    @contextmanager
    def iteration(self, number: int) -> Iterator[Callable[[int, dict[str, float]], None]]:
        """An iteration's run; gives what sends training metrics as they come. A failure is marked and raised on."""
        run_id, before = self._child(number), self._ledger.before(number)

        def send(points: Points) -> None:
            self._tracker.curve(run_id, points)
            if before is not None:
                self._to_campaign("train", shifted(points, before.steps))

        live = Live(send)
        try:
            yield live.follow
        except BaseException as error:
            live.flush()
            self._tracker.end(run_id, ending(error))
            raise
        live.flush()
        self._tracker.end(run_id, "FINISHED")

    def base(self, policy: Checkpoint, scores: Ref[Score]) -> None:
        """The policy before the first iteration: step 0 of every benchmark."""
        parent, sent = self.open(), self._digest(policy.digest, scores.digest)
        whole = self._tracker.has(parent, SENT, sent)
        if whole and not self._reporters:
            return
        self._to_campaign("iteration", [(0, {**self._scores(scores), **_progress(Amounts())})], whole=whole)
        self._to_campaign("warmup", curve("warmup", policy), whole=whole)
        self._tracker.tag(parent, {SENT: sent})

    def finish(
        self,
        number: int,
        prompts: Ref[Any],
        rollouts: Ref[Any],
        grades: Ref[Any],
        rows: Ref[Any],
        policy: Checkpoint,
        scores: Ref[Score],
        critic: Checkpoint | None = None,
    ) -> None:
        """Send everything of a finished iteration that is not there yet."""
        run_id, parent = self._child(number), self.open()
        tables = {"sample": rollouts, "grade": grades, "pair": rows}
        refs = [prompts, *tables.values(), policy, scores, *([critic] if critic else [])]
        sent = self._digest(parent, *(ref.digest for ref in refs))
        whole = self._tracker.has(run_id, SENT, sent)
        amounts = self._amounts(number, grades, rows, policy)
        before = self._ledger.before(number)
        if self._has_other(run_id, number, policy) or (whole and not self._reporters):
            return
        steps, judged = curve("train", policy), curve("train_critic", critic) if critic else []
        numbers = {**self._counts(tables), **self._scores(scores)}
        total = {} if before is None else _progress(before + amounts)
        last = judged[-1][1] if judged else {}
        self._to_campaign("iteration", [(number, {**numbers, **total, **last})], whole=whole)
        if before is not None:
            self._to_campaign("train", shifted(steps, before.steps), whole=whole)
        if whole:
            return
        self._tracker.curve(run_id, [*steps, *judged])
        self._tracker.metrics(run_id, number, {**numbers, **_progress(amounts)})
        for name, ref, context in (("prompts", prompts, "sampling"), (rows.kind, rows, "training")):
            self._tracker.dataset(run_id, name, ref.digest, ref.rows, context)
        label = f"{self._steps.config.name}-iteration-{number}"
        self._tracker.checkpoint(run_id, label.replace(".", "-"), policy.path, policy.digest)
        if before is not None:  # else the campaign's next run passes the iterations before this one, and sends the rest
            self._tracker.tag(run_id, {SENT: sent})

    def passed_over(self, numbers: Iterable[int]) -> None:
        """Iterations that were given up: those behind them go on counting as if nothing was done in these."""
        for number in numbers:
            if self._ledger.of(number, "") is None:
                self._ledger.note(number, "", Amounts())

    def evaluation(self, policy: Checkpoint, scores: Ref[Score]) -> None:
        """A run of its own for a model that was evaluated outside a campaign."""
        config = self._steps.config
        tags = {"kind": "evaluation", "odr.checkpoint": policy.digest}
        run_id = self._tracker.run(
            f"{self._key}-{policy.digest[:16]}", config.model, flat_parameters(config), tags, None
        )
        sent = self._digest(scores.digest)
        if not self._tracker.has(run_id, SENT, sent):
            describe(self._tracker, run_id, config, at_work=True)
            self._tracker.metrics(run_id, 0, self._scores(scores))
            self._tracker.tag(run_id, {SENT: sent})
        self._tracker.end(run_id, "FINISHED")

    def address(self, number: int) -> str | None:
        """Where a person finds an iteration's run; None without a tracking server."""
        run_id, experiment, uri = self._child(number), self._tracker.experiment(), self._tracker.uri
        if not (run_id and experiment and uri.startswith("http")):
            return None
        return f"{without_credentials(uri).rstrip('/')}/#/experiments/{experiment}/runs/{run_id}"

    def attach(self, paths: list[Path]) -> None:
        """Put files beside the parent run; ones that only say that everything was cached replace none."""
        names = ", ".join(path.name for path in paths)
        if is_unseen() and self._tracker.has(self.open(), FILES, names):
            return
        if all([self._tracker.file(self.open(), str(path)) for path in paths]):
            self._tracker.tag(self.open(), {FILES: names})

    def close(self, status: str) -> None:
        """End the parent run."""
        self._tracker.end(self.open(), status)
        for reporter in self._reporters:
            reporter.end(status)

    @cached_property
    def _parent(self) -> str | None:
        config = self._steps.config
        params = flat_parameters(config)
        tags = {"kind": "campaign", "objective": config.objective["name"], "campaign": config.name}
        run_id = self._tracker.run(self._key, config.name, params, tags, None, at_work=not is_unseen())
        describe(self._tracker, run_id, config, at_work=not is_unseen())
        for reporter in self._reporters:
            reporter.describe(params)
        return run_id

    def _child(self, number: int) -> str | None:
        config = self._steps.config
        tags = {"kind": "iteration", "iteration": str(number), "campaign": config.name}
        tags |= {"objective": config.objective["name"]}
        name = f"{config.name} · iteration {number}"
        params = {"iteration": number}
        return self._tracker.run(f"{self._key}/{number}", name, params, tags, self.open(), at_work=not is_unseen())

    def _to_campaign(self, axis: str, points: Points, *, whole: bool = False) -> None:
        """To the parent run, unless it has the `whole` of it, and to every other reporter."""
        if not whole:
            self._tracker.curve(self.open(), points)
        for reporter in self._reporters:
            reporter.points(axis, points)

    def _amounts(self, number: int, grades: Ref[Any], rows: Ref[Any], policy: Checkpoint) -> Amounts:
        """Counted once; later iterations need them."""
        found = self._ledger.of(number, policy.digest)
        if found is None:
            found = amounts_of(self._steps.run.workspace.store, grades, rows, policy)
            self._ledger.note(number, policy.digest, found)
        return found

    def _has_other(self, run_id: str | None, number: int, policy: Checkpoint) -> bool:
        """Whether MLflow has this iteration of other code: what is there cannot be replaced, and no mixture is sent."""
        tag = "odr.checkpoint"
        other = self._tracker.has(run_id, tag) and not self._tracker.has(run_id, tag, policy.digest)
        if other:
            log.warning(
                "MLflow shows an earlier result of %s, iteration %d, than the one that is here now; delete the "
                "campaign's runs there, and the next run of this config sends everything",
                self._steps.config.name, number,
            )  # fmt: skip
        return other

    def _counts(self, tables: Mapping[str, Ref[Any]]) -> dict[str, float]:
        store, found = self._steps.run.workspace.store, dict[str, float]()
        for name, ref in tables.items():
            summary = {"rows": ref.rows, **store.manifest(ref).summary}
            found |= prefixed(name, {key: value for key, value in summary.items() if isinstance(value, int | float)})
        return found

    def _scores(self, scores: Ref[Score]) -> dict[str, float]:
        found: dict[str, float] = {}
        for row in self._steps.run.workspace.store.read(scores, Score):
            found[f"eval/{row.benchmark}/{row.metric}"] = row.value
            if row.standard_error is not None:
                found[f"eval_se/{row.benchmark}/{row.metric}"] = row.standard_error
        return found

    def _digest(self, *parts: str | None) -> str:
        """Of what is sent and of the code that names it: other names are sent beside the old ones."""
        return hashlib.sha256(json.dumps([_code(), *parts]).encode()).hexdigest()


def ending(error: BaseException) -> str:
    """MLflow's status of a run that this has ended: a signal, Ctrl-C or a wish to cancel is no failure."""
    return "FAILED" if isinstance(error, Exception) else "KILLED"


@cache
def _code() -> str:
    return hashlib.sha256(Path(__file__).read_bytes()).hexdigest()


def _progress(amounts: Amounts) -> dict[str, float]:
    return prefixed("progress", asdict(amounts))
