"""Parquet files of others, read in bounded memory however much they unpack to.

A file of kilobytes can hold tens of GiB: a long text that a dictionary names a million times, a run of a billion
entries, a page of zeros. The footer is checked before a value is read; texts stay in their dictionaries until it is
known how long they are together; no type of a library is built and no metadata of pandas is looked at.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

MAX_ROWS = 100_000_000
MAX_COLUMNS = 1000
"""Leaves: a struct of three numbers is three."""
MAX_DEPTH = 16
MAX_FIXED_BYTES = 1 << 16
"""Width of a column of fixed width."""
MAX_RATIO = 100
"""A file that is not small may unpack to so many times its size,"""
MAX_CHUNK_BYTES = 256 << 20
"""and a small one to this in a column of one row group,"""
MAX_TABLE_BYTES = 1 << 30
"""and to this when all its rows are kept."""
MAX_NESTED_VALUES = 1 << 25
MAX_BATCH_BYTES = 64 << 20
"""More than one row is handed out only if they are smaller together."""
MAX_ROW_BYTES = 256 << 20
_PREFIXES = "DELTA_BYTE_ARRAY"


class BoundedParquet:
    """An open Parquet file."""

    def __init__(self, path: Path) -> None:
        """Read and check the footer.

        Raises:
            ValueError, OSError: no Parquet file, or one that claims too much; says what.
        """
        self._packed = path.stat().st_size
        footer = pq.read_metadata(path)
        self.metadata = footer
        _check_footer(footer)
        leaves = [footer.schema.column(index) for index in range(footer.num_columns)]
        texts = [leaf.path for leaf in leaves if leaf.physical_type == "BYTE_ARRAY"]
        # A buffer makes the reader stream a column's pages; without, it loads each row group's columns whole.
        options: dict[str, Any] = {"buffer_size": 1 << 20, "pre_buffer": False, "arrow_extensions_enabled": False}
        self._file = pq.ParquetFile(path, metadata=footer, read_dictionary=texts, **options)
        with pq.ParquetFile(path, metadata=footer, **options) as plain:
            self.schema: pa.Schema = pa.schema([_without_views(each) for each in plain.schema_arrow])
            self.schema = self.schema.with_metadata(plain.schema_arrow.metadata)

    def batches(self, rows: int, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Record batches of at most `rows` rows and 64 MiB, unless one row is larger.

        Raises:
            ValueError, OSError: the file is damaged, or a row has more than 256 MiB.
        """
        for batch in self._file.iter_batches(batch_size=rows, columns=columns):
            yield from self._plain(batch)

    def rows(self) -> Iterator[dict[str, Any]]:
        """All rows, for who keeps them.

        Raises:
            ValueError, OSError: as for `batches`, or the rows have more than 1 GiB and 100 times the file's size.
        """
        size, most = 0, max(MAX_TABLE_BYTES, MAX_RATIO * self._packed)
        for batch in self.batches(1024):
            size += batch.nbytes
            if size > most:
                raise ValueError(f"{self._packed} bytes unpack to more than {most}, too many for what they are")
            yield from batch.to_pylist()

    def _plain(self, batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
        size = sum(_unpacked(column) for column in batch.columns)
        if size > MAX_BATCH_BYTES and batch.num_rows > 1:
            half = batch.num_rows // 2
            yield from self._plain(batch.slice(0, half))
            yield from self._plain(batch.slice(half))
            return
        if size > MAX_ROW_BYTES:
            raise ValueError(f"a row has {size} bytes, expected at most {MAX_ROW_BYTES}")
        known = {field.name: field for field in self.schema}
        fields = [known[name] for name in batch.schema.names]
        columns = [_decoded(column, field.type) for column, field in zip(batch.columns, fields, strict=True)]
        yield pa.RecordBatch.from_arrays(columns, schema=pa.schema(fields, self.schema.metadata))


def _check_footer(footer: Any) -> None:
    if footer.num_rows > MAX_ROWS:
        raise ValueError(f"it claims {footer.num_rows} rows, expected at most {MAX_ROWS}")
    if footer.num_columns > MAX_COLUMNS:
        raise ValueError(f"it has {footer.num_columns} columns, expected at most {MAX_COLUMNS}")
    for index in range(footer.num_columns):
        leaf = footer.schema.column(index)
        if max(leaf.max_definition_level, leaf.path.count(".")) > MAX_DEPTH:
            raise ValueError(f"column {leaf.path[:80]!r} is nested too deeply, expected at most {MAX_DEPTH} levels")
        if leaf.physical_type == "FIXED_LEN_BYTE_ARRAY" and leaf.length > MAX_FIXED_BYTES:
            raise ValueError(
                f"entries of column {leaf.path[:80]!r} have {leaf.length} bytes, expected at most {MAX_FIXED_BYTES}"
            )
        for group in range(footer.num_row_groups):
            _check_chunk(footer.row_group(group).column(index), nested=leaf.max_repetition_level > 0)


def _check_chunk(chunk: Any, *, nested: bool) -> None:
    name, packed, unpacked = chunk.path_in_schema[:80], chunk.total_compressed_size, chunk.total_uncompressed_size
    if unpacked > max(MAX_CHUNK_BYTES, MAX_RATIO * packed):
        raise ValueError(f"{packed} bytes of column {name!r} claim to unpack to {unpacked}")
    if nested and chunk.num_values > max(MAX_NESTED_VALUES, MAX_RATIO * packed):
        raise ValueError(f"{packed} bytes of column {name!r} claim to be {chunk.num_values} entries of lists")
    if _PREFIXES in chunk.encodings:
        raise ValueError(f"column {name!r} is stored by prefixes ({_PREFIXES}), of which nobody knows the size before")


def _without_views(field: pa.Field) -> pa.Field:
    """A dictionary cannot be turned into text of this layout; the usual one says the same."""
    if field.type == pa.string_view():
        return field.with_type(pa.string())
    return field.with_type(pa.binary()) if field.type == pa.binary_view() else field


def _decoded(column: Any, kind: pa.DataType) -> Any:
    """The column without dictionaries. A cast forgets entries of the type null inside lists, so it is not asked."""
    if column.type == kind:
        return column
    return pa.array(column.to_pylist(), kind) if pa.types.is_nested(kind) and "null" in str(kind) else column.cast(kind)


def _unpacked(array: Any) -> int:
    """Bytes of an array when every entry of a dictionary is copied to where it is named."""
    kind = array.type
    if isinstance(array, pa.DictionaryArray):
        lengths = pc.call_function("binary_length", [array.dictionary]).cast(pa.int64())
        return array.nbytes + (pc.call_function("sum", [lengths.take(array.indices)]).as_py() or 0)
    if pa.types.is_map(kind):
        return array.nbytes + _unpacked(array.keys) + _unpacked(array.items)
    if pa.types.is_nested(kind) and hasattr(array, "flatten"):
        inner = array.flatten()
        return array.nbytes + sum(_unpacked(each) for each in (inner if isinstance(inner, list) else [inner]))
    return array.nbytes
