"""Finished grades of single parts of a table of rollouts, kept until the stage that wants them is done.

    <work folder>/grades/<rule and references>/<sha256 of the rollouts>-<sha256 of the grades>.parquet

The name says which rollouts a file belongs to and what it holds: one that was torn or altered is found out without a
record beside it, and one that was made under another rule is never looked at.
"""

import logging
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from artifacts import Grade, PartWriter
from artifacts.durable import fsync, link_or_copy
from artifacts.hashing import sha256_file

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RolloutPart:
    """A finished Parquet file of rollouts: a part of an artifact, or the shard that will be one, byte for byte."""

    path: Path
    sha256: str

    @classmethod
    def of(cls, path: Path) -> "RolloutPart":
        """Read the file for its digest."""
        return cls(path, sha256_file(path))


class GradedParts:
    """The grades of one rule and one table of references that lie in a work folder."""

    def __init__(self, workdir: Path, digest: str) -> None:
        """Name the folder; it is made by the first file."""
        self._folder = workdir / "grades" / digest

    def files(self) -> list[Path]:
        """All finished files."""
        return sorted(self._folder.glob("*-*.parquet"))

    def find(self, part: RolloutPart) -> Path | None:
        """The grades of this part, None if it has none; a file that is not as it was written is removed."""
        for path in self._folder.glob(f"{part.sha256}-*.parquet"):
            if path.stem == f"{part.sha256}-{sha256_file(path)}":
                return path
            log.warning("%s was altered; its answers are graded again", path)
            path.unlink()
        return None

    def keep(self, part: RolloutPart, grades: Iterable[Grade]) -> Path:
        """Write the grades of this part, in their order; nothing stays behind if the iterable raises."""
        self._folder.mkdir(parents=True, exist_ok=True)
        unnamed = self._folder / f".{part.sha256}.{uuid.uuid4().hex}"
        with PartWriter(unnamed, Grade) as writer:
            writer.write_many(grades)
        path = self._folder / f"{part.sha256}-{sha256_file(unnamed)}.parquet"
        unnamed.replace(path)
        fsync(self._folder)
        return path

    def take(self, files: Iterable[Path]) -> None:
        """Have these files as well; they stay where they are."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for path in files:
            if not (self._folder / path.name).exists():
                link_or_copy(path, self._folder / path.name)
