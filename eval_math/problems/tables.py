"""Rows of a benchmark as dictionaries: from a .jsonl or .parquet file, or from the Hugging Face hub."""

from __future__ import annotations

import hashlib
import importlib
import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from eval_math.problems.lines import LineTooLong, lines

log = logging.getLogger(__name__)

Row = Mapping[str, Any]
SUFFIXES = (".jsonl", ".parquet")


class BenchmarkError(ValueError):
    """A benchmark cannot be loaded as its entry promises."""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows and what exactly they are rows of."""

    rows: list[Row]
    source: str
    """The file's name with its digest, or the dataset with its commit."""


def read_table(path: Path) -> Table:
    """The rows of a .jsonl or .parquet file.

    Raises:
        BenchmarkError: no such file, another format, damaged, or a line that is no JSON object.
    """
    if path.suffix not in SUFFIXES:
        raise BenchmarkError(f"{path} is neither .jsonl nor .parquet; convert it")
    if not path.is_file():
        raise BenchmarkError(f"{path} does not exist; expected a .jsonl or .parquet file with one problem per row")
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
        stream.seek(0)
        try:
            rows = list(_parquet_rows(path) if path.suffix == ".parquet" else _json_rows(stream, path))
        except LineTooLong as error:
            raise BenchmarkError(f"{path}: {error}") from error
    return Table(rows, f"{path.name} sha256:{digest}")


def _json_rows(stream: BinaryIO, path: Path) -> Iterator[Row]:
    for number, line in lines(stream):
        try:
            row = json.loads(line)
        except RecursionError as error:
            raise BenchmarkError(f"{path}, line {number}: nested too deeply; expected a flat JSON object") from error
        except ValueError as error:
            raise BenchmarkError(f"{path}, line {number}: no JSON in UTF-8 ({error})") from error
        if not isinstance(row, dict):
            raise BenchmarkError(f"{path}, line {number}: expected a JSON object, found {type(row).__name__}")
        yield row


def _parquet_rows(path: Path) -> Iterator[Row]:
    try:
        importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        raise BenchmarkError(
            f"{path} needs the `pyarrow` package; install it, or convert the file to .jsonl"
        ) from error
    from eval_math.problems.parquet import BoundedParquet

    try:
        yield from BoundedParquet(path).rows()
    except (OSError, ValueError) as error:  # pyarrow's own errors derive from these
        raise BenchmarkError(f"{path} cannot be read as Parquet ({error}); write it again") from error


def hub_table(dataset: str, subset: str | None, split: str, revision: str | None) -> Table:
    """The rows of a hub dataset at a commit; without one, at the newest, which is looked up and logged.

    Raises:
        BenchmarkError: `datasets` is missing, or the dataset could not be fetched.
    """
    try:
        datasets = importlib.import_module("datasets")
        hub = importlib.import_module("huggingface_hub")
    except ImportError as error:
        raise BenchmarkError(f"{dataset} needs the `datasets` package, or a local file") from error
    try:
        if revision is None:
            revision = str(hub.HfApi().dataset_info(dataset).sha)
            log.warning("%s has no pinned revision; taking %s. Pin it for repeatable scores", dataset, revision)
        rows = list(datasets.load_dataset(dataset, subset, split=split, revision=revision))
    except Exception as error:  # The hub client raises many kinds; all of them end in the same advice.
        raise BenchmarkError(
            f"{dataset} could not be fetched ({error}); check name and connection, or use a local file"
        ) from error
    return Table(rows, f"{dataset}@{revision}")
