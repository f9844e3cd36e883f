"""What a run would do, stage by stage, without starting anything."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from artifacts import ArtifactError, Checkpoint
from flows.steps import Steps
from tasks import devices, records
from tasks.caching import Stage
from tasks.demonstrate import demonstrate
from tasks.evaluate import evaluate
from tasks.grade import grade
from tasks.models import ModelMissing
from tasks.pair import pair
from tasks.prompts import BadSource
from tasks.reward import reward
from tasks.sample import sample
from tasks.score import score
from tasks.settings import Training
from tasks.train import train


@dataclass(frozen=True)
class Line:
    """One stage of the plan."""

    label: str
    stage: str
    status: str
    """`cached`, `run`, `there`, `missing`, or `later`: not in this command."""
    why: str
    size: str = ""


class Planner:
    """Walks the campaign as the flow would, with `None` for what is not there yet."""

    def __init__(self, steps: Steps) -> None:
        self.steps = steps
        self.lines: list[Line] = []
        self._problems: dict[str, Any] = {}
        self._critic: Checkpoint | None = None

    def walk(self) -> list[Line]:
        """Plan the warm-up, the base evaluation and all iterations."""
        config = self.steps.config
        policy = self._model()
        for bench in config.evaluate.benchmarks:
            self._problems[bench.name] = self._table("base", lambda bench=bench: self.steps.benchmark(bench))
        if config.warmup:
            policy = self._warm_up(policy)
        initial = policy
        self._evaluation("base", policy)
        for number in range(1, config.iterations + 1):
            policy = self._iteration(number, policy, initial)
        return self.lines

    def _model(self) -> Checkpoint | None:
        try:
            model = self.steps.base_model(download=False)
        except (ModelMissing, ArtifactError) as error:
            self.lines.append(Line("base", "model", "missing", str(error)))
            return None
        self.lines.append(Line("base", "model", "there", model.path, f"{model.bytes / 2**20:,.1f} MiB"))
        return model

    def _warm_up(self, model: Checkpoint | None) -> Checkpoint | None:
        warmup = self.steps.config.warmup
        assert warmup is not None
        table = self._table("warm-up", self.steps.demonstrations)
        rows = self._stage("warm-up", demonstrate, self.steps.demonstrate, model, table)
        size = self._training_size(table.rows if table else None, warmup.train)
        return self._stage("warm-up", train, self.steps.warm_up, model, rows, size=size)

    def _iteration(self, number: int, policy: Checkpoint | None, initial: Checkpoint | None) -> Checkpoint | None:
        steps, label = self.steps, f"iteration {number}"
        table = self._table(label, lambda: steps.prompts(number))
        count = table.rows if table else self.steps.config.prompts.per_iteration
        answers = count * steps.config.sample.samples_per_prompt if count else None
        size = f"{count or '?'} prompts x {steps.config.sample.samples_per_prompt} = {answers or '?'} answers"
        rollouts = self._stage(label, sample, lambda *a: steps.sample(number, *a), policy, table, size=size)
        grades = self._stage(label, grade, lambda *a: steps.grade(number, *a), rollouts, table)
        if steps.config.reward_model:
            scored = self._stage(f"{label} · reward model", score, lambda r: steps.judge(number, r), rollouts)
            grades = self._stage(label, reward, lambda *a: steps.reward(number, *a), grades, scored)
        rows = self._stage(label, pair, lambda *a: steps.pair(number, *a), rollouts, grades, policy)
        trained = self._training(number, policy, rows, initial, self._rows_size(rows, count))
        self._evaluation(label, trained)
        return trained

    def _training(
        self, number: int, policy: Checkpoint | None, rows: Any, initial: Checkpoint | None, size: str
    ) -> Checkpoint | None:
        """What frozen models say of the rows, the policy trained on them, and its critic."""
        steps, label = self.steps, f"iteration {number}"
        critic = policy if number == 1 else self._critic
        scorers = steps.scorers(policy, initial, critic)
        scores = [
            self._stage(f"{label} · {column}", score, lambda m, r, c=column: steps.score(number, c, m, r), model, rows)
            for column, model in scorers.items()
        ]

        def scored(refs: tuple[Any, ...]) -> dict[str, Any]:
            return dict(zip(scorers, refs, strict=True))

        inputs = (policy, rows, initial, *scores)
        trained = self._stage(
            label, train, lambda p, r, i, *s: steps.train(number, p, r, i, scored(s)), *inputs, size=size
        )
        if steps.critic_objective():
            self._critic = self._stage(
                f"{label} · critic",
                train,
                lambda v, r, i, *s: steps.train_critic(number, v, r, steps.reference(policy, i), scored(s)),
                *(critic, rows, initial, *scores),
            )
        return trained

    def _rows_size(self, rows: Any, num_prompts: int | None) -> str:
        """Of training: pairs and answers are counted when they are made, groups are at most one per prompt."""
        config = self.steps.config
        kind, pairing = config.loaded_objective().rows, config.pair
        if kind == "groups":
            return self._training_size(num_prompts, config.train, what="groups")
        accepted = pairing.accepted_per_prompt or config.sample.samples_per_prompt
        per_prompt = pairing.pairs_per_prompt if kind == "pairs" else accepted
        most = rows.rows if rows else num_prompts * per_prompt if num_prompts else None
        return self._training_size(most, config.train, exact=rows is not None)

    def _evaluation(self, label: str, policy: Checkpoint | None) -> None:
        steps = self.steps
        answers: dict[str, Any] = {}
        for decoding, sampling in steps.config.evaluate.decodings(steps.config.sample):
            table = self._problems[decoding.benchmark]
            answers[decoding.key] = self._stage(
                f"{label} · {decoding.key}",
                sample,
                lambda p, t, d=decoding, s=sampling: steps.benchmark_sample(label, p, t, d, s),
                policy,
                table,
                size=f"{table.rows * sampling.samples_per_prompt:,} answers" if table else "",
            )
        if answers:
            self._stage(label, evaluate, lambda *_: steps.evaluate(label, answers), *answers.values())

    def _table(self, label: str, load: Any) -> Any:
        try:
            return load()
        except BadSource as error:
            self.lines.append(Line(label, "data", "missing", str(error)))
            return None

    def _stage(self, label: str, stage: Stage, arguments: Any, *inputs: Any, size: str = "") -> Any:
        if any(item is None for item in inputs):
            self.lines.append(Line(label, stage.name, "run", "its inputs are not made yet", size))
            return None
        bound = arguments(*inputs)
        result = stage.cached(**bound)
        if result is not None:
            self.lines.append(Line(label, stage.name, "cached", "", size))
            return result
        self.lines.append(Line(label, stage.name, "run", self._why(label, stage, bound), size))
        return None

    def _why(self, label: str, stage: Stage, arguments: dict[str, Any]) -> str:
        """Which fields of the key differ from those of the last finished run of this stage."""
        run = arguments["run"]
        if run.anew(stage.name):
            return "refresh was asked for"
        path = run.workspace.key_record(run.campaign, f"{label} {stage.name}")
        if not path.exists():
            return "never run"
        old, new = records.read(path).fields, stage.key(**arguments).fields
        changed = list(_differences("", old, new))
        return "changed: " + "; ".join(changed[:4]) if changed else "its result is gone or altered"

    def _training_size(self, rows: int | None, training: Training, *, exact: bool = False, what: str = "rows") -> str:
        if rows is None:
            return f"steps of {training.batch_size} {what}"
        if what == "groups":  # their answers are dealt into forward passes, and how many there are is not known yet
            steps = -(-rows // training.batch_size) * training.epochs
            return f"at most {rows:,} groups, {steps:,} steps of {training.batch_size}"
        steps = -(-rows // training.batch_size) * training.epochs
        machine = self.steps.config.machine
        try:
            processes = devices.train_processes(machine)
        except ValueError as error:
            return str(error)
        return (
            f"{'' if exact else 'at most '}{rows:,} rows, {steps:,} steps of {training.batch_size} on {processes} x "
            f"{machine.micro_tokens:,} tokens"
        )


def _differences(place: str, old: Any, new: Any) -> Iterator[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        for name in sorted({*old, *new}):
            yield from _differences(f"{place}.{name}" if place else name, old.get(name), new.get(name))
    elif old != new:
        yield f"{place} {_brief(old)} -> {_brief(new)}"


def _brief(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 20 else f"{text[:17]}..."


def hardware(steps: Steps) -> str:
    """One line about where the work would run."""
    machine = steps.config.machine
    try:
        gpus = devices.gpus(machine)
        engines = len(devices.engine_environments(machine))
    except ValueError as error:
        return f"devices: {error}"
    where = f"GPUs {', '.join(map(str, gpus))}" if gpus else "the CPU (no GPU found)"
    processes = devices.train_processes(machine)
    return f"runs on {where}: {engines} sampling engine(s), {processes} training process(es), {machine.deepspeed.stem}"
