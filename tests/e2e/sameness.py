"""Is a disturbed campaign what the undisturbed one is: results, weights, curves, nothing twice, nothing left over."""

import hashlib
import re
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

from flows.upkeep.verify import verify
from tasks.locking import is_held
from tasks.workspace import Workspace
from tests.e2e.killing import Story
from tests.e2e.small_campaign import results, stages

_EXECUTED = re.compile(r"^\d\d:\d\d:\d\d (?:\[\d+/\d+\] )?(.+): done in [\d.]+ s", re.MULTILINE)


def executed(story: Story) -> Counter[str]:
    """How often each "label · stage" was executed to its end, over all starts."""
    return Counter(stage for log in story.logs for stage in _EXECUTED.findall(log))


def executed_twice(story: Story, name: str = "demo") -> list[str]:
    """Stages whose result was recorded and that were executed again, by the log and by the records themselves."""
    twice = [f"{stage}: {count} times by the log" for stage, count in executed(story).items() if count > 1]
    for number, (before, after) in enumerate(pairwise(story.records)):
        twice += [
            f"{name}: written again by start {number + 1}" for name, at in before.items() if after.get(name) != at
        ]
    last = executed(Story(story.home, logs=story.logs[-1:]))
    for label, stage, cached in stages(results(story.home, name)):
        if cached != (f"{label} · {stage}" not in last):
            twice.append(f"{label} · {stage}: the results say {'cached' if cached else 'executed'}, the log does not")
    return twice


def differences(home: Path, other: Path, name: str = "demo", *, other_name: str = "demo") -> list[str]:
    """What differs in two campaigns' results: digests of all artifacts and checkpoints, and bytes of the weights."""
    ours, theirs = dict(_digests(results(home, name))), dict(_digests(results(other, other_name)))
    found = [place for place in sorted(ours.keys() | theirs.keys()) if ours.get(place) != theirs.get(place)]
    pairs = zip(results(home, name)["iterations"], results(other, other_name)["iterations"], strict=True)
    for number, (row, reference) in enumerate(pairs):
        if _weights(row) != _weights(reference):
            found.append(f"weights of iteration {number}")
    return found


def _digests(value: Any, place: str = "") -> Iterator[tuple[str, str]]:
    """(place, digest) of every reference in a results file."""
    if isinstance(value, dict):
        for name, item in value.items():
            if name == "digest":
                yield place, str(item)
            else:
                yield from _digests(item, f"{place}/{name}")
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _digests(item, f"{place}/{number}")


def _weights(row: dict[str, Any]) -> dict[str, str]:
    files = sorted(Path(row["policy"]["path"]).glob("*.safetensors"))
    assert files
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def histories(uri: str, campaign: str = "demo") -> dict[str, dict[str, list[tuple[int, float]]]]:
    """What MLflow has of a campaign: run -> metric -> sorted (step, value), each point as often as it is there.

    Not how busy the machine was, which is no two times the same.
    """
    from mlflow import MlflowClient

    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name("online-dpo-r1")
    assert experiment is not None
    found: dict[str, dict[str, list[tuple[int, float]]]] = {}
    for run in client.search_runs([experiment.experiment_id], f"tags.campaign = '{campaign}'"):
        place = run.data.tags.get("iteration", "campaign")
        assert place not in found, f"two runs of {place}"
        found[place] = {
            metric: sorted((point.step, point.value) for point in client.get_metric_history(run.info.run_id, metric))
            for metric in run.data.metrics
            if not metric.startswith("system/")
        }
    return found


def steps_of(found: dict[str, dict[str, list[tuple[int, float]]]]) -> dict[str, dict[str, list[int]]]:
    """Only which steps are there."""
    return {
        run: {name: [step for step, _ in points] for name, points in metrics.items()} for run, metrics in found.items()
    }


def left_over(home: Path) -> list[str]:
    """What a finished campaign must not leave: partial results, notes of a beginning, locks, faults."""
    found = [str(path) for path in home.glob("work/*/*") if path.is_dir()]
    found += [str(path) for path in home.glob("started/*/*")]
    found += [str(path) for path in home.glob("locks/*") if is_held(path)]
    return found + [fault.message for fault in verify(Workspace(home), deep=True).faults]
