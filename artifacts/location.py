"""Where artifacts lie, and the check that what lies there is what was written.

Each part's sha256 is computed before its first use, once per process as long as the file does not change; on a disk
that is said to be trusted (`artifacts.hashing`) its size is all that counts.
"""

# pyarrow ships no types, so strict checking would only report what it cannot know.
# pyright: basic

from pathlib import Path
from typing import Any, BinaryIO, cast

import pyarrow as pa
from pyarrow import fs

from artifacts.bounds import check_pages
from artifacts.errors import ArtifactDamaged, ArtifactMissing
from artifacts.hashing import disk_is_trusted, is_settled, sha256_stream
from artifacts.manifest import MANIFEST, Manifest, Part, Ref

_hashed: dict[tuple[str, str, int, int | None], str] = {}
"""(root, path, size, mtime in ns) -> sha256, of every part this process has read."""


class Location:
    """A root folder on a disk or an object store."""

    def __init__(self, root: str | Path, filesystem: fs.FileSystem | None = None) -> None:
        """Accept a local path, a URI such as s3://bucket/prefix, or a path within `filesystem`."""
        if filesystem is not None:
            path = str(root)
        elif "://" in str(root):
            filesystem, path = fs.FileSystem.from_uri(str(root))
        else:
            filesystem, path = fs.LocalFileSystem(), str(Path(root).absolute())
        assert filesystem is not None
        self.local = Path(path) if isinstance(filesystem, fs.LocalFileSystem) else None
        """The root as a local folder; None on any other file system."""
        self.files = fs.SubTreeFileSystem(path, filesystem)
        self._name = path if self.local else f"{filesystem.type_name}:{path}"

    def show(self, path: str) -> str:
        """Return a path below the root as people should see it."""
        return f"{self._name}/{path}"

    def manifest(self, ref: Ref[Any]) -> Manifest:
        """Return the manifest that the ref names, checked against itself and the ref.

        Raises:
            ArtifactMissing: it is gone.
            ArtifactDamaged: it was altered, or describes another artifact.
            SchemaMismatch: a newer version of this package wrote it.
        """
        path = f"{ref.path}/{MANIFEST}"
        self._check_inside(path)
        try:
            with self.files.open_input_stream(path) as stream:
                text = stream.read().decode(errors="replace")
        except (FileNotFoundError, NotADirectoryError) as error:
            raise self._missing(path, ref) from error
        manifest = Manifest.from_text(text, self.show(path))
        if manifest.digest != ref.digest:
            raise ArtifactDamaged(
                f"{self.show(path)} describes {manifest.digest[:12]}, expected {ref.digest[:12]}. "
                f"Folders were mixed up: run the flow again, which replaces it, or restore it from a copy."
            )
        return manifest

    def verify(self, ref: Ref[Any]) -> None:
        """Pass silently if the artifact is there, whole and unaltered.

        Raises:
            ArtifactMissing, ArtifactDamaged, SchemaMismatch: as for `manifest` and `check_part`.
        """
        for part in self.manifest(ref).parts:
            self.check_part(ref, part, deep=not disk_is_trusted())

    def open_part(self, ref: Ref[Any], part: Part) -> pa.NativeFile:
        """Return the part, open for reading, after `check_part`."""
        self.check_part(ref, part, deep=not disk_is_trusted())
        return self.files.open_input_file(f"{ref.path}/{part.name}")

    def check_part(self, ref: Ref[Any], part: Part, *, deep: bool) -> None:
        """Pass silently if the part has the recorded size and, with `deep`, the recorded sha256 and honest pages.

        Raises:
            ArtifactMissing: it is gone.
            ArtifactDamaged: it differs, leads out of the root, or unpacks to more than a part may.
        """
        path = f"{ref.path}/{part.name}"
        self._check_inside(path)
        info = self.files.get_file_info(path)
        if info.type != fs.FileType.File:
            raise self._missing(path, ref)
        cure = "Run the flow again, which replaces it, or restore the file from a copy."
        if info.size != part.bytes:
            raise ArtifactDamaged(f"{self.show(path)} has {info.size} bytes, expected {part.bytes}. {cure}")
        if not deep:
            return
        found = self._sha256(path, info, part.sha256)
        if found != part.sha256:
            raise ArtifactDamaged(
                f"{self.show(path)} was altered: sha256 {found[:12]}, expected {part.sha256[:12]}. {cure}"
            )

    def _sha256(self, path: str, info: fs.FileInfo, expected: str) -> str:
        key = (self._name, path, info.size, info.mtime_ns)
        if key in _hashed:
            return _hashed[key]
        with self.files.open_input_stream(path) as stream:
            found = sha256_stream(cast(BinaryIO, stream))
        if found == expected and self.local is not None:  # on an object store, every page would be a request
            with self.files.open_input_file(path) as stream:
                check_pages(stream, self.show(path))
        if is_settled(info.mtime_ns):
            _hashed[key] = found
        return found

    def _check_inside(self, path: str) -> None:
        if self.local is not None and leads_out(self.local, self.local / path):
            raise ArtifactDamaged(
                f"{self.show(path)} leads out of the data root, to {(self.local / path).resolve()}. "
                f"Remove the link and run the flow again, which makes the table anew."
            )

    def _missing(self, path: str, ref: Ref[Any]) -> ArtifactMissing:
        return ArtifactMissing(
            f"{self.show(path)} is gone, expected {ref.kind} {ref.digest[:12]} with {ref.rows} rows. "
            f"Check that the data root is the right one, restore the folder from a copy, or run the flow "
            f"again, which makes it anew."
        )


def leads_out(root: Path, path: Path) -> bool:
    """Return whether a link makes `path`, below `root`, something elsewhere; `root` itself may be one."""
    return not path.resolve().is_relative_to(root.resolve())
