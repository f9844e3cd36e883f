"""Files for other tools: rows in bounded memory, under the final name only once the last row is there."""

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from eval_math.files.write import replacing

Rows = Iterable[dict[str, Any]]
_GROUP_ROWS = 1024
"""Rows of a row group, and in memory at once."""


def check_output(path: Path, suffixes: tuple[str, ...], *, force: bool) -> None:
    """Refuse a name whose format is not meant, or that would destroy something.

    Raises:
        ValueError: with what to change.
    """
    if path.suffix not in suffixes:
        raise ValueError(f"--out {path}: the format follows from the name; expected one in {' or '.join(suffixes)}")
    if path.is_dir():
        raise ValueError(f"--out {path} is a folder; name a file in it")
    if path.exists() and not force:
        raise ValueError(f"--out {path} exists; choose another name, or say --force to replace it")


def write(path: Path, rows: Rows, columns: pa.Schema | None = None) -> int:
    """Write the rows as Parquet or JSONL, by the name; return their number.

    Without any row nothing is written. `columns` are what Parquet needs to know, and may say about the whole file.

    Raises:
        ValueError: the folder is not there, or a text is no valid Unicode.
    """
    number, groups = 0, _groups(iter(rows))
    group = next(groups, [])
    if not group:
        return 0
    with replacing(path) as handle, _writer(handle, path, columns) as add:
        while group:
            add(group)
            number += len(group)
            group = next(groups, [])
    return number


def _groups(rows: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    while group := list(islice(rows, _GROUP_ROWS)):
        yield group


@contextmanager
def _writer(
    handle: IO[bytes], path: Path, columns: pa.Schema | None
) -> Iterator[Callable[[list[dict[str, Any]]], None]]:
    if path.suffix == ".parquet":
        assert columns is not None
        with pq.ParquetWriter(handle, columns, compression="zstd") as writer:
            yield lambda group: writer.write_table(pa.Table.from_pylist(group, columns))
    else:
        yield lambda group: handle.writelines((json.dumps(row, ensure_ascii=False) + "\n").encode() for row in group)
