"""`odr verify`: is everything in a data root as it was written, and what is computed again because something is not?

Nothing is repaired here. A run repairs: it verifies a result before it uses it, and computes the task again whose
result is not as it was.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from artifacts import ArtifactError, Checkpoint, Ref, audit, checkpoints
from artifacts.leftovers import leftovers
from artifacts.plain_json import parse
from flows.upkeep.consequences import Consequences
from flows.upkeep.gc import PLACES
from flows.upkeep.references import KEY
from tasks import records
from tasks.display import bar
from tasks.locking import FlockLockManager
from tasks.workspace import Workspace


@dataclass(frozen=True)
class Fault:
    """Something that is not as it was written."""

    path: str
    message: str
    then: str
    """What is computed again because of it, or what to do."""


@dataclass
class Verdict:
    """What was looked at, and what was found."""

    root: str
    deep: bool
    checked: dict[str, int] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    leftovers: list[str] = field(default_factory=list)
    """Temporary files of killed runs: no fault, nobody reads them."""

    def to_json(self) -> str:
        """For scripts."""
        return json.dumps(asdict(self), indent=1)

    def count(self, what: str) -> None:
        """One more has been looked at."""
        self.checked[what] = self.checked.get(what, 0) + 1


def verify(workspace: Workspace, *, deep: bool) -> Verdict:
    """Look at every record, artifact and checkpoint; `deep` reads every byte, otherwise sizes and footers count."""
    verdict = Verdict(str(workspace.root), deep)
    check = _Check(workspace, deep, verdict)
    folders = list(audit.artifact_folders(workspace.root / "store"))
    models = [path for path in workspace.checkpoints.glob("*") if not path.name.startswith(".")]
    with bar("verifying", len(folders) + len(models)) as progress:
        check.records()
        for folder in folders:
            check.artifact(folder)
            progress.advance(1, folder.parent.parent.name)
        for folder in sorted(models):
            check.checkpoint(folder)
            progress.advance(1, folder.name)
        check.results()
    found = (path for place in PLACES for path in leftovers(workspace.root / place))
    strange = (path for folder in folders for path in audit.strangers(folder))
    verdict.leftovers += sorted({str(path) for path in (*found, *strange)})
    return verdict


class _Check:
    def __init__(self, workspace: Workspace, deep: bool, verdict: Verdict) -> None:
        self._workspace, self._deep, self._verdict = workspace, deep, verdict
        self._then = Consequences(workspace)
        self._locks = FlockLockManager(workspace.locks)

    def records(self) -> None:
        """What each stage's key was made of, and what each key leads to."""
        for place in ("keys", "started"):
            for path in sorted((self._workspace.root / place).glob("*/*.json")):
                self._verdict.count("stage records")
                try:
                    self._then.of_record(records.read(path))
                except records.RecordUnreadable as error:
                    self._fault(path, error, "the next run of its campaign writes it anew; `odr gc` waits for that")
        for path in sorted(self._workspace.cache.glob("*")):
            if KEY.fullmatch(path.name):
                self._verdict.count("cache records")
                self._cache_record(path)

    def artifact(self, folder: Path) -> None:
        """One table."""
        self._verdict.count("artifacts")
        for error in audit.faults(self._workspace.root / "store", folder, deep=self._deep):
            self._fault(folder, error, self._then.of_artifact(folder.parent.parent.name, folder.name, error))

    def checkpoint(self, folder: Path) -> None:
        """One model folder that training has written."""
        self._verdict.count("checkpoints")
        try:
            checkpoints.verify(checkpoints.committed(folder), deep=self._deep)
        except (ArtifactError, KeyError, TypeError) as error:
            if not self._locks.is_locked(folder.name):  # a training is replacing it
                self._fault(folder, error, self._then.of_key(folder.name))

    def results(self) -> None:
        """What a campaign's results name, and the models they began with."""
        seen: set[str] = set()
        for path in sorted(self._workspace.root.glob("campaigns/*/results.json")):
            self._verdict.count("campaigns")
            again = f"`odr show` and `odr compare` fail; `odr run` of {path.parent.name} writes it again"
            try:
                named = list(_references(parse(path.read_bytes())))
            except (ValueError, ArtifactError) as error:
                self._fault(path, f"{path} cannot be read ({error})", again)
                continue
            for place, error in self._lost(named, seen):
                self._fault(place, f"{path} names {place}: {error}", again)

    def _lost(self, named: list[Ref[Any] | Checkpoint], seen: set[str]) -> Iterator[tuple[Path, str]]:
        for item in named:
            own = not isinstance(item, Checkpoint) or Path(item.path).is_relative_to(self._workspace.checkpoints)
            place = Path(item.path) if isinstance(item, Checkpoint) else self._workspace.root / "store" / item.path
            if own and not place.exists():
                yield place, "it is gone"
            elif isinstance(item, Checkpoint) and not own and item.path not in seen:
                seen.add(item.path)
                try:
                    checkpoints.verify(item, deep=self._deep)
                except ArtifactError as error:
                    yield place, str(error)

    def _cache_record(self, path: Path) -> None:
        try:
            stored = parse(parse(path.read_bytes())["result"])
            result = _reference(stored["ref"], checkpoint=stored["kind"] == "checkpoint")
        except (ValueError, KeyError, TypeError, ArtifactError) as error:
            if not self._locks.is_locked(path.name):  # it is being written
                self._fault(path, f"{path} is no record of a result ({error})", self._then.of_key(path.name))
            return
        self._then.of_result(path.name, result.digest)
        place = self._workspace.root / "store"
        place = self._workspace.checkpoints if isinstance(result, Checkpoint) else place
        folder = place / result.path
        if not folder.resolve().is_relative_to(place.resolve()):
            self._fault(path, f"{path} names {folder}, which is outside the data root", self._then.of_key(path.name))
        elif not folder.is_dir() and not self._locks.is_locked(path.name):
            self._fault(path, f"{path} points at {folder}, which is gone", self._then.of_key(path.name))

    def _fault(self, path: Path, error: Exception | str, then: str) -> None:
        self._verdict.faults.append(Fault(str(path), str(error), then))


def _references(value: Any) -> Iterator[Ref[Any] | Checkpoint]:
    """Everything in a JSON value that names an artifact or a checkpoint."""
    if isinstance(value, dict):
        if {"path", "digest", "bytes"} <= set(value):
            yield _reference(value, checkpoint="kind" not in value)
            return
        for item in value.values():
            yield from _references(item)
    elif isinstance(value, list):
        for item in value:
            yield from _references(item)


def _reference(fields: dict[str, Any], *, checkpoint: bool) -> Ref[Any] | Checkpoint:
    return Checkpoint.from_json(fields) if checkpoint else Ref.from_json(fields)
