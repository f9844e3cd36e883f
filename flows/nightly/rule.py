"""Is a night's policy better than the best so far, or worse? Both answered the same held-out problems.

The difference d is the mean over problems of (new - best), s its standard error, and the interval d ± z(confidence) s:
a mean over problems is close to normal from some dozens on. Better: the whole interval is above zero and d is at least
`min_gain`. Worse: the whole interval is below zero. Otherwise nobody knows.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Literal

from artifacts import Grade, Ref, Score
from eval_math import Policy, metrics
from flows.config import RunConfig
from flows.nightly.settings import Nightly
from tasks.settings import Benchmark
from tasks.workspace import Workspace

Outcome = Literal["promoted", "kept", "rolled back"]


@dataclass(frozen=True)
class Verdict:
    """What is done with a night's policy, and why, in words."""

    outcome: Outcome
    why: str


def resolved(config: RunConfig) -> Nightly:
    """The rule with its defaults filled in.

    Raises:
        ValueError: the config's evaluation does not produce what the rule compares.
    """
    rule = config.nightly
    if not config.evaluate.benchmarks:
        raise ValueError("evaluate.benchmarks is empty: a night's policy would be judged by nothing; name one")
    entries = {bench.name: bench for bench in config.evaluate.benchmarks}
    name = rule.benchmark or next(iter(entries))
    if name not in entries:
        raise ValueError(f"nightly.benchmark: {name!r} is none of evaluate.benchmarks; there are: {', '.join(entries)}")
    metric = rule.metric or ("mean" if entries[name].samples else "greedy")
    _check_metric(entries[name], metric)
    return rule.model_copy(update={"benchmark": name, "metric": metric})


def judge(workspace: Workspace, rule: Nightly, best: dict[str, Any], new: dict[str, Any]) -> Verdict:
    """Compare two results of iterations under a rule whose defaults are filled in."""
    ours, theirs = (_values(workspace, rule, result) for result in (new, best))
    shared = sorted(ours.keys() & theirs.keys())
    against = f"than iteration {best['iteration']}" if best["iteration"] else "than the base policy"
    what = f"{rule.benchmark} {rule.metric}"
    try:
        found = metrics.paired_bootstrap([ours[p] for p in shared], [theirs[p] for p in shared])
    except ValueError:  # no problem, or none with a verdict in both
        return Verdict(
            "kept", f"{what}: no problem has a verdict in both, so nobody knows whether it is better {against}"
        )
    reach = NormalDist().inv_cdf((1 + rule.confidence) / 2) * found.standard_error
    low, high = (100 * (found.value + side * reach) for side in (-1, 1))
    gain = 100 * found.value
    shown = f"{what}: {gain:+.1f} points [{low:+.1f}, {high:+.1f}] on {found.num_problems} problems"
    if math.isnan(reach):
        return Verdict("kept", f"{shown}: one problem tells nothing")
    if low > 0 and gain >= rule.min_gain:
        return Verdict("promoted", f"{shown}: better {against}")
    if high < 0:
        return Verdict("rolled back", f"{shown}: worse {against}")
    short = f", less than the {rule.min_gain:g} asked for" if low > 0 else ", within noise"
    return Verdict("kept", f"{shown}{short}: not shown to be better {against}")


def _check_metric(bench: Benchmark, metric: str) -> None:
    kind, _, k = metric.partition("@")
    if kind == "greedy" and not bench.greedy:
        raise ValueError(f"nightly.metric: {bench.name} has greedy: false; choose mean, or answer it greedily as well")
    least = int(k or 1)
    if kind != "greedy" and bench.samples < least:
        raise ValueError(
            f"nightly.metric: {metric} needs {least} sampled answers per problem and {bench.name} has "
            f"{bench.samples}; raise its samples, or choose greedy"
        )


def _values(workspace: Workspace, rule: Nightly, result: dict[str, Any]) -> dict[str, float | None]:
    """The metric by problem; None where a verdict is missing. Empty if this was not evaluated."""
    kept = workspace.store.manifest(Ref[Score].from_json(result["scores"])).summary["generations"]
    kind, _, k = str(rule.metric).partition("@")
    key = f"{rule.benchmark}/{'greedy' if kind == 'greedy' else 'sampled'}"
    if key not in kept:
        return {}
    grades: dict[str, list[Grade]] = {}
    for grade in workspace.store.read(Ref.from_json(kept[key]["grades"]), Grade):
        grades.setdefault(grade.prompt_id, []).append(grade)
    verdicts = [_fair([grade.correct for grade in found]) for found in grades.values()]
    if kind == "pass":
        values = metrics.pass_values(verdicts, int(k))
    elif kind == "maj":
        answers = [[grade.answer for grade in found] for found in grades.values()]
        values = metrics.majority_values(answers, verdicts, int(k), policy=Policy.benchmark(str(rule.benchmark)))
    else:
        values = metrics.mean_values(verdicts)
    return dict(zip(grades, values, strict=True))


def _fair(verdicts: list[bool | None]) -> list[bool | None]:
    """As `evaluate` counts: one missing verdict sets a problem aside."""
    return [None for _ in verdicts] if None in verdicts else verdicts
