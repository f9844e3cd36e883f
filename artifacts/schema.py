"""A row type and a Parquet table describe each other.

Columns come from the dataclass fields of `artifacts.rows`, in their order:

    str -> string          Repeated, Literal -> dictionary<int32, string>
    int -> int64           Int32 -> int32
    float -> float64       Float32 -> float32
    bool -> bool           list[T] -> list<T>          X | None -> nullable X

Kind and version travel in the schema's metadata, hence inside each Parquet file, so a file that was copied
out of the store still says what it is.
"""

# pyarrow ships no types, so strict checking would only report what it cannot know.
# pyright: basic

import types
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields
from functools import cache
from typing import (
    Annotated,
    Any,
    ClassVar,
    Literal,
    Protocol,
    TypeVar,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

import pyarrow as pa

from artifacts.errors import SchemaMismatch


class RowType(Protocol):
    """What the store needs to know of a row class."""

    __dataclass_fields__: ClassVar[dict[str, Any]]
    KIND: ClassVar[str]
    VERSION: ClassVar[int]
    KEY: ClassVar[tuple[str, ...]]


Row = TypeVar("Row", bound=RowType)

_REPEATED = pa.dictionary(pa.int32(), pa.string())
_PLAIN = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}
_MARKED = {"int32": pa.int32(), "float32": pa.float32(), "repeated": _REPEATED}


@cache
def arrow_schema(row_type: type[RowType]) -> pa.Schema:
    """Return the Arrow schema of a row class, with its kind and version as metadata.

    Raises:
        TypeError: a field has a type that has no column type here.
    """
    hints = get_type_hints(row_type, include_extras=True)
    columns = [_column(f"{row_type.__name__}.{field.name}", hints[field.name]) for field in fields(row_type)]
    metadata = {"kind": row_type.KIND, "version": str(row_type.VERSION)}
    return pa.schema(columns, metadata=metadata)


def check_schema(found: pa.Schema, row_type: type[RowType], where: str) -> None:
    """Pass silently if a file with schema `found` holds rows of `row_type`.

    Raises:
        SchemaMismatch: kind, version or a column differs; the message names which, and `where`.
    """
    metadata = found.metadata or {}
    kind, version = metadata.get(b"kind", b"").decode(), metadata.get(b"version", b"").decode()
    if kind != row_type.KIND:
        held = f"{kind!r} rows" if kind else "a table without a kind"
        raise SchemaMismatch(
            f"{where} holds {held}, expected {row_type.KIND!r} rows. "
            f"Pass the right file, or write it with PartWriter({row_type.__name__})."
        )
    check_version(version, row_type, where)
    check_columns(found, row_type, where)


def check_version(found: str | int, row_type: type[RowType], where: str) -> None:
    """Pass silently if `found` is the version of `row_type` in this code.

    Raises:
        SchemaMismatch: older, newer, or not a number.
    """
    if str(found) == str(row_type.VERSION):
        return
    newer = str(found).isdecimal() and int(found) > row_type.VERSION
    cure = "Update this checkout." if newer else "Run the stage that writes it again."
    raise SchemaMismatch(
        f"{where} holds {row_type.KIND!r} rows of schema version {found or '(none)'}, "
        f"this code reads version {row_type.VERSION}. {cure}"
    )


def check_columns(found: pa.Schema, row_type: type[RowType], where: str) -> None:
    """Pass silently if names, order, types and nullability are those of `row_type`; metadata may differ.

    Raises:
        SchemaMismatch: names the first column that differs, its type and the expected type.
    """
    expected = arrow_schema(row_type)
    cure = f"Build the table with arrow_schema({row_type.__name__})."
    for column in expected:
        if column.name not in found.names:
            raise SchemaMismatch(f"{where} has no column {column.name!r}, expected {_show(column)}. {cure}")
        actual = found.field(column.name)
        if not actual.equals(column):
            raise SchemaMismatch(
                f"{where}: column {column.name!r} is {_show(actual)}, expected {_show(column)}. {cure}"
            )
    if extra := [name for name in found.names if name not in expected.names]:
        raise SchemaMismatch(f"{where} has a column {extra[0]!r} that {row_type.__name__} lacks. {cure}")
    if found.names != expected.names:
        raise SchemaMismatch(f"{where} has columns in the order {found.names}, expected {expected.names}. {cure}")


def to_batch(rows: Sequence[Row], row_type: type[Row]) -> pa.RecordBatch:
    """Return the rows as one record batch.

    Raises:
        SchemaMismatch: a row is of another class, or a value does not fit its column.
    """
    if stray := next((row for row in rows if type(row) is not row_type), None):
        raise SchemaMismatch(f"A {type(stray).__name__} was written to a table of {row_type.__name__} rows.")
    schema = arrow_schema(row_type)
    arrays: list[pa.Array] = []
    for column in schema:
        values = [getattr(row, column.name) for row in rows]
        try:
            arrays.append(pa.array(values, column.type))
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError, TypeError) as error:
            raise SchemaMismatch(
                f"{row_type.__name__}.{column.name}: a value does not fit {_show(column)} ({error})."
            ) from error
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def from_batch(batch: pa.RecordBatch, row_type: type[Row]) -> Iterator[Row]:
    """Yield the batch's rows as instances of `row_type`; its columns must have been checked."""
    names = batch.schema.names
    for values in zip(*(column.to_pylist() for column in batch.columns), strict=True):
        yield row_type(**dict(zip(names, values, strict=True)))


def check_nulls(batch: pa.RecordBatch, row_type: type[RowType]) -> None:
    """Pass silently if only columns declared `X | None` hold nulls; Parquet itself would not notice.

    Raises:
        SchemaMismatch: names the column.
    """
    for column, values in zip(batch.schema, cast(Iterable[pa.Array], batch.columns), strict=True):
        inner = values.flatten().null_count if pa.types.is_list(column.type) else 0
        if inner or (values.null_count and not column.nullable):
            raise SchemaMismatch(
                f"{row_type.__name__}.{column.name} holds a null, expected {_show(column)} in every row. "
                f"Drop such rows and count them in the summary, or declare the field `| None`."
            )


def _column(name: str, hint: Any) -> pa.Field:
    arguments = get_args(hint)
    nullable = get_origin(hint) is types.UnionType and type(None) in arguments
    if nullable:
        (hint,) = (argument for argument in arguments if argument is not type(None))
    return pa.field(name.rpartition(".")[2], _data_type(name, hint), nullable=nullable)


def _data_type(name: str, hint: Any) -> pa.DataType:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is list:
        return pa.list_(_data_type(name, arguments[0]))
    if origin is Literal and all(isinstance(argument, str) for argument in arguments):
        return _REPEATED
    if origin is Annotated and arguments[1] in _MARKED:
        return _MARKED[arguments[1]]
    if hint in _PLAIN:
        return _PLAIN[hint]
    raise TypeError(f"{name}: {hint} has no column type. Use one of those listed at the top of artifacts/schema.py.")


def _show(column: pa.Field) -> str:
    return f"{column.type}{'' if column.nullable else ' without nulls'}"
