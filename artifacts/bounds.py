"""What a part may cost to read, checked in its footer and its page headers before a value is unpacked.

A hash says that bytes are those of the manifest, not who wrote both. Parquet can pack tens of GiB into kilobytes: by
long runs, by a dictionary or shared prefixes, by compression. `PartWriter` uses runs and dictionaries in known places
only, so whatever a row group of its own can hold is at most what its pages hold unpacked, and that is bounded here.
"""

# pyarrow ships no types, so strict checking would only report what it cannot know.
# pyright: basic

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from artifacts.errors import ArtifactDamaged
from artifacts.pages import pages

GROUP_ROWS = 8192
"""Most rows of a row group."""
GROUP_BYTES = 32 << 20
"""At so many bytes of Arrow data a row group is closed; only a single batch of very long rows goes beyond."""
MAX_GROUP_BYTES = 256 << 20
"""Most bytes of Arrow data of a row group. Neither written nor read if more."""
_MAX_VALUES = MAX_GROUP_BYTES // 4
_MAX_COLUMNS = 64
_HEADERS = 1 << 20
"""Room for page headers and levels, which are no Arrow data."""
_PLAIN, _RLE = 0, 3
_DICTIONARY = {_PLAIN, 2, 8}
_CURE = "Run the flow again, which replaces it, or restore the file from a copy."


def open_parquet(source: Any, where: str) -> pq.ParquetFile:
    """Open a part whose row groups are no larger than `PartWriter` makes them; `source` is a path or a file.

    Raises:
        ArtifactDamaged: no Parquet file, or one that would unpack to more.
    """
    try:
        # Types that a library has registered are built by that library's code, from what the file says.
        parquet = pq.ParquetFile(source, arrow_extensions_enabled=False)
    except FileNotFoundError:
        raise
    except (pa.ArrowException, OSError) as error:
        raise ArtifactDamaged(f"{where} cannot be read as Parquet ({error}). {_CURE}") from error
    try:
        _check_footer(parquet)
    except ValueError as error:
        parquet.close()
        raise ArtifactDamaged(f"{where} is refused: {error}. {_CURE}") from error
    return parquet


def check_pages(source: Any, where: str) -> None:
    """Pass silently if the pages are what the footer says of them; `source` is an open file.

    Raises:
        ArtifactDamaged: as for `open_parquet`, or a page unpacks to more than the footer says.
    """
    with open_parquet(source, where) as parquet:
        packed = _dictionary_columns(parquet)
        try:
            for group in range(parquet.num_row_groups):
                for index in range(parquet.metadata.num_columns):
                    _check_column(source, parquet.metadata.row_group(group).column(index), packed)
        except ValueError as error:
            raise ArtifactDamaged(f"{where} is refused: {error}. {_CURE}") from error


def unpacked_bytes(rows: pa.RecordBatch | pa.Table) -> int:
    """Size of the rows when each has its own copy of every entry of a dictionary."""
    size = 0
    for column in rows.columns:
        chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
        for chunk in chunks:
            if isinstance(chunk, pa.DictionaryArray):
                lengths = pc.call_function("binary_length", [chunk.dictionary])
                size += pc.call_function("sum", [lengths.take(chunk.indices).cast(pa.int64())]).as_py() or 0
            size += chunk.nbytes
    return size


def _check_footer(parquet: pq.ParquetFile) -> None:
    footer = parquet.metadata
    if footer.num_columns > _MAX_COLUMNS:
        raise ValueError(f"it has {footer.num_columns} columns, expected at most {_MAX_COLUMNS}")
    rows = 0
    for index in range(footer.num_row_groups):
        group = footer.row_group(index)
        columns = [group.column(number) for number in range(footer.num_columns)]
        size = sum(column.total_uncompressed_size for column in columns)
        values = max((column.num_values for column in columns), default=0)
        if not 0 <= group.num_rows <= GROUP_ROWS:
            raise ValueError(f"row group {index} claims {group.num_rows} rows, expected at most {GROUP_ROWS}")
        if not 0 <= size <= MAX_GROUP_BYTES + _HEADERS:
            raise ValueError(f"row group {index} claims {size} bytes, expected at most {MAX_GROUP_BYTES}")
        if not 0 <= values <= _MAX_VALUES:
            raise ValueError(f"row group {index} claims {values} values in a column, expected at most {_MAX_VALUES}")
        rows += group.num_rows
    if rows != footer.num_rows:
        raise ValueError(f"it claims {footer.num_rows} rows, and its row groups {rows}")


def _dictionary_columns(parquet: pq.ParquetFile) -> set[str]:
    """Columns that stay dictionaries in memory, so that a long entry is there once."""
    return {column.name for column in parquet.schema_arrow if pa.types.is_dictionary(column.type)}


def _check_column(source: Any, chunk: Any, packed: set[str]) -> None:
    name = chunk.path_in_schema
    start = chunk.data_page_offset
    if chunk.dictionary_page_offset is not None:
        start = min(start, chunk.dictionary_page_offset)
    allowed = _DICTIONARY if name in packed else {_PLAIN, _RLE}  # RLE is how yes and no are written
    size = values = 0
    for page in pages(source, start, chunk.total_compressed_size):
        if page.encoding not in allowed or (page.is_dictionary and name not in packed):
            raise ValueError(f"column {name!r} has a page of encoding {page.encoding}, which no part of ours has")
        size += page.bytes
        values += 0 if page.is_dictionary else page.values
    if (size, values) != (chunk.total_uncompressed_size, chunk.num_values):
        raise ValueError(
            f"the pages of column {name!r} unpack to {size} bytes and {values} values, and the footer says "
            f"{chunk.total_uncompressed_size} and {chunk.num_values}"
        )
