"""What a stage returns, as its cache record keeps it: a reference, verified when it is read."""

import json
from pathlib import Path
from typing import Any

from artifacts import ArtifactDamaged, Checkpoint, Ref, checkpoints, plain_json
from tasks.workspace import Workspace

Result = Ref[Any] | Checkpoint


def dump_result(result: Result) -> bytes:
    """Encode a reference."""
    kind = "checkpoint" if isinstance(result, Checkpoint) else "table"
    return json.dumps({"kind": kind, "ref": result.to_json()}).encode()


def load_result(blob: bytes, workspace: Workspace) -> Result:
    """Decode a reference written by `dump_result` and verify what it names.

    Raises:
        ArtifactError: files are missing or changed, or this is no such reference.
    """
    try:
        fields = plain_json.parse(blob)
        of_model = fields["kind"] == "checkpoint"
        ref: Any = (Checkpoint if of_model else Ref).from_json(fields["ref"])
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise ArtifactDamaged(f"The record holds no reference ({type(error).__name__}: {error}).") from error
    if not of_model:
        workspace.store.verify(ref)
    elif not Path(ref.path).resolve().is_relative_to(workspace.checkpoints.resolve()):
        raise ArtifactDamaged(
            f"The record names {ref.path}, which is outside {workspace.checkpoints}: the data root was "
            f"copied or moved, or the record was altered. Run the flow again, which trains it anew."
        )
    else:
        checkpoints.verify(ref, hash_cache=workspace.hashes)
    return ref


def place_of(result: Result, workspace: Workspace) -> Path:
    """The folder that holds it."""
    return Path(result.path) if isinstance(result, Checkpoint) else workspace.root / "store" / result.path


def show(result: Result) -> str:
    """For the log."""
    if isinstance(result, Checkpoint):
        return f"checkpoint {result.digest[:12]}"
    return f"{result.rows:,} {result.kind} {result.digest[:12]}"
