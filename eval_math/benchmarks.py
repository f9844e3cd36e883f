"""The benchmarks: where each stands, how its gold answers are read, and under which policy it is scored.

A benchmark is one entry below. Any local .jsonl with `question` (or `problem`) and `answer` columns is a
benchmark too, named by its file stem. A row without a gold answer, and a number of rows other than
expected, are errors: a score over fewer problems than its name promises is another score.
"""

from __future__ import annotations

import difflib
import importlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eval_math.extract import extract
from eval_math.policy import Policy

Row = Mapping[str, Any]
ENVIRONMENT = "ODR_BENCHMARKS"


class BenchmarkError(ValueError):
    """A benchmark cannot be loaded as its entry promises."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One question with its accepted answers."""

    problem_id: str
    """Unique within the benchmark and stable across runs."""
    question: str
    answers: tuple[str, ...]
    """Any of them is right."""


@dataclass(frozen=True, slots=True)
class Benchmark:
    """A named list of problems and the policy they are scored under."""

    name: str
    problems: list[Problem]
    policy: Policy


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a benchmark stands and how its rows are read."""

    dataset: str
    split: str
    question: str
    gold: Callable[[Row], list[str]]
    num_rows: int
    id_column: str | None = None
    revision: str | None = None
    """None: the newest revision of the dataset."""
    subset: str | None = None


def _boxed(row: Row) -> list[str]:
    """The last box of the worked solution."""
    found = extract(str(row.get("solution") or ""), "strict")
    return [found.text] if found else []


def _answer(row: Row) -> list[str]:
    """The answer column; 27.0 is written 27."""
    value = row.get("answer")
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return [] if value is None else [str(value)]


def _hashes(row: Row) -> list[str]:
    """What stands behind #### in the worked answer."""
    _, marker, tail = str(row.get("answer") or "").rpartition("####")
    return [tail.strip()] if marker else []


def _final_answer(row: Row) -> list[str]:
    """The list of final answers, which are alternatives; a percent unit is added to them."""
    value = row.get("final_answer")
    found = [str(each) for each in value] if isinstance(value, list) else []
    unit = str(row.get("unit") or "").strip("$")
    if unit == "%":
        found = [f"{each}\\%" for each in found]
    return found


_ENTRIES: dict[str, Entry] = {
    "math500": Entry("HuggingFaceH4/MATH-500", "test", "problem", _boxed, 500, "unique_id"),
    "aime24": Entry("math-ai/aime24", "test", "problem", _answer, 30, "id"),
    "amc23": Entry("math-ai/amc23", "test", "question", _answer, 40, "id"),
    "minerva_math": Entry("math-ai/minervamath", "test", "problem", _boxed, 272),
    "olympiadbench": Entry("math-ai/olympiadbench", "test", "question", _final_answer, 675, "id"),
    "gsm8k": Entry("openai/gsm8k", "test", "question", _hashes, 1319, subset="main"),
}


def names() -> list[str]:
    """The registered benchmarks, in the order of the registry."""
    return list(_ENTRIES)


def load(name: str | Path, data_dir: Path | None = None) -> Benchmark:
    """The benchmark of this name, or of a local .jsonl file.

    With `data_dir`, rows come from data_dir/<name>.jsonl; without, from the Hugging Face hub.

    Raises:
        BenchmarkError: unknown name, missing file, malformed row, missing gold, duplicate id, or wrong
        number of rows.
    """
    if str(name).endswith(".jsonl"):
        return _local(Path(name))
    name = str(name)
    if name not in _ENTRIES:
        near = difflib.get_close_matches(name, names(), n=1)
        hint = f"; did you mean {near[0]!r}?" if near else "."
        raise BenchmarkError(
            f"unknown benchmark {name!r}{hint} Known: {', '.join(names())}, or a path to a .jsonl file"
        )
    entry = _ENTRIES[name]
    rows = list(_read(data_dir / f"{name}.jsonl", name) if data_dir is not None else _download(name, entry))
    if len(rows) != entry.num_rows:
        source = data_dir / f"{name}.jsonl" if data_dir is not None else entry.dataset
        raise BenchmarkError(f"{source} has {len(rows)} rows; {name} has {entry.num_rows}. Fetch the file again")
    problems = [_problem(name, index, row, entry) for index, row in enumerate(rows)]
    return Benchmark(name, _unique(name, problems), Policy.benchmark(name))


def _problem(name: str, index: int, row: Row, entry: Entry) -> Problem:
    answers = tuple(text for text in entry.gold(row) if text.strip())
    question = row.get(entry.question, row.get("problem", row.get("question")))
    identity = row.get(entry.id_column) if entry.id_column else None
    identity = f"{name}/{index:04d}" if identity is None else f"{name}/{identity}"
    if not answers:
        raise BenchmarkError(f"{name}, row {index} ({identity}): no gold answer; columns: {', '.join(row)}")
    if not isinstance(question, str) or not question.strip():
        raise BenchmarkError(f"{name}, row {index} ({identity}): no text in column {entry.question!r}")
    return Problem(identity, question, answers)


def _local(path: Path) -> Benchmark:
    rows = list(_read(path, path.stem))
    entry = Entry(str(path), "", "question", _local_answers, len(rows), "problem_id")
    problems = [_problem(path.stem, index, row, entry) for index, row in enumerate(rows)]
    if not problems:
        raise BenchmarkError(f"{path} is empty; expected one JSON object per line with `question` and `answer`")
    return Benchmark(path.stem, _unique(path.stem, problems), Policy.benchmark(path.stem))


def _local_answers(row: Row) -> list[str]:
    """One answer, or a list of accepted ones."""
    value = row.get("answer", row.get("answers"))
    return [str(each) for each in value] if isinstance(value, list) else _answer({"answer": value})


def _unique(name: str, problems: list[Problem]) -> list[Problem]:
    seen: set[str] = set()
    for problem in problems:
        if problem.problem_id in seen:
            raise BenchmarkError(f"{name}: problem id {problem.problem_id!r} stands twice; ids must be unique")
        seen.add(problem.problem_id)
    return problems


def _read(path: Path, name: str) -> Iterator[Row]:
    if not path.is_file():
        raise BenchmarkError(
            f"{path} does not exist; expected {name} as one JSON object per line. "
            f"Set {ENVIRONMENT} or data_dir to the folder that holds it, or leave data_dir out to download it"
        )
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except json.JSONDecodeError as error:
                raise BenchmarkError(f"{path}, line {number}: no JSON ({error})") from error
            if not isinstance(row, dict):
                raise BenchmarkError(f"{path}, line {number}: expected a JSON object, found {type(row).__name__}")
            yield row


def _download(name: str, entry: Entry) -> Iterable[Row]:
    try:
        datasets = importlib.import_module("datasets")
    except ImportError as error:
        raise BenchmarkError(f"{name} needs the `datasets` package, or data_dir with {name}.jsonl") from error
    try:
        return datasets.load_dataset(entry.dataset, entry.subset, split=entry.split, revision=entry.revision)
    except Exception as error:  # The hub client raises many kinds; all of them end in the same advice.
        raise BenchmarkError(
            f"{entry.dataset} could not be fetched ({error}); use data_dir with {name}.jsonl"
        ) from error
