"""Benchmark a policy: one engine answers every benchmark, and whatever else is wanted of that policy."""

from typing import Any

from artifacts import Checkpoint, Ref, Score
from flows.steps import Steps
from tasks.evaluate import evaluate
from tasks.sample import sample, wanted_later


def benchmark(steps: Steps, label: str, policy: Checkpoint, later: list[dict[str, Any]] | None = None) -> Ref[Score]:
    """Answer and grade all benchmarks of the config; return the scores.

    `later` are arguments of coming calls of `sample` on this policy: starting an engine costs more than sharing it.
    """
    calls = steps.benchmark_samples(label, policy)
    missing = [
        wanted_later(**arguments)
        for arguments in [*(arguments for _, arguments in calls), *(later or [])]
        if sample.cached(**arguments) is None
    ]
    answers = {decoding.key: sample(**arguments, ahead=missing) for decoding, arguments in calls}
    return evaluate(**steps.evaluate(label, answers))
