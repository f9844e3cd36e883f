"""Arrow columns for JSON rows: the narrowest type that holds every row, found while the rows stream by.

Integers and decimals in one column become decimals, and objects with different fields get all of them. A column
without a common type (texts and numbers, say), or with other keys in every object, is stored as JSON text, each cell
as it stood; nothing is lost.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from eval_math.files.messages import BadInput, shown

if TYPE_CHECKING:
    import pyarrow as pa

MAX_FIELDS = 200
"""An object with more fields has other keys in every row: names or numbers, which would each become a column."""


class Columns:
    """The columns of a JSONL file; `see` every batch, then convert batches."""

    def __init__(self) -> None:
        """Know no column yet."""
        self.types: dict[str, pa.DataType] = {}
        self.as_json: set[str] = set()

    def see(self, rows: list[dict[str, Any]]) -> None:
        """Widen the types until they hold these rows."""
        import pyarrow as pa

        for name in dict.fromkeys(key for row in rows for key in row):
            if name in self.as_json:
                continue
            try:
                found = _array([row.get(name) for row in rows]).type
                self.types[name] = _merged(self.types.get(name, pa.null()), found)
                too_wide = _num_fields(self.types[name]) > MAX_FIELDS
            except (pa.ArrowException, OverflowError, RecursionError):
                too_wide = True
            if too_wide:
                self._keep_as_json(name)

    def schema(self) -> pa.Schema:
        """The schema of all rows seen."""
        import pyarrow as pa

        for name, kind in self.types.items():
            if _is_hollow(kind):
                self._keep_as_json(name)
        return pa.schema(list(self.types.items()))

    def batch(self, rows: list[dict[str, Any]], schema: pa.Schema) -> pa.RecordBatch:
        """These rows under the schema."""
        import pyarrow as pa

        arrays = [self._column(rows, field) for field in schema]
        return pa.RecordBatch.from_arrays(arrays, schema=schema)

    def _keep_as_json(self, name: str) -> None:
        import pyarrow as pa

        self.as_json.add(name)
        self.types[name] = pa.string()

    def _column(self, rows: list[dict[str, Any]], field: pa.Field) -> pa.Array:
        import pyarrow as pa

        if field.name in self.as_json:
            texts = [json.dumps(row[field.name]) if row.get(field.name) is not None else None for row in rows]
            return pa.array(texts, pa.string())
        try:
            return _array([row.get(field.name) for row in rows], field.type)
        except (pa.ArrowException, OverflowError) as error:
            raise BadInput(
                f"column {shown(field.name)!r} cannot be stored as {field.type} ({error}); write a .jsonl file"
            ) from error


def text_array(texts: list[str | None]) -> pa.Array:
    """Texts as Arrow strings; halves of surrogate pairs, which are no text, become replacement characters."""
    import pyarrow as pa

    return _array(texts, pa.string())


def _array(values: list[Any], kind: pa.DataType | None = None) -> pa.Array:
    import pyarrow as pa

    try:
        return pa.array(values, kind)
    except UnicodeEncodeError:
        return pa.array([_encodable(value) for value in values], kind)


def _encodable(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
    if isinstance(value, list):
        return [_encodable(each) for each in value]
    if isinstance(value, dict):
        return {_encodable(key): _encodable(each) for key, each in value.items()}
    return value


def _merged(left: pa.DataType, right: pa.DataType) -> pa.DataType:
    import pyarrow as pa

    if left == right:
        return left
    both = [pa.schema([("x", left)]), pa.schema([("x", right)])]
    return pa.unify_schemas(both, promote_options="permissive").field(0).type


def _num_fields(kind: pa.DataType) -> int:
    """Fields at every depth; a list has one."""
    return sum(1 + _num_fields(kind.field(index).type) for index in range(kind.num_fields))


def _is_hollow(kind: pa.DataType) -> bool:
    """Whether an object without fields is in it, which Parquet cannot hold."""
    import pyarrow as pa

    if pa.types.is_struct(kind):
        return kind.num_fields == 0 or any(_is_hollow(kind.field(i).type) for i in range(kind.num_fields))
    return pa.types.is_list(kind) and _is_hollow(kind.value_type)
