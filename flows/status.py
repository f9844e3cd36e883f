"""The status of a campaign: what was asked of it, how far it has come, how its last command ended.

A small file beside the results, `campaigns/<name>/status.json`, written when a command begins, after every iteration
and when it ends. It is for people: nothing is computed from it, and a data root without one is read from its records.
"""

import json
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from artifacts import Ref, Score, plain_json
from artifacts.durable import write_atomically
from flows.report import headline
from tasks import presence, records
from tasks.tracking import without_credentials
from tasks.workspace import Workspace

if TYPE_CHECKING:
    from flows.steps import Steps

SAID_CHARACTERS = 300
"""Of an error's first line."""
Accuracy = tuple[str, str, float, float | None]
"""Benchmark, metric, value, standard error."""
Scores = Mapping[tuple[str, str], tuple[float, float | None]]
"""(benchmark, metric) -> (value, standard error)."""
_EVALUATED = re.compile(r"(?:iteration (\d+)|base) evaluate")


@dataclass(frozen=True)
class Status:
    """One campaign, as of its last command."""

    campaign: str
    state: str
    """running, finished, stopped (asked to end, or killed: the same command goes on) or failed."""
    when: float
    """Seconds since 1970: of the last change."""
    objective: str = ""
    asked: int | None = None
    """Iterations the config asks for; None when nobody has noted it."""
    done: int | None = None
    """Iterations evaluated, in the present recipe where that is known; None: not even the base model."""
    accuracy: Accuracy | None = None
    """Of the newest policy."""
    said: str = ""
    """Why it failed."""


@contextmanager
def recorded(steps: "Steps") -> Iterator[None]:
    """Note that the campaign runs, and, when the block is left, how that ended."""
    config, workspace = steps.config, steps.run.workspace
    first = Status(config.name, "running", time.time(), str(config.objective["name"]), config.iterations)
    _write(workspace, first)
    try:
        yield
    except Exception as error:
        lines = without_credentials(str(error)).splitlines() or [type(error).__name__]
        _change(workspace, config.name, state="failed", said=lines[0][:SAID_CHARACTERS])
        raise
    except BaseException:  # SIGTERM, Ctrl-C, cancelled in Prefect
        _change(workspace, config.name, state="stopped")
        raise
    now = _read(workspace, config.name) or first
    _write(workspace, replace(now, state="finished" if now.done == now.asked else "stopped", when=time.time()))


def reached(steps: "Steps", number: int, scores: Ref[Score]) -> None:
    """Note that the policy after this iteration is evaluated."""
    rows = steps.run.workspace.store.read(scores, Score)
    found = {(row.benchmark, row.metric): (row.value, row.standard_error) for row in rows}
    _change(steps.run.workspace, steps.config.name, done=number, accuracy=_accuracy(found))


def statuses(workspace: Workspace) -> list[Status]:
    """All campaigns of the data root, the newest last."""
    at_work = {owner.campaign for owner in presence.owners(workspace.locks)}
    found = [status(workspace, name, at_work) for name in records.campaigns(workspace)]
    return sorted(found, key=lambda item: (item.when, item.campaign))


def status(workspace: Workspace, name: str, at_work: set[str]) -> Status:
    """One campaign; `at_work` names those that a process runs now."""
    noted = _read(workspace, name) or _from_records(workspace, name)
    if name in at_work:
        return replace(noted, state="running")
    # A command that was killed could not note its end.
    return replace(noted, state="stopped") if noted.state == "running" else noted


def _accuracy(found: Scores) -> Accuracy | None:
    """Of the first benchmark: greedy if it has that."""
    first = next((bench for bench, _ in found), None)
    ours = {metric: score for (bench, metric), score in found.items() if bench == first}
    metric = next((name for name in sorted(ours) if name == "greedy" or name.startswith("mean@")), None)
    return None if first is None or metric is None else (first, metric, *ours[metric])


def _change(workspace: Workspace, name: str, **changes: object) -> None:
    now = _read(workspace, name)
    if now is not None:
        _write(workspace, replace(now, when=time.time(), **changes))  # type: ignore[arg-type]


def _path(workspace: Workspace, name: str) -> Path:
    return workspace.results(name).with_name("status.json")


def _write(workspace: Workspace, noted: Status) -> None:
    path = _path(workspace, noted.campaign)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, json.dumps(asdict(noted)).encode())


def _read(workspace: Workspace, name: str) -> Status | None:
    try:
        fields = plain_json.parse(_path(workspace, name).read_bytes())
        if accuracy := fields["accuracy"]:
            bench, metric, value, error = accuracy
            fields["accuracy"] = (str(bench), str(metric), float(value), None if error is None else float(error))
        return Status(**fields)
    except (OSError, ValueError, TypeError, LookupError):
        return None


def _from_records(workspace: Workspace, name: str) -> Status:
    """Of a campaign that an earlier version has run: by its results, else by the stages that are done."""
    results = workspace.results(name)
    if results.exists():
        when = results.stat().st_mtime
        try:
            facts = plain_json.parse(results.read_bytes())
            done, accuracy = len(facts["iterations"]) - 1, _accuracy(headline(facts["iterations"][-1]))
            return Status(name, "finished", when, str(facts["objective"]), done, done, accuracy)
        except (ValueError, LookupError, TypeError):
            return Status(name, "failed", when, said=f"{results.name} is not what a campaign writes; run it again")
    paths = list((workspace.root / "keys" / name).glob("*.json"))
    numbers = [int(found[1] or 0) for path in paths if (found := _EVALUATED.fullmatch(path.stem))]
    folders = [workspace.root / place / name for place in ("started", "keys", "campaigns")]
    when = max((path.stat().st_mtime for path in [*paths, *folders] if path.exists()), default=0.0)
    return Status(name, "stopped", when, done=max(numbers, default=None))
