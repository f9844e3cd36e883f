"""Immutable, content-addressed tables on a disk or an object store.

    <root>/<kind>/<2 digits>/<digest>/manifest.json
                                      part-00000.parquet ...
    <root>/.writing/                  scratch folders of running writers

Why immutable: a stage that is interrupted, repeated or run twice at the same time can then do no harm, and a
ref means the same bytes for ever. Why plain Parquet: any part opens in datasets, polars or DuckDB without
this package.
"""

# pyarrow ships no types, so strict checking would only report what it cannot know.
# pyright: basic

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import fs

from artifacts.bounds import open_parquet
from artifacts.errors import SchemaMismatch
from artifacts.location import Location
from artifacts.manifest import Manifest, Part, Ref
from artifacts.parts import group_batches
from artifacts.publish import publish
from artifacts.schema import Row, check_schema, check_version, from_batch
from artifacts.writer import ArtifactWriter, Origin


class Store:
    """A root folder, local or remote, and the artifacts in it."""

    def __init__(self, root: str | Path, *, filesystem: fs.FileSystem | None = None) -> None:
        """Open the store; nothing is created before the first write.

        `root` is a local path, a URI such as s3://bucket/prefix, or a path within `filesystem` if that is
        given.
        """
        self._location = Location(root, filesystem)

    def __repr__(self) -> str:
        """Show the root."""
        return f"Store({self._location.show('')!r})"

    def writer(
        self,
        row_type: type[Row],
        *,
        parents: Sequence[str] = (),
        producer: Mapping[str, Any] | None = None,
        allow_empty: bool = False,
    ) -> ArtifactWriter[Row]:
        """Return a writer for one new artifact, to be used in a `with` block.

        `parents` are digests, `producer` is JSON (config slice, code digest); both are recorded, neither
        changes the digest.
        """
        local = self._location.local
        return ArtifactWriter(
            row_type,
            Origin(parents=parents, producer=producer or {}),
            scratch_parent=local / ".writing" if local else None,
            publish=partial(publish, location=self._location),
            allow_empty=allow_empty,
        )

    def manifest(self, ref: Ref[Any]) -> Manifest:
        """Return what is recorded about the artifact; its parts are not looked at.

        Raises:
            ArtifactMissing: the folder or its manifest is gone.
            ArtifactDamaged: the manifest was altered, or is not the one that the ref names.
            SchemaMismatch: a newer version of this package wrote it.
        """
        return self._location.manifest(ref)

    def verify(self, ref: Ref[Any]) -> None:
        """Pass silently if the artifact is there, whole and unaltered.

        A part is hashed once per process and file version.

        Raises:
            ArtifactMissing: the folder, its manifest or a part is gone.
            ArtifactDamaged: a part or the manifest was altered.
            SchemaMismatch: a newer version of this package wrote it.
        """
        self._location.verify(ref)

    def batches(self, ref: Ref[Any], columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Yield record batches of at most 8192 rows, in order; only `columns` if given.

        Raises:
            ArtifactMissing, ArtifactDamaged, SchemaMismatch: as for `verify`; a part is checked before its
            first batch.
        """
        for part in self.manifest(ref).parts:
            with self._open(ref, part) as parquet:
                yield from group_batches(parquet, columns)

    def table(self, ref: Ref[Any], columns: Sequence[str] | None = None) -> pa.Table:
        """Return the whole artifact in memory, for small ones.

        Raises:
            ArtifactMissing, ArtifactDamaged, SchemaMismatch: as for `verify`.
        """
        tables = []
        for part in self.manifest(ref).parts:
            with self._open(ref, part) as parquet:
                batches = list(group_batches(parquet, columns))
                found = pa.Table.from_batches(batches) if batches else parquet.schema_arrow.empty_table()
                tables.append(found.select(list(columns)) if columns else found)
        return pa.concat_tables(tables).unify_dictionaries()

    def mapped(self, ref: Ref[Any], scratch: Path, columns: Sequence[str] | None = None) -> pa.Table:
        """Return the whole artifact as the memory map of a plain copy: its pages are the system's to drop and reread.

        The copy is a file in `scratch` whose name is gone before this returns; its space is, with the table.

        Raises:
            ArtifactMissing, ArtifactDamaged, SchemaMismatch: as for `verify`.
        """
        with ExitStack() as stack:
            copy = stack.enter_context(tempfile.NamedTemporaryFile(dir=scratch))
            writer: Any = None
            for batch in map(_without_dictionaries, self.batches(ref, columns)):
                writer = writer or stack.enter_context(pa.ipc.new_file(copy.name, batch.schema))
                writer.write_batch(batch)
            if writer is None:
                return self.table(ref, columns)
            writer.close()
            return pa.ipc.open_file(pa.memory_map(copy.name)).read_all()

    def read(self, ref: Ref[Any], row_type: type[Row]) -> Iterator[Row]:
        """Yield the rows in the order they were written, holding one row group at a time.

        Raises:
            ArtifactMissing, ArtifactDamaged: as for `verify`; a part is checked before its first row.
            SchemaMismatch: the artifact holds other rows, or another version of them.
        """
        manifest, where = self.manifest(ref), self._location.show(ref.path)
        if manifest.kind != row_type.KIND:
            raise SchemaMismatch(
                f"{where} holds {manifest.kind!r} rows, expected {row_type.KIND!r}. Pass the right ref."
            )
        check_version(manifest.schema_version, row_type, where)
        for part in manifest.parts:
            with self._open(ref, part) as parquet:
                check_schema(parquet.schema_arrow, row_type, f"{where}/{part.name}")
                for batch in group_batches(parquet):
                    yield from from_batch(batch, row_type)

    def grouped(self, ref: Ref[Any], row_type: type[Row]) -> Iterator[list[Row]]:
        """Yield lists of neighbouring rows that share a `prompt_id`.

        A `prompt_id` that returns after others starts another list: noticing it would need memory for every
        id.

        Raises:
            ArtifactMissing, ArtifactDamaged, SchemaMismatch: as for `read`.
        """
        for _, rows in groupby(self.read(ref, row_type), key=attrgetter("prompt_id")):
            yield list(rows)

    @contextmanager
    def _open(self, ref: Ref[Any], part: Part) -> Iterator[Any]:
        where = self._location.show(f"{ref.path}/{part.name}")
        with self._location.open_part(ref, part) as stream, open_parquet(stream, where) as parquet:
            yield parquet


def _without_dictionaries(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Row groups have dictionaries of their own, and an Arrow file holds one per column."""
    columns = [c.dictionary_decode() if isinstance(c, pa.DictionaryArray) else c for c in batch.columns]
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)
