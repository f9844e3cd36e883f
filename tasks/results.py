"""What a stage returns, as its cache record keeps it: a reference, verified when it is read."""

import json
import logging
from pathlib import Path
from typing import Any, Literal

from prefect.serializers import Serializer

from artifacts import ArtifactDamaged, ArtifactError, Checkpoint, Ref, checkpoints
from tasks.workspace import Workspace

log = logging.getLogger(__name__)

Result = Ref[Any] | Checkpoint


class ArtifactSerializer(Serializer):
    """Keeps references as JSON, and refuses one whose files are not as they were."""

    type: Literal["odr-artifact"] = "odr-artifact"
    root: str

    def dumps(self, obj: Result) -> bytes:
        """Write the reference."""
        kind = "checkpoint" if isinstance(obj, Checkpoint) else "table"
        return json.dumps({"kind": kind, "ref": obj.to_json()}).encode()

    def loads(self, blob: bytes) -> Result:
        """Read the reference and verify what it names.

        Raises:
            ArtifactError: files are missing or changed. Prefect takes that for "no record" and runs the task.
        """
        try:
            return load_result(blob, Workspace(Path(self.root)))
        except ArtifactError as error:
            log.warning("a cached result cannot be used and is computed again: %s", error)
            raise


def load_result(blob: bytes, workspace: Workspace) -> Result:
    """Decode and verify a reference written by `ArtifactSerializer`."""
    fields = json.loads(blob)
    if fields["kind"] == "checkpoint":
        checkpoint = Checkpoint.from_json(fields["ref"])
        if not Path(checkpoint.path).resolve().is_relative_to(workspace.checkpoints.resolve()):
            raise ArtifactDamaged(
                f"The record names {checkpoint.path}, which is outside {workspace.checkpoints}: the data root was "
                f"copied or moved, or the record was altered. Run the flow again, which trains it anew."
            )
        checkpoints.verify(checkpoint, hash_cache=workspace.hashes)
        return checkpoint
    ref: Ref[Any] = Ref.from_json(fields["ref"])
    workspace.store.verify(ref)
    return ref


def place_of(result: Result, workspace: Workspace) -> Path:
    """The folder that holds it."""
    return Path(result.path) if isinstance(result, Checkpoint) else workspace.root / "store" / result.path


def show(result: Result) -> str:
    """For the log."""
    if isinstance(result, Checkpoint):
        return f"checkpoint {result.digest[:12]}"
    return f"{result.rows:,} {result.kind} {result.digest[:12]}"
