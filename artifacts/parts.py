"""One Parquet file of rows: written in bounded memory, whole or absent.

A row group closes at 8192 rows or about 32 MiB of Arrow data, whichever comes first, so neither the writer
nor any reader needs more than that at a time, however long the file.
"""

# pyarrow ships no types, so strict checking would only report what it cannot know.
# pyright: basic

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Generic

import pyarrow as pa
import pyarrow.parquet as pq

from artifacts.bounds import GROUP_BYTES, GROUP_ROWS, MAX_GROUP_BYTES, open_parquet, unpacked_bytes
from artifacts.durable import fsync
from artifacts.errors import ArtifactDamaged, SchemaMismatch
from artifacts.keys import NeighbourKeys
from artifacts.schema import (
    Row,
    RowType,
    arrow_schema,
    check_columns,
    check_nulls,
    check_schema,
    from_batch,
    to_batch,
)

_BATCH_ROWS = 256


class PartWriter(Generic[Row]):
    """Writes one Parquet file; under its name only when the `with` block has ended without an exception.

    This is what a worker uses for a shard that `ArtifactWriter.adopt` takes over later.
    """

    def __init__(self, path: Path, row_type: type[Row], keys: NeighbourKeys | None = None) -> None:
        """Open `<path>.partial`, replacing what a killed process has left; `keys` continues a part before."""
        self.path = path
        self.rows = 0
        self._row_type = row_type
        self._aside = path.with_name(path.name + ".partial")
        self._file = pa.OSFile(str(self._aside), "wb")
        schema = arrow_schema(row_type)
        repeated = [column.name for column in schema if pa.types.is_dictionary(column.type)]
        options = {"compression": "zstd", "use_dictionary": repeated}
        self._parquet = pq.ParquetWriter(self._file, schema, **options)
        self._keys = keys or NeighbourKeys(row_type)
        self._unpacked: list[Row] = []
        self._pending: list[pa.RecordBatch] = []
        self._pending_rows = self._pending_bytes = 0

    @property
    def bytes_written(self) -> int:
        """Compressed bytes in the file so far, without the row group that is being filled."""
        return self._file.tell()

    def write(self, row: Row) -> None:
        """Append one row; it is checked when 256 have come together."""
        self._unpacked.append(row)
        self.rows += 1
        if len(self._unpacked) >= _BATCH_ROWS:
            self._pack()

    def write_many(self, rows: Iterable[Row]) -> None:
        """Append rows from any iterable."""
        for row in rows:
            self.write(row)

    def write_batch(self, batch: pa.RecordBatch) -> None:
        """Append a record batch that has exactly the columns of the row type.

        Raises:
            SchemaMismatch: a column differs or holds a null that it may not hold.
            DuplicateKey: two neighbouring rows have the same key.
        """
        check_columns(batch.schema, self._row_type, "The record batch")
        self._pack()
        self.rows += batch.num_rows
        self._append(batch)

    def __enter__(self) -> "PartWriter[Row]":
        """Return the writer itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the file its name, or remove it if the block raised."""
        try:
            with self._file, self._parquet:
                if kind is None:
                    self._pack()
                    self._flush()
            if kind is None:
                fsync(self._aside)
                self._aside.replace(self.path)
                fsync(self.path.parent)
        finally:
            self._aside.unlink(missing_ok=True)

    def _append(self, batch: pa.RecordBatch) -> None:
        check_nulls(batch, self._row_type)
        self._keys.check(batch)
        while batch.num_rows:
            room = max(1, batch.num_rows * (GROUP_BYTES - self._pending_bytes) // max(1, batch.nbytes))
            head = batch.slice(0, min(room, GROUP_ROWS - self._pending_rows))
            batch = batch.slice(head.num_rows)
            self._pending.append(head)
            self._pending_rows += head.num_rows
            self._pending_bytes += head.nbytes
            if self._pending_rows >= GROUP_ROWS or self._pending_bytes >= GROUP_BYTES:
                self._flush()

    def _pack(self) -> None:
        if self._unpacked:
            rows, self._unpacked = self._unpacked, []
            self._append(to_batch(rows, self._row_type))

    def _flush(self) -> None:
        if self._pending:
            table = pa.Table.from_batches(self._pending, schema=arrow_schema(self._row_type))
            if (size := unpacked_bytes(table)) > MAX_GROUP_BYTES:
                raise SchemaMismatch(
                    f"{table.num_rows} neighbouring {self._row_type.KIND!r} rows have {size} bytes, expected at most "
                    f"{MAX_GROUP_BYTES}: no reader would take them. Shorten or drop the longest of them."
                )
            self._parquet.write_table(_with_own_dictionaries(table), row_group_size=GROUP_ROWS)
            self._pending, self._pending_rows, self._pending_bytes = [], 0, 0


def _with_own_dictionaries(table: pa.Table) -> pa.Table:
    # A slice keeps the whole dictionary of the batch it was cut from, and Parquet would store all of it
    # in each group.
    for index, column in enumerate(table.schema):
        if pa.types.is_dictionary(column.type):
            strings = table.column(index).cast(pa.string()).combine_chunks()
            table = table.set_column(index, column, strings.dictionary_encode())
    return table


def part_batches(
    source: Path | pa.NativeFile, row_type: type[RowType], columns: Sequence[str] | None = None
) -> Iterator[pa.RecordBatch]:
    """Yield the record batches of one Parquet file, row group by row group.

    Raises:
        SchemaMismatch: the file holds something else than rows of `row_type`.
    """
    with open_parquet(source, f"{source}") as parquet:
        check_schema(parquet.schema_arrow, row_type, f"{source}")
        yield from group_batches(parquet, columns)


def group_batches(parquet: pq.ParquetFile, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
    """Yield the record batches of an open file with one row group in memory at a time."""
    names = list(columns) if columns else None
    for group in range(parquet.num_row_groups):
        # One call for all groups would keep every group it has passed in memory until the file is closed.
        for batch in parquet.iter_batches(GROUP_ROWS, row_groups=[group], columns=names):
            if (size := unpacked_bytes(batch)) > MAX_GROUP_BYTES:
                raise ArtifactDamaged(
                    f"Row group {group} has {size} bytes with its dictionaries, expected at most {MAX_GROUP_BYTES}. "
                    f"Run the flow again, which replaces it, or restore the file from a copy."
                )
            yield batch


def read_part(path: Path, row_type: type[Row]) -> Iterator[Row]:
    """Yield the rows of one Parquet file, which need not be part of an artifact.

    Raises:
        SchemaMismatch: the file holds something else than rows of `row_type`.
    """
    for batch in part_batches(path, row_type):
        yield from from_batch(batch, row_type)
