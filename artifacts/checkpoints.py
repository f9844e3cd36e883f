"""A model folder by reference: the store never copies weights, it remembers what they were.

The digest covers the files that decide what the model computes: configuration, weights, tokenizer, chat
template. Other files (optimizer state, logs) may come and go. A folder that training has written carries
`odr-checkpoint.json` with the hash of each file; it is written last, so a folder without it was not finished.
"""

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from artifacts.checkpoint_record import FORMAT, RECORD, read_record, recorded_files
from artifacts.durable import fsync, rename_folder, write_atomically
from artifacts.errors import (
    ArtifactDamaged,
    ArtifactExists,
    ArtifactMissing,
    CheckpointIncomplete,
)
from artifacts.hashing import HashCache, disk_is_trusted
from artifacts.modelfolder import model_files


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Names a model folder and what it held when it was registered."""

    path: str
    """Absolute."""
    digest: str
    """Hex sha256 over names and contents of the model's files."""
    bytes: int
    """Size of those files."""

    def to_json(self) -> dict[str, Any]:
        """Return the fields as a JSON object."""
        return asdict(self)

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> "Checkpoint":
        """Return the checkpoint that `to_json` described.

        Raises:
            ArtifactDamaged: fields are missing or of the wrong type.
        """
        path, digest, size = (fields.get(name) for name in ("path", "digest", "bytes"))
        if not (isinstance(path, str) and isinstance(digest, str) and isinstance(size, int)):
            raise ArtifactDamaged(f"Not a checkpoint reference: {fields!r}. Register the model folder again.")
        return cls(path, digest, size)


def register(path: Path | str, *, hash_cache: Path | None = None) -> Checkpoint:
    """Return a reference to the model folder as it is now.

    `hash_cache` is a folder where hashes are remembered, so that an unchanged 15 GB file is read once only.

    Raises:
        CheckpointMissing: there is no such folder.
        CheckpointIncomplete: configuration, safetensors weights or tokenizer are missing.
    """
    folder = Path(path).absolute()
    return _reference(folder, _describe(folder, hash_cache))


def committed(path: Path | str) -> Checkpoint:
    """Return the reference that `commit` gave for this folder, from its own record; nothing is hashed.

    Raises:
        ArtifactMissing: the folder is gone, or training did not finish it.
        ArtifactDamaged: the record is not readable.
    """
    folder = Path(path).absolute()
    if not (files := recorded_files(folder)):
        raise ArtifactMissing(f"{folder} has no {RECORD}: training did not finish it. Delete it and train it anew.")
    return _reference(folder, files)


def verify(checkpoint: Checkpoint, *, hash_cache: Path | None = None, deep: bool | None = None) -> None:
    """Pass silently if the folder still holds what was registered; without `deep` only sizes are compared.

    If nothing is said of `deep`, it follows from whether the disk is trusted.

    Raises:
        ArtifactMissing: the folder or one of its files is gone.
        ArtifactDamaged: a file was altered, or one was added that belongs to the model.
    """
    folder = Path(checkpoint.path)
    recorded = recorded_files(folder)
    cure = "Restore it from a copy, or run the flow again, which trains it anew."
    for name in recorded:
        if not (folder / name).is_file():
            raise ArtifactMissing(f"{folder / name} is gone, expected {recorded[name]['bytes']} bytes. {cure}")
    if deep is None:
        deep = not (recorded and disk_is_trusted())
    if not deep:
        for name, file in recorded.items():
            if (size := (folder / name).stat().st_size) != file["bytes"]:
                raise ArtifactDamaged(f"{folder / name} has {size} bytes, expected {file['bytes']}. {cure}")
        if recorded and _digest(recorded) != checkpoint.digest:
            raise ArtifactDamaged(f"{folder} holds another checkpoint than {checkpoint.digest[:12]}. {cure}")
        return
    try:
        found = _describe(folder, hash_cache)
    except CheckpointIncomplete as error:
        raise ArtifactMissing(f"A file of checkpoint {checkpoint.digest[:12]} is gone. {error} {cure}") from error
    if _digest(found) == checkpoint.digest:
        return
    if recorded and _digest(recorded) == checkpoint.digest:
        altered = [name for name in sorted({*found, *recorded}) if found.get(name) != recorded.get(name)]
        raise ArtifactDamaged(f"{folder / altered[0]} differs from what training wrote. {cure}")
    newest = max(found, key=lambda name: (folder / name).stat().st_mtime_ns)
    raise ArtifactDamaged(
        f"{folder} has digest {_digest(found)[:12]}, expected {checkpoint.digest[:12]}; "
        f"the file that was changed last is {newest}. Restore it, or register the folder again if the change "
        f"was meant."
    )


def commit(temporary: Path | str, final: Path | str, facts: Mapping[str, Any]) -> Checkpoint:
    """Make the model folder `temporary` appear as `final`, whole and durable; return its reference.

    Both must lie on one disk. `facts` is JSON for people and later stages: parents, steps, objective. If
    `final` already holds the same model, `temporary` is dropped.

    Raises:
        CheckpointMissing, CheckpointIncomplete: as for `register`.
        ArtifactExists: `final` holds something else.
    """
    folder, target = Path(temporary).absolute(), Path(final).absolute()
    described = _describe(folder, None)
    record = {"format": FORMAT, "digest": _digest(described), "files": described, "facts": dict(facts)}
    content = json.dumps(record, indent=2).encode()
    for file in folder.rglob("*"):
        fsync(file)
    write_atomically(folder / RECORD, content)
    if not rename_folder(folder, target):
        taken = register(target)
        if taken.digest != _digest(described):
            raise ArtifactExists(
                f"{target} holds checkpoint {taken.digest[:12]}, expected nothing or "
                f"{_digest(described)[:12]}. "
                f"Delete it if it is not needed, or give the run another output folder."
            )
        shutil.rmtree(folder)
    return _reference(target, described)


def facts(checkpoint: Checkpoint) -> dict[str, Any]:
    """Return the facts that `commit` was given; empty for a model that came from elsewhere.

    Raises:
        ArtifactMissing: the folder is gone.
        ArtifactDamaged: the record is not readable.
    """
    return read_record(Path(checkpoint.path)).get("facts", {})


def _describe(folder: Path, hash_cache: Path | None) -> dict[str, dict[str, Any]]:
    cache = HashCache(hash_cache)
    files = {p.name: {"sha256": cache.sha256(p), "bytes": p.stat().st_size} for p in sorted(model_files(folder))}
    cache.save()
    return files


def _digest(files: Mapping[str, Mapping[str, Any]]) -> str:
    content = [[name, files[name]["bytes"], files[name]["sha256"]] for name in sorted(files)]
    return hashlib.sha256(json.dumps(content, separators=(",", ":")).encode()).hexdigest()


def _reference(folder: Path, files: Mapping[str, Mapping[str, Any]]) -> Checkpoint:
    return Checkpoint(str(folder), _digest(files), sum(file["bytes"] for file in files.values()))
