"""Collects rows and finished Parquet files into one new artifact.

Nothing appears in the store before the `with` block has ended well: parts are written to a scratch folder,
which becomes the artifact by a rename, or disappears.
"""

# pyarrow ships no types, so strict checking would only report what it cannot know.
# pyright: basic

import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Generic

import pyarrow as pa
import pyarrow.parquet as pq

from artifacts.durable import fsync, link_or_copy, scratch, write_atomically
from artifacts.errors import ArtifactMissing, EmptyArtifact
from artifacts.hashing import sha256_file
from artifacts.manifest import MANIFEST, Manifest, Part, Ref, digest_of
from artifacts.parts import NeighbourKeys, PartWriter, part_batches
from artifacts.schema import Row

PART_ROWS = 1 << 20
PART_BYTES = 512 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where an artifact comes from; recorded, but no part of its identity."""

    parents: Sequence[str]
    producer: Mapping[str, Any]


class ArtifactWriter(Generic[Row]):
    """Writes one artifact; use as `with store.writer(Rollout, ...) as writer`, then take `writer.ref`."""

    def __init__(
        self,
        row_type: type[Row],
        origin: Origin,
        *,
        scratch_parent: Path | None,
        publish: Callable[[Path, Manifest], None],
        allow_empty: bool,
    ) -> None:
        """Prepare; `publish` moves the finished scratch folder to its place."""
        self.summary: dict[str, Any] = {}
        """Small JSON facts for the manifest: counts in, out, dropped by reason."""
        self._row_type = row_type
        self._origin = origin
        self._publish = publish
        self._allow_empty = allow_empty
        self._stack = ExitStack()
        self._scratch_parent = scratch_parent
        self._parts: list[Part] = []
        self._open: PartWriter[Row] | None = None
        self._keys = NeighbourKeys(row_type)
        self._ref: Ref[Row] | None = None

    @property
    def rows(self) -> int:
        """Rows taken so far."""
        return sum(part.rows for part in self._parts) + (self._open.rows if self._open else 0)

    @property
    def ref(self) -> Ref[Row]:
        """The finished artifact's reference; only after the `with` block."""
        assert self._ref is not None, "writer.ref exists after the `with` block has ended without an exception"
        return self._ref

    def write(self, row: Row) -> None:
        """Append one row."""
        self._writer().write(row)

    def write_many(self, rows: Iterable[Row]) -> None:
        """Append rows from any iterable."""
        for row in rows:
            self.write(row)

    def write_batch(self, batch: pa.RecordBatch) -> None:
        """Append a record batch that has the columns of the row type.

        Raises:
            SchemaMismatch: a column differs or holds a null that it may not hold.
            DuplicateKey: two neighbouring rows have the same key.
        """
        while batch.num_rows:
            writer = self._writer()
            head = batch.slice(0, PART_ROWS - writer.rows)
            batch = batch.slice(head.num_rows)
            writer.write_batch(head)

    def adopt(self, path: Path | str) -> None:
        """Take a Parquet file that `PartWriter` has written as the next part, byte for byte.

        The file is hard-linked (copied across disks) and stays where it is, so a failure later in the block
        costs the caller nothing; it must not be changed in place afterwards. A file without rows adds
        nothing.

        Raises:
            ArtifactMissing: there is no such file.
            SchemaMismatch: it holds other rows.
            DuplicateKey: two neighbouring rows have the same key.
        """
        path = Path(path)
        if not path.is_file():
            raise ArtifactMissing(f"{path} is gone; expected a finished Parquet part. Write the shard again.")
        self._close_part()
        for batch in part_batches(path, self._row_type, columns=self._row_type.KEY):
            self._keys.check(batch)
        if rows := pq.read_metadata(path).num_rows:
            target = self._next_part()
            link_or_copy(path, target)
            fsync(target)
            self._add_part(target, rows)

    def __enter__(self) -> "ArtifactWriter[Row]":
        """Create the scratch folder."""
        self._folder = self._stack.enter_context(scratch(self._scratch_parent))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Publish the artifact, or leave nothing behind if the block raised.

        Raises:
            EmptyArtifact: no rows, and `allow_empty` was not given.
        """
        with self._stack:
            if kind is None:
                self._finish()
            elif self._open is not None:
                self._open.__exit__(kind, error, trace)

    def _finish(self) -> None:
        self._close_part()
        if not self._parts:
            if not self._allow_empty:
                raise EmptyArtifact(
                    f"No {self._row_type.KIND!r} rows were written, expected at least one. The summary tells "
                    f"where rows were dropped: {self.summary}. "
                    f"Pass allow_empty=True where none is a valid result."
                )
            self._writer()
            self._close_part()
        parts, version = tuple(self._parts), self._row_type.VERSION
        manifest = Manifest(
            kind=self._row_type.KIND,
            schema_version=version,
            rows=sum(part.rows for part in parts),
            bytes=sum(part.bytes for part in parts),
            digest=digest_of(self._row_type.KIND, version, parts),
            parts=parts,
            parents=tuple(self._origin.parents),
            producer=dict(self._origin.producer),
            tools={"python": platform.python_version(), "pyarrow": pa.__version__},
            summary=self.summary,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        write_atomically(self._folder / MANIFEST, manifest.to_text().encode())
        self._publish(self._folder, manifest)
        self._ref = manifest.ref()

    def _next_part(self) -> Path:
        return self._folder / f"part-{len(self._parts):05d}.parquet"

    def _writer(self) -> PartWriter[Row]:
        full = self._open and (self._open.rows >= PART_ROWS or self._open.bytes_written >= PART_BYTES)
        if full:
            self._close_part()
        if self._open is None:
            self._open = PartWriter(self._next_part(), self._row_type, self._keys)
        return self._open

    def _close_part(self) -> None:
        if self._open is not None:
            writer, self._open = self._open, None
            writer.__exit__(None, None, None)
            self._add_part(writer.path, writer.rows)

    def _add_part(self, path: Path, rows: int) -> None:
        self._parts.append(Part(path.name, rows, path.stat().st_size, sha256_file(path)))
