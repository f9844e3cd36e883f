"""What is computed again when a file is damaged, in words."""

from collections import defaultdict
from contextlib import suppress

from artifacts import SchemaMismatch
from artifacts.audit import artifact_folders
from artifacts.manifest import MANIFEST
from flows.upkeep.references import Unknown, read_json, referenced
from tasks import records
from tasks.workspace import Workspace


class Consequences:
    """Knows which stage of which campaign has made what; is told while the records are read."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._tasks: dict[str, list[str]] = defaultdict(list)
        self._keys: dict[str, list[str]] = defaultdict(list)
        self._answers: dict[str, str] | None = None
        self._needed: set[str] | None = None

    def of_record(self, record: records.Record) -> None:
        """Take note of a stage and its key."""
        self._tasks[record.key].append(record.show())

    def of_result(self, key: str, digest: str) -> None:
        """Take note of a key and its result."""
        self._keys[digest].append(key)

    def of_key(self, key: str) -> str:
        """What follows when the result of this key cannot be used."""
        tasks = sorted(set(self._tasks.get(key, [])))
        if tasks:
            return f"the next `odr run` computes again: {', '.join(tasks)}"
        return "no campaign refers to it: `odr gc` removes it"

    def of_artifact(self, kind: str, digest: str, error: Exception) -> str:
        """What follows when this table cannot be used."""
        if isinstance(error, SchemaMismatch):
            return "a newer version wrote it and nothing replaces it: a run that would make it again stops and says so"
        keys = [key for key in self._keys.get(digest, []) if self._tasks.get(key)]
        if keys:
            tasks = sorted({task for key in keys for task in self._tasks[key]})
            return f"the next `odr run` computes again: {', '.join(tasks)}"
        if kind == "prompts":
            return "a run that needs it reads it from its source and stores it again"
        if digest in self._kept_answers():
            scores = self.of_artifact("scores", self._kept_answers()[digest], error).rpartition(": ")[2]
            return f"`odr compare` cannot read it; `odr run` with --refresh evaluate makes it again ({scores})"
        if digest in self._referenced():
            return "only other results' lineage names it: nothing is computed again"
        return "no campaign refers to it: `odr gc` removes it"

    def _kept_answers(self) -> dict[str, str]:
        """Digest of graded answers that an evaluation keeps -> that of its scores."""
        if self._answers is None:
            self._answers = {}
            for folder in artifact_folders(self._workspace.root / "store"):
                if folder.parent.parent.name == "scores":
                    with suppress(AttributeError, KeyError, TypeError):  # a manifest that is damaged itself
                        kept = read_json(folder / MANIFEST)["summary"]["generations"]
                        self._answers |= {refs["grades"]["digest"]: folder.name for refs in kept.values()}
        return self._answers

    def _referenced(self) -> set[str]:
        if self._needed is None:
            try:
                self._needed = referenced(self._workspace, records.campaigns(self._workspace)).digests
            except Unknown:
                self._needed = set()
        return self._needed
