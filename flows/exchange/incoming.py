"""`odr import`: problems and worked solutions of other tools' files as the JSONL that a config reads.

A problem is taken only if the grader can work with one of its answers: any other would be sampled for nothing.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eval_math.audit import audit
from eval_math.benchmarks import Benchmark, Problem
from eval_math.files.messages import listed, shown
from eval_math.policy import Policy
from flows.exchange.chats import Malformed, Unsuited
from flows.exchange.files import check_output, write
from flows.exchange.shapes import SHAPES, Found, Shape
from tasks.sources import BadSource, read_rows

UNREADABLE = "without an answer that the grader can work with"
_MOST_REASONS = 20
"""A file may have another reason in every row; so many are kept apart."""


@dataclass
class Imported:
    """What was written, and what was not."""

    shape: str
    kind: str
    """problems or demonstrations."""
    written: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    unanswered: int = 0
    """Demonstrations without a final answer."""
    other_end: int = 0
    """Questions that do not end in the suffix that was to be cut off."""

    def drop(self, reason: str) -> None:
        """Count a row that is left out."""
        known = reason in self.dropped or len(self.dropped) < _MOST_REASONS
        self.dropped[reason if known else "for other reasons"] += 1


def import_rows(file: Path, tool: str, out: Path, *, suffix: str = "", force: bool = False) -> Imported:
    """Write `question`, `answer` and, of demonstrations, `solution`; `suffix` is cut off the questions' ends.

    Raises:
        ValueError: the file is of no known format, damaged, or a row of it is; no row is left; `out` cannot be used.
    """
    check_output(out, (".jsonl",), force=force)
    if out.resolve() == file.resolve():
        raise ValueError(f"--out {out} is the input itself; choose another name")
    rows = read_rows(file)
    first = next(rows, None)
    if first is None:
        raise BadSource(f"{file} holds no rows; expected one problem or chat per row")
    shape = _shape(first, tool, file)
    done = Imported(shape.name, shape.kind)
    done.written = write(out, _converted([first], rows, shape, suffix, done, file))
    if not done.written:
        counts = ", ".join(f"{number} {why}" for why, number in done.dropped.items())
        raise ValueError(f"{file}: no row can be used ({counts}); nothing is written")
    return done


def _shape(row: dict[str, Any], tool: str, file: Path) -> Shape:
    of_tool = [shape for shape in SHAPES if tool in ("auto", *shape.tools)]
    for shape in of_tool:
        if shape.columns <= row.keys():
            return shape
    known = "; ".join(f"{', '.join(sorted(shape.columns))} ({shape.name})" for shape in of_tool)
    raise ValueError(f"{file} has the columns {listed(row)}; expected those of {tool}: {known}")


def _converted(
    first: list[dict[str, Any]],
    rest: Iterator[dict[str, Any]],
    shape: Shape,
    suffix: str,
    done: Imported,
    file: Path,
) -> Iterator[dict[str, Any]]:
    for number, row in enumerate((row for rows in (first, rest) for row in rows), 1):
        missing = shape.columns - row.keys()
        if missing:
            raise BadSource(f"{file}, row {number}: no column {min(missing)!r}; there are: {listed(row)}")
        try:
            yield _written(_cut(shape.read(row), suffix, done), done)
        except Unsuited as why:
            done.drop(str(why))
        except Malformed as error:
            raise BadSource(f"{file}, row {number}: {error}") from error


def _cut(found: Found, suffix: str, done: Imported) -> Found:
    question = found.question.removesuffix(suffix)
    done.other_end += bool(suffix) and question == found.question
    if not question.strip():
        raise Unsuited("without a question")
    return Found(question, found.answers, found.solution)


def _written(found: Found, done: Imported) -> dict[str, Any]:
    answers = _readable(found.answers)
    row: dict[str, Any] = {"question": found.question}
    if answers:
        row["answer"] = answers[0] if len(answers) == 1 else answers
    elif found.solution is None:
        raise Unsuited(UNREADABLE)
    else:
        done.unanswered += 1
    return row if found.solution is None else {**row, "solution": found.solution}


def _readable(answers: list[str]) -> list[str]:
    """The answers to which the gold audit does not object."""
    problem = Problem("", "", tuple(answers))
    objected = {each.gold for each in audit(Benchmark("", [problem], Policy.reward()))}
    return [answer for answer in answers if answer not in objected]


def config_section(done: Imported, out: Path) -> str:
    """The lines of a config that use the file; a warm-up reads no answer, but a file has to have that column."""
    lines = [f"  path: {shown(str(out), 500)}"]
    if done.kind == "problems":
        return "\n".join(["prompts:", *lines])
    lines += ["  solution: solution"] + (["  answer: solution"] if done.unanswered else [])
    return "\n".join(["warmup:", "  demonstrations:", *(f"  {line}" for line in lines)])
