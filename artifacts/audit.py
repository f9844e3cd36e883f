"""Every artifact of a store on a disk, checked without anyone having asked for it.

A reader checks what it reads (`Store.verify`). This looks at all there is, and at more: whether the rows inside a
part are as many and of the kind and version that the manifest says, and whether anything leads out of the store.
"""

# pyarrow ships no types, so strict checking would only report what it cannot know.
# pyright: basic

from collections.abc import Iterator
from pathlib import Path

from artifacts.bounds import open_parquet
from artifacts.errors import ArtifactDamaged, ArtifactError, ArtifactMissing, SchemaMismatch
from artifacts.location import Location, leads_out
from artifacts.manifest import MANIFEST, Manifest, Part
from artifacts.rows import Accepted, Grade, Group, Pair, Prompt, Rollout
from artifacts.scores import Score, TokenScores

_VERSIONS = {row.KIND: row.VERSION for row in (Accepted, Grade, Group, Pair, Prompt, Rollout, Score, TokenScores)}
_CURE = "Run the flow again, which replaces it, or restore it from a copy."


def artifact_folders(root: Path) -> Iterator[Path]:
    """Yield the folders of a store that should be artifacts."""
    for kind in sorted(path for path in root.glob("*") if path.is_dir() and not path.name.startswith(".")):
        yield from sorted(path for path in kind.glob("*/*") if path.is_dir())


def faults(root: Path, folder: Path, *, deep: bool) -> Iterator[ArtifactError]:
    """Yield what is wrong with one artifact; with `deep` every byte is read."""
    if leads_out(root, folder):
        yield ArtifactDamaged(f"{folder} leads out of the data root, to {folder.resolve()}. {_CURE}")
        return
    if not (folder / MANIFEST).is_file():
        yield ArtifactMissing(f"{folder / MANIFEST} is gone. {_CURE}")
        return
    try:
        manifest = _manifest(folder)
        _check_version(manifest, folder)
    except ArtifactError as error:
        yield error
        return
    location = Location(root)
    for part in manifest.parts:
        try:
            location.check_part(manifest.ref(), part, deep=deep)
            _check_rows(folder / part.name, part, manifest)
        except ArtifactError as error:
            yield error


def strangers(folder: Path) -> Iterator[Path]:
    """Yield files in an artifact's folder that are no part of it."""
    try:
        known = {MANIFEST, *(part.name for part in _manifest(folder).parts)}
    except (ArtifactError, OSError):
        return
    yield from sorted(path for path in folder.iterdir() if path.name not in known)


def _manifest(folder: Path) -> Manifest:
    text = (folder / MANIFEST).read_bytes().decode(errors="replace")
    manifest = Manifest.from_text(text, str(folder / MANIFEST))
    if (manifest.kind, manifest.digest) != (folder.parent.parent.name, folder.name):
        raise ArtifactDamaged(
            f"{folder / MANIFEST} describes {manifest.kind} {manifest.digest[:12]}, "
            f"expected {folder.parent.parent.name} {folder.name[:12]}. Folders were mixed up. {_CURE}"
        )
    return manifest


def _check_version(manifest: Manifest, folder: Path) -> None:
    known = _VERSIONS.get(manifest.kind)
    if known is not None and manifest.schema_version > known:
        raise SchemaMismatch(
            f"{folder} holds {manifest.kind!r} rows of schema version {manifest.schema_version}, this code reads up "
            f"to {known}. Update this checkout."
        )


def _check_rows(path: Path, part: Part, manifest: Manifest) -> None:
    with open_parquet(path, str(path)) as found:
        rows, inside = found.metadata.num_rows, found.schema_arrow.metadata or {}
    if rows != part.rows:
        raise ArtifactDamaged(f"{path} holds {rows} rows, expected {part.rows}. {_CURE}")
    said = (inside.get(b"kind", b"").decode(), inside.get(b"version", b"").decode())
    if said != (manifest.kind, str(manifest.schema_version)):
        raise ArtifactDamaged(
            f"{path} says it holds {said[0]!r} rows of version {said[1]!r}, expected {manifest.kind!r} of version "
            f"{manifest.schema_version}. {_CURE}"
        )
