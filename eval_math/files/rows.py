"""Where response and gold stand in a table, and the pair of them for each row of a batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from eval_math.files.cells import golds_of, inside, response_of
from eval_math.files.messages import BadInput, listed, nearest, shown
from eval_math.files.read import JsonLines, Parquet

if TYPE_CHECKING:
    from eval_math.files.read import Batch


class Row(NamedTuple):
    """What is graded in one row."""

    response: str | None
    golds: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """The two columns by name; `column.field` where no column has that very name."""

    answer: str
    reference: str
    columns: tuple[str, str]
    """The columns these names lead into."""
    bare: bool = False


def place_in(columns: list[str], answer: str, reference: str, *, bare: bool) -> Place:
    """Find both columns.

    Raises:
        BadInput: there is no such column; the message names the nearest and all of them.
    """
    tops = []
    for option, name in (("--answer-column", answer), ("--reference-column", reference)):
        top = name if name in columns else name.partition(".")[0]
        if top not in columns:
            raise BadInput(f"{option}: no column {shown(name)!r}{nearest(name, columns)} There are: {listed(columns)}")
        tops.append(top)
    return Place(answer, reference, (tops[0], tops[1]), bare)


def rows_of(table: JsonLines | Parquet, batch: Batch, place: Place, first: int) -> list[Row]:
    """Response and golds of each row; `first` is the number of the batch's first row, for messages.

    Raises:
        BadInput: a cell that is neither.
    """
    found: list[list] = []
    for name, column in zip((place.answer, place.reference), place.columns, strict=True):
        keys = name[len(column) + 1 :].split(".") if name != column else []
        found.append([inside(cell, keys) for cell in table.cells(batch, column)])  # type: ignore[arg-type]
    rows: list[Row] = []
    for number, (answer, gold) in enumerate(zip(*found, strict=True), first):
        name = place.answer
        try:
            response = response_of(answer, bare=place.bare)
            name = place.reference
            rows.append(Row(response, golds_of(gold)))
        except BadInput as error:
            raise BadInput(f"row {number}: column {shown(name)!r} holds {error}") from error
    return rows
