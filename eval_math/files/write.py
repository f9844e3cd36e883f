"""Write the rows with their verdicts, under a temporary name until the last one is there."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from eval_math.files.columns import Columns, text_array
from eval_math.files.messages import BadInput, shown
from eval_math.files.read import METADATA, JsonLines, Parquet
from eval_math.verdict import Grade

if TYPE_CHECKING:
    import pyarrow as pa

    from eval_math.files.read import Batch

VERDICT = ("correct", "reason", "stage", "answer")
SUFFIXES = (".parquet", ".jsonl")
GROUP_ROWS, GROUP_BYTES = 1 << 16, 32 << 20
"""Rows are gathered up to so many before a row group is written."""


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """A file that takes the place of `path` when the block ends well, and vanishes when it does not."""
    path = path.resolve()  # a link stays a link
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        handle = partial.open("xb")
    except OSError as error:
        raise BadInput(
            f"{path} cannot be written: {error.strerror or error}; make the folder or choose another"
        ) from error
    try:
        with handle:
            yield handle
            handle.flush()
            os.fsync(handle.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def output(
    path: Path, table: JsonLines | Parquet, columns: Columns, prefix: str, facts: dict[str, Any]
) -> Iterator[ParquetWriter | JsonWriter]:
    """A writer in the format that the name ends in; `facts` are kept where the format has a place for them."""
    with replacing(path) as handle:
        if path.suffix == ".parquet":
            writer = ParquetWriter(handle, table, columns, prefix, facts)
        else:
            writer = JsonWriter(handle, table, prefix)
        try:
            yield writer
        finally:
            writer.close()


def check_output(path: Path, source: Path, columns: Sequence[str], prefix: str) -> None:
    """Refuse what would fail, or destroy something, at the end of the work.

    Raises:
        BadInput: with what to change.
    """
    if path.suffix not in SUFFIXES:
        raise BadInput(f"--out {path}: the format follows from the name; end it in .parquet or .jsonl")
    if path.is_dir():
        raise BadInput(f"--out {path} is a folder; name a file in it")
    if path.resolve() == source.resolve():
        raise BadInput(f"--out {path} is the input itself; choose another name")
    taken = [prefix + name for name in VERDICT if prefix + name in columns]
    if taken:
        raise BadInput(
            f"the input has a column {taken[0]!r} already; add --prefix, such as --prefix graded_ for "
            f"graded_{VERDICT[0]}, graded_{VERDICT[1]} and so on"
        )


class ParquetWriter:
    """Rows of either kind of table, and their verdicts, as Parquet."""

    def __init__(
        self, handle: IO[bytes], table: JsonLines | Parquet, columns: Columns, prefix: str, facts: dict[str, Any]
    ) -> None:
        """Write the head."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        self.columns = columns
        self.source: pa.Schema = table.schema if isinstance(table, Parquet) else columns.schema()
        as_json = table.as_json if isinstance(table, Parquet) else columns.as_json
        self.kinds = [pa.bool_(), pa.string(), pa.int8(), pa.string()]
        added = [pa.field(prefix + name, kind) for name, kind in zip(VERDICT, self.kinds, strict=True)]
        note = json.dumps({**facts, "json_columns": sorted(as_json)}).encode()
        self.schema = pa.schema([*self.source, *added], {**(self.source.metadata or {}), METADATA: note})
        self.writer = pq.ParquetWriter(handle, self.schema, compression="zstd")
        self.waiting: list[pa.RecordBatch] = []

    def write(self, batch: Batch, grades: Sequence[Grade]) -> None:
        """Add one batch."""
        import pyarrow as pa

        rows = self.columns.batch(batch, self.source) if isinstance(batch, list) else batch
        added = [
            pa.array([grade.correct for grade in grades], self.kinds[0]),
            pa.array([grade.reason.value for grade in grades], self.kinds[1]),
            pa.array([grade.stage for grade in grades], self.kinds[2]),
            text_array([grade.answer for grade in grades]),
        ]
        self.waiting.append(pa.RecordBatch.from_arrays([*rows.columns, *added], schema=self.schema))
        rows_waiting = sum(each.num_rows for each in self.waiting)
        if rows_waiting >= GROUP_ROWS or sum(each.nbytes for each in self.waiting) >= GROUP_BYTES:
            self._flush()

    def close(self) -> None:
        """Write what is left and the footer."""
        self._flush()
        self.writer.close()

    def _flush(self) -> None:
        import pyarrow as pa

        if self.waiting:
            self.writer.write_table(pa.Table.from_batches(self.waiting, self.schema), row_group_size=GROUP_ROWS)
            self.waiting = []


class JsonWriter:
    """Rows of either kind of table, and their verdicts, as JSON lines."""

    def __init__(self, handle: IO[bytes], table: JsonLines | Parquet, prefix: str) -> None:
        """Refuse what JSON cannot hold."""
        self.handle, self.table, self.prefix = handle, table, prefix
        if isinstance(table, Parquet):
            for field in table.schema:
                if "binary" in str(field.type):
                    raise BadInput(
                        f"column {shown(field.name)!r} holds bytes, which JSON cannot; write a .parquet file"
                    )

    def write(self, batch: Batch, grades: Sequence[Grade]) -> None:
        """Add one batch."""
        rows = batch if isinstance(batch, list) else batch.to_pylist(maps_as_pydicts="lossy")
        as_json = self.table.as_json if isinstance(self.table, Parquet) else ()
        for row, grade in zip(rows, grades, strict=True):
            restored = {name: json.loads(row[name]) for name in as_json if row[name] is not None}
            verdict = (grade.correct, grade.reason.value, grade.stage, grade.answer)
            added = {self.prefix + name: value for name, value in zip(VERDICT, verdict, strict=True)}
            self.handle.write(_line({**row, **restored, **added}))

    def close(self) -> None:
        """Nothing is left."""


def _line(row: dict[str, Any]) -> bytes:
    try:
        # Dates and decimals have no JSON type: they are written as text.
        return (json.dumps(row, ensure_ascii=False, default=str) + "\n").encode()
    except UnicodeEncodeError:  # halves of surrogate pairs can be written as escapes only
        return (json.dumps(row, default=str) + "\n").encode()
