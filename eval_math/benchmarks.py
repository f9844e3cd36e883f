"""The benchmarks: where each stands, how its rows are read, and how it is scored.

A benchmark is one entry below. Its rows come from the hub, at the commit in the entry, or from <name>.jsonl or
<name>.parquet in a folder. A file with `question` (or `problem`) and `answer` columns is a benchmark too, named by
its file stem, and so is an `Entry` of one's own. A row without a gold answer, and a number of rows other than
expected, are errors: a score over fewer problems than its name promises is another score.

The commits were read from public code that pins them (several sources each), not fetched from the hub by us.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path

from eval_math.policy import Policy
from eval_math.problems.entries import Entry, answer_or_box, answers_in, final_answer, hashes
from eval_math.problems.tables import SUFFIXES, BenchmarkError, Row, hub_table, read_table

__all__ = [
    "Benchmark",
    "BenchmarkError",
    "Entry",
    "Problem",
    "answers_in",
    "entry",
    "file",
    "load",
    "load_entry",
    "names",
]


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
    version: int = 1
    """Of the entry; scores of different versions are not compared."""
    source: str = ""
    """What the rows are: dataset@commit, or a file's name and digest."""


_ENTRIES: dict[str, Entry] = {
    # Few problems: one greedy answer each says little, so the mean of many samples is reported.
    "aime24": Entry("math-ai/aime24", "problem", answer_or_box, (30,), id_column="id", n=32, metric="mean@32",
                    revision="83a7f387baaa524a8bda0022eac0541582297103"),
    "aime25": Entry("math-ai/aime25", "problem", answer_or_box, (30,), id_column="id", n=32, metric="mean@32",
                    revision="563bb8404243c5f09de6ec262f2db674fe5bce9b"),
    "amc23": Entry("math-ai/amc23", "question", answer_or_box, (40,), id_column="id", n=16, metric="mean@16",
                   revision="80815d37005feb82cd7f8fbc6901d5d3eff43057"),
    "math500": Entry("HuggingFaceH4/MATH-500", "problem", answer_or_box, (500,), id_column="unique_id",
                     revision="6e4ed1a2a79af7d8630a6b768ec859cb5af4d3be"),
    "minerva_math": Entry("math-ai/minervamath", "question", answer_or_box, (272,),
                          revision="ee46ddc498933b1977577953250ca5c66be64f96"),
    # 674 rows on the hub, 675 in the file that comes with Qwen2.5-Math.
    "olympiadbench": Entry("math-ai/olympiadbench", "question", final_answer, (674, 675), id_column="id",
                           revision="4faaf1e6ec17d11a4218a9bf4c049ecaf954dd84"),
    "gsm8k": Entry("openai/gsm8k", "question", hashes, (1319,), subset="main",
                   revision="740312add88f781978c0658806c59bc2815b9866"),
    "math": Entry("DigitalLearningGmbH/MATH-lighteval", "problem", answer_or_box, (5000,), subset="default",
                  revision="0530c78699ea5e8eb5530600900e1f328b48acad"),
}  # fmt: skip


def names() -> list[str]:
    """The registered benchmarks, in the order of the registry."""
    return list(_ENTRIES)


def entry(name: str) -> Entry:
    """The entry of a registered benchmark; raises BenchmarkError, with the nearest name, for another one."""
    if name not in _ENTRIES:
        near = difflib.get_close_matches(name, names(), n=1)
        hint = f"; did you mean {near[0]!r}?" if near else "."
        raise BenchmarkError(
            f"unknown benchmark {name!r}{hint} Known: {', '.join(names())}, or a path to a .jsonl or .parquet file"
        )
    return _ENTRIES[name]


def load(name: str | Path, data_dir: Path | None = None) -> Benchmark:
    """The benchmark of this name, or of a local .jsonl or .parquet file.

    With `data_dir`, rows come from <name>.jsonl or <name>.parquet in it, whose name need not be registered;
    without, from the hub.

    Raises:
        BenchmarkError: unknown name, missing file, malformed row, missing gold, duplicate id, or wrong
        number of rows.
    """
    path, name = file(name, data_dir), str(name)
    if path is None:
        return load_entry(name, entry(name))
    if name in _ENTRIES:
        return load_entry(name, entry(name), path)
    return load_entry(path.stem, Entry(None, "question", _local_answers, id_column="problem_id"), path)


def file(name: str | Path, data_dir: Path | None = None) -> Path | None:
    """The file that `load` would read; None for the hub. Raises BenchmarkError if `data_dir` has no such file."""
    if str(name).endswith(SUFFIXES):
        return Path(name)
    return _file(str(name), data_dir) if data_dir else None


def load_entry(name: str, wanted: Entry, path: Path | None = None) -> Benchmark:
    """The benchmark that an entry describes, from a file if `path` is given; raises BenchmarkError like `load`."""
    if path is None and wanted.dataset is None:
        raise BenchmarkError(f"{name}: neither a file nor a dataset of the hub to read it from")
    table = read_table(path) if path else hub_table(str(wanted.dataset), wanted.subset, wanted.split, wanted.revision)
    if not table.rows:
        raise BenchmarkError(f"{path or wanted.dataset} is empty; expected one row per problem")
    if wanted.num_rows and len(table.rows) not in wanted.num_rows:
        expected = " or ".join(map(str, wanted.num_rows))
        raise BenchmarkError(
            f"{path or wanted.dataset} has {len(table.rows)} rows; {name} has {expected}. Fetch it again"
        )
    problems = [_problem(name, index, row, wanted) for index, row in enumerate(table.rows)]
    return Benchmark(name, _unique(name, problems), Policy.benchmark(name), wanted.version, table.source)


def _file(name: str, data_dir: Path) -> Path:
    for suffix in SUFFIXES:
        if (data_dir / f"{name}{suffix}").is_file():
            return data_dir / f"{name}{suffix}"
    raise BenchmarkError(
        f"{data_dir / name}.jsonl does not exist; expected {name} as .jsonl (one JSON object per line) or .parquet. "
        "Set data_dir to the folder that holds it, or leave it out to download the rows"
    )


def _problem(name: str, index: int, row: Row, wanted: Entry) -> Problem:
    answers = tuple(text for text in wanted.gold(row) if text.strip())
    question = row.get(wanted.question, row.get("problem", row.get("question")))
    identity = row.get(wanted.id_column) if wanted.id_column else None
    identity = f"{name}/{index:04d}" if identity is None else f"{name}/{identity}"
    if not answers:
        raise BenchmarkError(f"{name}, row {index} ({identity}): no gold answer; columns: {', '.join(row)}")
    if not isinstance(question, str) or not question.strip():
        raise BenchmarkError(f"{name}, row {index} ({identity}): no text in column {wanted.question!r}")
    return Problem(identity, wanted.prompt.replace("{question}", question), answers)


def _local_answers(row: Row) -> list[str]:
    """One answer, or a list of accepted ones."""
    return answers_in("answer" if "answer" in row else "answers")(row)


def _unique(name: str, problems: list[Problem]) -> list[Problem]:
    seen: set[str] = set()
    for problem in problems:
        if problem.problem_id in seen:
            raise BenchmarkError(f"{name}: problem id {problem.problem_id!r} stands twice; ids must be unique")
        seen.add(problem.problem_id)
    return problems
