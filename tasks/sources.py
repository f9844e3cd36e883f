"""Rows of data sets, from a file or the hub, as dictionaries; every fault names the file and the line."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from eval_math.problems.lines import LineTooLong, lines
from eval_math.problems.parquet import BoundedParquet
from tasks.settings import Source


class BadSource(ValueError):
    """The rows cannot be used; the message names file, row and column, and what to change."""


def read_rows(path: Path) -> Iterator[dict[str, Any]]:
    """Rows of a .jsonl or .parquet file.

    Raises:
        BadSource: no such file, another format, damaged, or a line that is no JSON object.
    """
    if not path.is_file():
        raise BadSource(f"no file {path}; expected a .jsonl or .parquet file with one question per row")
    if path.suffix == ".parquet":
        yield from _parquet_rows(path)
    elif path.suffix == ".jsonl":
        yield from _json_rows(path)
    else:
        raise BadSource(f"{path} is neither .jsonl nor .parquet; convert it")


def _parquet_rows(path: Path) -> Iterator[dict[str, Any]]:
    try:
        yield from BoundedParquet(path).rows()
    except (ValueError, OSError) as error:  # pyarrow's own errors derive from these
        raise BadSource(f"{path} cannot be read as Parquet: {error}; write it again") from error


def _json_rows(path: Path) -> Iterator[dict[str, Any]]:
    try:
        with path.open("rb") as file:
            for number, line in lines(file):
                yield _json_row(line, f"{path}, line {number}")
    except LineTooLong as error:
        raise BadSource(f"{path}: {error}") from error


def _json_row(line: bytes, where: str) -> dict[str, Any]:
    try:
        row = json.loads(line.decode("utf-8"))
    except RecursionError as error:
        raise BadSource(f"{where}: nested too deeply; expected one flat object per line") from error
    except ValueError as error:
        raise BadSource(f"{where}: not JSON in UTF-8 ({error}); expected one object per line") from error
    if not isinstance(row, dict):
        raise BadSource(f"{where}: found {type(row).__name__}, expected an object")
    return row


def hub_rows(source: Source, name: str) -> Iterable[dict[str, Any]]:
    """Rows of a hub data set.

    Raises:
        BadSource: it cannot be loaded.
    """
    import datasets

    try:
        return datasets.load_dataset(name, source.subset, split=source.split, revision=source.revision)  # type: ignore[return-value]
    except (OSError, ValueError) as error:
        raise BadSource(
            f"data set {name} ({source.split}) cannot be loaded from the hub: {error}; "
            "check the name and the connection, or point `path` to a local file"
        ) from error
