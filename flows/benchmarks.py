"""Benchmark a policy: one engine answers every benchmark, and whatever else is wanted of that policy."""

from typing import Any

from artifacts import Checkpoint, Ref, Rollout, Score
from flows.steps import Steps
from tasks.evaluate import evaluate
from tasks.sample import sample, wanted_later


def benchmark(steps: Steps, label: str, policy: Checkpoint, later: list[dict[str, Any]] | None = None) -> Ref[Score]:
    """Answer and grade all benchmarks of the config; return the scores.

    `later` are arguments of coming calls of `sample` on this policy: starting an engine costs more than sharing it.
    """
    calls = steps.benchmark_samples(label, policy)
    # What a later iteration is to make anew must not come from this one.
    coming_up = [arguments for arguments in later or [] if not arguments["run"].anew("sample")]
    queue = [*(arguments for _, arguments in calls), *coming_up]
    answers: dict[str, Ref[Rollout]] = {}
    for place, (decoding, arguments) in enumerate(calls, 1):
        coming = [item for item in queue[place:] if sample.cached(**item) is None]
        answers[decoding.key] = sample(**arguments, ahead=[wanted_later(**item) for item in coming])
    return evaluate(**steps.evaluate(label, answers))
