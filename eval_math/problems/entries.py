"""What a benchmark's entry says, and the ways in which data sets write down their reference answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from eval_math.extraction.extract import extract
from eval_math.problems.tables import Row


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a benchmark stands, how its rows are read, and how it is customarily scored."""

    dataset: str | None
    """Name on the hub; None for a file."""
    question: str
    """Column with the question; `problem` and `question` are tried after it."""
    gold: Callable[[Row], list[str]]
    """The accepted answers of a row."""
    num_rows: tuple[int, ...] = ()
    """The numbers of rows that a complete copy has; empty: any."""
    split: str = "test"
    subset: str | None = None
    """Configuration of the hub dataset."""
    revision: str | None = None
    """Commit of the hub dataset. None: the newest, which is looked up, logged and recorded."""
    id_column: str | None = None
    prompt: str = "{question}"
    """What is asked; the run's own template adds how to mark the answer, the same for every benchmark."""
    n: int = 1
    """Answers per problem that its score customarily rests on: 1 is one greedy answer."""
    metric: str = "greedy"
    """The score that is customarily reported: greedy or mean@n."""
    version: int = 1
    """Raise it when rows, golds, prompt or policy change."""


def answers_in(column: str) -> Callable[[Row], list[str]]:
    """A reader of golds: the column's text or number, or its list of accepted answers; 27.0 is written 27."""

    def read(row: Row) -> list[str]:
        value = row.get(column)
        cells = value if isinstance(value, list) else [value]
        return [_text(each) for each in cells if each is not None and each == each]  # not-a-number is a gap, too

    return read


def _text(value: object) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def answer_or_box(row: Row) -> list[str]:
    """The answer column; where there is none, the last box of the worked solution."""
    if row.get("answer") is not None:
        return answers_in("answer")(row)
    found = extract(str(row.get("solution") or ""), "strict")
    return [found.text] if found else []


def hashes(row: Row) -> list[str]:
    """What stands behind #### in the worked answer."""
    _, marker, tail = str(row.get("answer") or "").rpartition("####")
    return [tail.strip()] if marker else []


def final_answer(row: Row) -> list[str]:
    """The list of final answers, which are alternatives; a percent unit is added to them."""
    unit = str(row.get("unit") or "").strip("$")
    return [f"{each}\\%" if unit == "%" else each for each in answers_in("final_answer")(row)]
