"""Lines of a file of others, none longer than memory allows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

MAX_LINE_BYTES = 32 << 20
"""Python's objects of a line of JSON can be twenty times as large."""


class LineTooLong(ValueError):
    """Says which line, and how long one may be."""


def lines(stream: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Yield each line that is not blank, with its number from 1.

    Raises:
        LineTooLong: at the first line of more than 32 MiB.
    """
    number = 0
    while line := stream.readline(MAX_LINE_BYTES + 1):
        number += 1
        if len(line) > MAX_LINE_BYTES:
            raise LineTooLong(f"line {number} is longer than {MAX_LINE_BYTES} bytes; expected one JSON object per line")
        if line.strip():
            yield number, line
