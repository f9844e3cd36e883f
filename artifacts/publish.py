"""A finished scratch folder becomes an artifact: all of it at once, or nothing.

On a disk by one rename. On an object store, which has none, by writing the manifest last: without a manifest
there is no artifact. If the same content is there already, whole, the new copy is dropped and the first
producer stays on record; a damaged one is replaced.
"""

# pyarrow ships no types, so strict checking would only report what it cannot know.
# pyright: basic

import logging
import os
import shutil
from contextlib import suppress
from pathlib import Path

from artifacts.durable import rename_folder
from artifacts.errors import ArtifactDamaged, ArtifactMissing
from artifacts.location import Location
from artifacts.manifest import MANIFEST, Manifest

log = logging.getLogger(__name__)


def publish(folder: Path, manifest: Manifest, location: Location) -> None:
    """Make the artifact in `folder`, whose files are fsynced, readable through `manifest.ref()`.

    Raises:
        SchemaMismatch: its place is taken by a manifest of a newer format.
    """
    if location.local is not None:
        _rename(folder, manifest, location, location.local / manifest.ref().path)
    elif not _is_whole(manifest, location):
        _upload(folder, manifest, location)


def _rename(folder: Path, manifest: Manifest, location: Location, target: Path) -> None:
    # Rename first and look afterwards: the other order could remove what another writer has just put there.
    if rename_folder(folder, target):
        return
    if _is_whole(manifest, location):
        with suppress(FileNotFoundError):
            os.utime(target)  # in use from now on, for whoever clears away what nobody has used for long
            return
    if not os.path.lexists(target):  # cleared away at this moment
        _rename(folder, manifest, location, target)
        return
    damaged = folder.with_name(f"{folder.name}-damaged")
    target.rename(damaged)
    rename_folder(folder, target)
    if damaged.is_symlink():
        damaged.unlink()  # what it leads to is not ours
    else:
        shutil.rmtree(damaged)


def _upload(folder: Path, manifest: Manifest, location: Location) -> None:
    target = manifest.ref().path
    location.files.create_dir(target, recursive=True)
    for name in [*(part.name for part in manifest.parts), MANIFEST]:
        with (
            (folder / name).open("rb") as source,
            location.files.open_output_stream(f"{target}/{name}") as sink,
        ):
            shutil.copyfileobj(source, sink, 4 << 20)


def _is_whole(manifest: Manifest, location: Location) -> bool:
    try:
        location.verify(manifest.ref())
    except ArtifactMissing:
        return False
    except ArtifactDamaged as error:
        log.warning("A new copy of the same content replaces a damaged artifact. %s", error)
        return False
    return True
