"""Stage 5: benchmark scores of a policy, with the same sampler and grader as training, and their errors."""

import logging
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import eval_math
from artifacts import Checkpoint, Grade, Prompt, Ref, Rollout, Score
from eval_math import metrics, rewards
from tasks.caching import Run, stage
from tasks.generate import Wanted, collect, generate
from tasks.settings import Benchmark, Evaluation, Sampling, Template
from tasks.verdicts import graded

log = logging.getLogger(__name__)


@stage(
    "evaluate",
    code=lambda _: (
        "tasks.evaluate",
        "tasks.verdicts",
        "tasks.workers.sample",
        "eval_math",
        "eval_math.metrics",
    ),
)
def evaluate(
    policy: Checkpoint,
    problems: Mapping[str, Ref[Prompt]],
    evaluation: Evaluation,
    sampling: Sampling,
    template: Template,
    seed: int,
    run: Run,
    ahead: Sequence[Wanted] = (),
) -> Ref[Score]:
    """Score the policy on every benchmark; the generations and their grades stay in the store.

    `ahead` is what the next stage wants sampled from the same policy: one engine start serves both.

    Raises:
        ChildFailed: an engine failed; finished shards are kept.
    """
    store = run.workspace.store
    modes = [(bench, mode) for bench in evaluation.benchmarks for mode in _modes(bench, evaluation, sampling)]
    wanted = [
        Wanted(problems[bench.name], settings, seed, run.workdir / f"{i:02d}-{mode}")
        for i, (bench, (mode, settings)) in enumerate(modes)
    ]
    generate(policy, [*wanted, *ahead], template, run)
    scores: list[Score] = []
    kept: dict[str, dict[str, Ref[Any]]] = {}
    for (bench, (mode, _)), item in zip(modes, wanted, strict=True):
        rollouts = collect(item, policy, template, run)
        results = _Results(num_problems=item.prompts.rows, num_samples=item.sampling.samples_per_prompt)
        with store.writer(Grade, parents=[rollouts.digest, item.prompts.digest]) as writer:
            writer.write_many(results.collect(_judge(rollouts, item.prompts, bench.name, run)))
        kept[f"{bench.name}/{mode}"] = {"rollouts": rollouts, "grades": writer.ref}
        scores += _scores(bench.name, mode, results)
    parents = [policy.digest, *(ref.digest for pair in kept.values() for ref in pair.values())]
    with store.writer(Score, parents=parents, producer={"evaluation": evaluation.model_dump(mode="json")}) as writer:
        writer.write_many(scores)
        generations = {name: {kind: ref.to_json() for kind, ref in pair.items()} for name, pair in kept.items()}
        writer.summary.update({"generations": generations})
    for score in scores:
        if score.metric == "greedy" or score.metric.startswith("mean@"):
            error = f" ± {100 * score.standard_error:.1f}" if score.standard_error is not None else ""
            log.info("%s · %s %s %.1f%%%s", run.label, score.benchmark, score.metric, 100 * score.value, error)
    return writer.ref


def _modes(bench: Benchmark, evaluation: Evaluation, sampling: Sampling) -> Iterator[tuple[str, Sampling]]:
    """The decodings of one benchmark. A problem that does not fit the context is counted as not solved."""
    common = {"overlong_prompts": "drop", "max_tokens": evaluation.max_tokens or sampling.max_tokens}
    if bench.greedy:
        yield (
            "greedy",
            sampling.model_copy(update={**common, "samples_per_prompt": 1, "temperature": 0.0, "top_p": 1.0}),
        )
    if bench.samples:
        update = {"samples_per_prompt": bench.samples, "temperature": bench.temperature, "top_p": bench.top_p}
        yield "sampled", sampling.model_copy(update={**common, **update})


def _judge(rollouts: Ref[Rollout], prompts: Ref[Prompt], benchmark: str, run: Run) -> Iterator[tuple[Rollout, Grade]]:
    return graded(
        rollouts,
        prompts,
        eval_math.Policy.benchmark(benchmark),
        rewards.load("boxed_correct"),
        run.workspace.store,
        workers=run.machine.grade_workers,
        deadline=5.0,
    )


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
        fair = [[None] * len(found) if None in found else found for found in self.verdicts.values()]
        return [*fair, *untried]

    def all_answers(self) -> list[list[str | None]]:
        """As `all_verdicts`, the extracted answers."""
        untried: list[list[str | None]] = [[None] * self.num_samples] * self.too_long
        return [*self.answers.values(), *untried]


def _scores(benchmark: str, mode: str, results: _Results) -> Iterator[Score]:
    verdicts, n = results.all_verdicts(), results.num_samples

    def row(metric: str, value: float, error: float = math.nan) -> Score:
        return Score(
            benchmark=benchmark, metric=metric, value=value,
            standard_error=None if math.isnan(error) else error,
            num_problems=results.num_problems, num_samples=n,
        )  # fmt: skip

    mean = metrics.mean_at_n(verdicts)
    suffix = "" if mode == "sampled" else "/greedy"
    yield row("greedy" if mode == "greedy" else f"mean@{n}", mean.value, mean.standard_error)
    if mode == "sampled":
        k = 2
        while k <= n:
            passed = metrics.pass_at_k(verdicts, k)
            yield row(f"pass@{k}", passed.value, passed.standard_error)
            majority = metrics.maj_at_k(
                [answers[:k] for answers in results.all_answers()], [found[:k] for found in verdicts]
            )
            yield row(f"maj@{k}", majority.value, majority.standard_error)
            k *= 2
    answers = max(1, sum(map(len, results.verdicts.values())))
    yield row(f"mean_tokens{suffix}", results.tokens / answers)
    yield row(f"truncated{suffix}", results.truncated / answers)
    yield row(f"no_verdict{suffix}", float(mean.num_unknown))
    yield row(f"too_long{suffix}", float(results.too_long))
