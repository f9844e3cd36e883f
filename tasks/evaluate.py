"""Stage 5: benchmark scores with their errors, from answers of the same sampler, by the same grader as training."""

import logging
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import eval_math
from artifacts import Grade, Prompt, Ref, Rollout, Score
from eval_math import metrics
from tasks.caching import Run, stage
from tasks.settings import Decoding
from tasks.verdicts import CODE, Rule, finished_parts, graded

log = logging.getLogger(__name__)


@stage("evaluate", code=lambda _: ("tasks.evaluate", *CODE))
def evaluate(
    answers: Mapping[str, Ref[Rollout]], problems: Mapping[str, Ref[Prompt]], decodings: Sequence[Decoding], run: Run
) -> Ref[Score]:
    """Grade the answers to every benchmark and return its scores.

    `answers` has one table per `Decoding.key`, `problems` one per benchmark. Answers and grades stay in the store.
    """
    store = run.workspace.store
    scores: list[Score] = []
    kept: dict[str, dict[str, Any]] = {}
    parents: list[str] = []
    for decoding in decodings:
        rollouts, prompts = answers[decoding.key], problems[decoding.benchmark]
        results = _Results(num_problems=prompts.rows, num_samples=decoding.samples)
        with store.writer(Grade, parents=[rollouts.digest, prompts.digest], allow_empty=True) as writer:
            writer.write_many(results.collect(_judge(rollouts, prompts, decoding, run)))
        kept[decoding.key] = {"rollouts": rollouts.to_json(), "grades": writer.ref.to_json()}
        parents += [rollouts.digest, writer.ref.digest]
        scores += _scores(decoding, results)
    producer = {"decodings": [decoding.model_dump() for decoding in decodings]}
    with store.writer(Score, parents=parents, producer=producer, allow_empty=True) as writer:
        writer.write_many(scores)
        writer.summary.update({"generations": kept})
    for score in scores:
        if score.metric == "greedy" or score.metric.startswith("mean@"):
            error = f" ± {100 * score.standard_error:.1f}" if score.standard_error is not None else ""
            log.info("%s · %s %s %.1f%%%s", run.label, score.benchmark, score.metric, 100 * score.value, error)
    return writer.ref


def _policy(decoding: Decoding) -> eval_math.Policy:
    """The policy of the benchmark, with the tolerance asked for."""
    policy = eval_math.Policy.benchmark(decoding.benchmark)
    tolerance = decoding.relative_tolerance
    return policy if tolerance is None else policy.with_tolerance(tolerance)


def _judge(
    rollouts: Ref[Rollout], prompts: Ref[Prompt], decoding: Decoding, run: Run
) -> Iterator[tuple[Rollout, Grade]]:
    workers = run.machine.grade_workers
    rule = Rule(_policy(decoding))
    parts = finished_parts(rollouts, prompts, rule, run.workspace, run.workdir, workers, run.label)
    return graded(rollouts, parts, run.workspace.store)


@dataclass
class _Results:
    """Verdicts and answers by problem, of one decoding of one benchmark."""

    num_problems: int
    num_samples: int
    verdicts: dict[str, list[bool | None]] = field(default_factory=lambda: defaultdict(list))
    answers: dict[str, list[str | None]] = field(default_factory=lambda: defaultdict(list))
    tokens: int = 0
    truncated: int = 0

    def collect(self, judged: Iterator[tuple[Rollout, Grade]]) -> Iterator[Grade]:
        """Pass the grades on and keep what the metrics need."""
        for rollout, verdict in judged:
            finished = rollout.finish_reason == "stop"
            if not finished:  # an answer cut at the limit is not finished, whatever it already says
                verdict = replace(verdict, correct=False, reward=0.0, reason="TRUNCATED", answer=None)
            self.verdicts[rollout.prompt_id].append(verdict.correct)
            self.answers[rollout.prompt_id].append(verdict.answer)
            self.tokens += len(rollout.completion_ids)
            self.truncated += not finished
            yield verdict

    @property
    def too_long(self) -> int:
        """Problems that got no answer because they do not fit the context."""
        return self.num_problems - len(self.verdicts)

    def all_verdicts(self) -> list[list[bool | None]]:
        """One list per problem; a problem that was not tried counts as not solved."""
        untried: list[list[bool | None]] = [[False] * self.num_samples] * self.too_long
        # One missing verdict leaves a problem without a fair share of right answers: it is set aside whole.
        fair: list[list[bool | None]] = [
            [None for _ in found] if None in found else found for found in self.verdicts.values()
        ]
        return [*fair, *untried]

    def all_answers(self) -> list[list[str | None]]:
        """As `all_verdicts`, the extracted answers."""
        untried: list[list[str | None]] = [[None] * self.num_samples] * self.too_long
        return [*self.answers.values(), *untried]


def _scores(decoding: Decoding, results: _Results) -> Iterator[Score]:
    verdicts, n = results.all_verdicts(), results.num_samples
    mean = metrics.mean_at_n(verdicts)

    def row(metric: str, value: float, error: float = math.nan) -> Score:
        return Score(
            benchmark=decoding.benchmark,
            metric=metric,
            value=value,
            standard_error=None if math.isnan(error) else error,
            num_problems=mean.num_problems,
            num_samples=n,
        )

    suffix = "/greedy" if decoding.greedy else ""
    yield row("greedy" if decoding.greedy else f"mean@{n}", mean.value, mean.standard_error)
    ks = [] if decoding.greedy else metrics.curve_ks(n)[1:]
    passed = metrics.pass_curve(verdicts, ks)
    majority = metrics.maj_curve(results.all_answers(), verdicts, ks, policy=_policy(decoding)) if ks else {}
    for k in ks:
        yield row(f"pass@{k}", passed[k].value, passed[k].standard_error)
        yield row(f"maj@{k}", majority[k].value, majority[k].standard_error)
    answers = max(1, sum(map(len, results.verdicts.values())))
    yield row(f"mean_tokens{suffix}", results.tokens / answers)
    yield row(f"truncated{suffix}", results.truncated / answers)
    yield row(f"no_verdict{suffix}", float(mean.num_unknown))
    yield row(f"too_long{suffix}", float(results.too_long))
