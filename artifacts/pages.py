"""What the pages of a Parquet column say of themselves, read without unpacking any.

A footer may promise little and a page unpack to much: the reader believes the page. Page headers are structs of
Thrift's compact protocol; the fields used here are those of `parquet.thrift`, PageHeader.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

_LONGEST_HEADER = 64 << 10
_DICTIONARY_PAGE = 2
_DEEPEST = 4
_TRUE, _FALSE, _BYTE, _I64, _DOUBLE, _BINARY, _LIST, _SET, _STRUCT = 1, 2, 3, 6, 7, 8, 9, 10, 12


@dataclass(frozen=True, slots=True)
class Page:
    """What one page header says."""

    is_dictionary: bool
    values: int
    encoding: int
    """Number of the encoding in `parquet.thrift`."""
    bytes: int
    """Size when unpacked, with the header: what a footer adds up."""


def pages(stream: BinaryIO, start: int, length: int) -> Iterator[Page]:
    """Yield the pages of a column chunk of `length` bytes that begins at `start`.

    Raises:
        ValueError: no page headers, or pages that do not fill the chunk exactly.
    """
    at, end = start, start + length
    while at < end:
        stream.seek(at)
        head = _Thrift(stream.read(min(_LONGEST_HEADER, end - at)))
        fields = head.struct()
        packed, unpacked = _count(fields.get(3)), _count(fields.get(2))
        inner: Any = fields.get(5) or fields.get(7) or fields.get(8)
        if not isinstance(inner, dict):
            raise ValueError(f"no page header at byte {at}")
        said = cast(dict[int, Any], inner)
        encoding = _count(said.get(4 if 8 in fields else 2))
        yield Page(fields.get(1) == _DICTIONARY_PAGE, _count(said.get(1)), encoding, head.at + unpacked)
        at += head.at + packed
    if at != end:
        raise ValueError(f"a page ends at byte {at}, after its column at {end}")


class _Thrift:
    """A reader of the compact protocol that takes nothing on trust."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.at = 0

    def struct(self, depth: int = 0) -> dict[int, Any]:
        """Fields by number."""
        if depth > _DEEPEST:
            raise ValueError("a page header is nested too deeply")
        fields: dict[int, Any] = {}
        number = 0
        while head := self._byte():
            number = number + (head >> 4) if head >> 4 else self._signed()
            fields[number] = self._value(head & 15, depth)
        return fields

    def _value(self, kind: int, depth: int) -> Any:
        if kind in (_TRUE, _FALSE):
            return kind == _TRUE
        if kind == _BYTE:
            return self._byte()
        if kind <= _I64:
            return self._signed()
        if kind in (_DOUBLE, _BINARY):
            return self._skip(8 if kind == _DOUBLE else self._unsigned())
        if kind == _STRUCT:
            return self.struct(depth + 1)
        if kind in (_LIST, _SET):
            head = self._byte()
            count = self._unsigned() if head >> 4 == 15 else head >> 4
            if count > len(self._data):
                raise ValueError("a page header holds a list that is longer than itself")
            return [self._value(head & 15, depth + 1) for _ in range(count)]
        raise ValueError(f"a page header holds a field of unknown kind {kind}")

    def _byte(self) -> int:
        self._skip(1)
        return self._data[self.at - 1]

    def _unsigned(self) -> int:
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value
            if shift > 63:
                raise ValueError("a number in a page header is too long")

    def _signed(self) -> int:
        value = self._unsigned()
        return (value >> 1) ^ -(value & 1)

    def _skip(self, count: int) -> None:
        if self.at + count > len(self._data):
            raise ValueError("a page header is cut short")
        self.at += count


def _count(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(f"a page header says {value!r} where a count is expected")
    return value
