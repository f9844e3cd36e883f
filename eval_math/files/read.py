"""Read JSONL and Parquet in batches; what a file is, its first bytes say, not its name.

A JSONL file is read twice. The first pass finds every broken line, the columns and the number of rows before
an hour of grading has gone by, and lets others look at the rows: what type a column has is known at the end only.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from eval_math.files.messages import BadInput, shown
from eval_math.problems.lines import LineTooLong, lines

if TYPE_CHECKING:
    import pyarrow as pa

    Batch = list[dict[str, Any]] | pa.RecordBatch

Visitor = Callable[[list[dict[str, Any]]], None]
METADATA = b"eval_math.grade"
"""Where a Parquet file says how it was graded."""
BATCH_ROWS, BATCH_BYTES = 1024, 8 << 20


class JsonLines:
    """One JSON object per line; blank lines do not count."""

    facts: dict[str, Any] | None = None
    """How the file was graded: JSONL has no place to say so."""

    def __init__(self, path: Path, limit: int | None = None, visitors: Sequence[Visitor] = ()) -> None:
        """Read the file once, or its first `limit` rows, showing each batch to the visitors."""
        self.path = path
        self.num_rows = 0
        found: dict[str, None] = {}
        for batch in self.batches():
            if limit is not None:
                batch = batch[: limit - self.num_rows]
            self.num_rows += len(batch)
            for row in batch:
                found.update(dict.fromkeys(row))
            for visit in visitors:
                visit(batch)
            if self.num_rows == limit:
                break
        self.columns = list(found)

    def batches(self, columns: list[str] | None = None) -> Iterator[list[dict[str, Any]]]:
        """Lists of rows, bounded in number and size."""
        del columns
        rows: list[dict[str, Any]] = []
        size = 0
        with self.path.open("rb") as stream:
            for number, line in self._lines(stream):
                rows.append(self._row(number, line))
                size += len(line)
                if len(rows) >= BATCH_ROWS or size >= BATCH_BYTES:
                    yield rows
                    rows, size = [], 0
        if rows:
            yield rows

    def cells(self, batch: list[dict[str, Any]], column: str) -> list[Any]:
        """One column of a batch."""
        return [row.get(column) for row in batch]

    def _lines(self, stream: BinaryIO) -> Iterator[tuple[int, bytes]]:
        try:
            yield from lines(stream)
        except LineTooLong as error:
            raise BadInput(f"{self.path}: {error}") from error

    def _row(self, number: int, line: bytes) -> dict[str, Any]:
        place = f"{self.path}, line {number}"
        try:
            row = json.loads(line.decode("utf-8-sig" if number == 1 else "utf-8"))
        except UnicodeDecodeError as error:
            raise BadInput(f"{place}: not UTF-8 text; expected JSON lines in UTF-8, or Parquet") from error
        except (ValueError, RecursionError) as error:
            fix = "expected one JSON object per line, or a Parquet file"
            why = "nested too deeply" if isinstance(error, RecursionError) else error
            if line.lstrip()[:1] == b"[":
                fix = "one array over many lines is no JSONL: `jq -c '.[]'` makes JSONL of it"
            raise BadInput(f"{place}: not JSON ({why}); {fix}") from error
        if not isinstance(row, dict):
            fix = " (`jq -c '.[]'` makes JSONL of an array)" if isinstance(row, list) else ""
            raise BadInput(f"{place}: a {type(row).__name__}, expected one JSON object per line{fix}")
        return row


class Parquet:
    """A Parquet file, read page by page."""

    def __init__(self, path: Path) -> None:
        """Read the footer."""
        import pyarrow as pa

        from eval_math.problems.parquet import BoundedParquet

        self.path = path
        try:
            self.file = BoundedParquet(path)
        except (pa.ArrowException, OSError) as error:
            raise BadInput(f"{path} is no complete Parquet file ({error}); was its writing cut short?") from error
        except ValueError as error:
            raise BadInput(f"{path} is refused: {error}; write it anew") from error
        self.schema: pa.Schema = self.file.schema
        self.num_rows: int = self.file.metadata.num_rows
        self.columns: list[str] = self.schema.names
        twice = {name for name in self.columns if self.columns.count(name) > 1}
        if twice:
            raise BadInput(f"{path} has two columns named {shown(min(twice))!r}; rename one of them")
        written = (self.schema.metadata or {}).get(METADATA)
        self.facts: dict[str, Any] | None = json.loads(written) if written else None
        self.as_json = frozenset(self.facts.get("json_columns", ()) if self.facts else ())
        """Columns of mixed types that this package stored as JSON text."""

    def batches(self, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Record batches, bounded in rows and, as far as the average row says, in size."""
        groups = [self.file.metadata.row_group(index) for index in range(self.file.metadata.num_row_groups)]
        size = sum(group.total_byte_size for group in groups) / max(1, self.num_rows)
        rows = max(1, min(BATCH_ROWS, int(BATCH_BYTES / max(1.0, size))))
        done = 0
        try:
            for batch in self.file.batches(rows, columns):
                yield batch
                done += batch.num_rows
        except (ValueError, OSError) as error:  # pyarrow's own errors derive from these
            raise BadInput(f"{self.path} cannot be read after row {done} ({error}); write or fetch it again") from error

    def cells(self, batch: pa.RecordBatch, column: str) -> list[Any]:
        """One column of a batch as Python values; of single-precision numbers, what a person would write."""
        import pyarrow as pa

        array = batch.column(batch.schema.get_field_index(column))
        if column in self.as_json:
            return [None if text is None else json.loads(text) for text in array.to_pylist()]
        if array.type == pa.float32():
            return [_decimals(text) for text in array.cast(pa.string()).to_pylist()]
        if array.type == pa.list_(pa.float32()):
            return [_decimals(texts) for texts in array.cast(pa.list_(pa.string())).to_pylist()]
        return array.to_pylist()


def open_table(path: Path, limit: int | None = None, visitors: Sequence[Visitor] = ()) -> JsonLines | Parquet:
    """The file as a table with at least one row; of JSONL, only the first `limit` rows are looked at.

    Raises:
        BadInput: not there, not readable, empty, or neither JSONL nor Parquet.
    """
    if path.is_dir():
        raise BadInput(f"{path} is a folder; name one .jsonl or .parquet file in it")
    try:
        with path.open("rb") as handle:
            head = handle.read(4)
        table = Parquet(path) if head == b"PAR1" else JsonLines(path, limit, visitors)
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror or error}; check the path") from error
    if not table.num_rows:
        raise BadInput(f"{path} has no rows; expected one JSON object per line, or a Parquet file with rows")
    return table


def _decimals(value: Any) -> Any:
    if isinstance(value, list):
        return [_decimals(each) for each in value]
    return None if value is None else Decimal(value)
