"""`odr export`: the rows of one iteration in the columns of another tool."""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from flows.exchange import examples, iteration, open_instruct, trl, verl
from flows.exchange.files import check_output, write
from flows.exchange.iteration import Iteration
from flows.exchange.layout import Layout
from tasks.workspace import Workspace

TOOLS = {"trl": trl.LAYOUTS, "verl": verl.LAYOUTS, "open-instruct": open_instruct.LAYOUTS}
METADATA = b"odr.export"
"""Where a Parquet file says what it was made from, as JSON."""


@dataclass(frozen=True)
class Exported:
    """What was written, and what was not."""

    rows: str
    written: int
    dropped: Counter[str]


def export(
    workspace: Workspace, name: str, tool: str, rows: str | None, out: Path, *, plain: bool = False, force: bool = False
) -> Exported:
    """Write the rows of `demo/3`; by default those it trained on, for verl its problems.

    Raises:
        ValueError, FileNotFoundError: no such iteration, rows the tool has no table for, or `out` cannot be used.
        ArtifactError: a table is gone or damaged.
    """
    check_output(out, (".parquet",) if tool == "verl" else (".parquet", ".jsonl"), force=force)
    found = iteration.find(workspace, name)
    rows = rows or ("problems" if tool == "verl" else found.rows.kind)
    table = _table(tool, rows)
    if plain:
        table = trl.plain(table, _renderer(found, tool, rows))
    dropped: Counter[str] = Counter()
    made = (table.row(example) for example in examples.examples(found, rows, dropped))
    written = write(out, made, table.columns.with_metadata({METADATA: _origin(found, rows)}))
    if not written:
        counts = ", ".join(f"{number} {why}" for why, number in dropped.items())
        raise ValueError(f"{name} has no {rows} to export ({counts or 'the table is empty'}); nothing is written")
    return Exported(rows, written, dropped)


def _table(tool: str, rows: str) -> Layout:
    if rows not in TOOLS[tool]:
        others = [name for name, layouts in TOOLS.items() if rows in layouts]
        raise ValueError(
            f"{tool} has no table for {rows}; expected --rows {', '.join(TOOLS[tool])}"
            + (f", or --as {' or '.join(others)}" if others else "")
        )
    return TOOLS[tool][rows]


def _renderer(found: Iteration, tool: str, rows: str) -> Callable[[examples.Problem], str]:
    """The text of the token ids that were fed to the sampler, by its own tokenizer."""
    if tool != "trl" or rows == "problems":
        raise ValueError("--plain is for TRL's tables with completions; leave it out, or say --as trl --rows rollouts")
    from tasks.workers.template import load_tokenizer

    tokenizer = load_tokenizer(found.sampler)

    def render(problem: examples.Problem) -> str:
        text = str(tokenizer.decode(problem.prompt_ids, clean_up_tokenization_spaces=False))
        if tokenizer(text, add_special_tokens=False)["input_ids"] != problem.prompt_ids:
            raise ValueError(
                f"the prompt of problem {problem.prompt_id} does not give the same tokens when it is read as text; "
                "leave --plain out"
            )
        return text

    return render


def _origin(found: Iteration, rows: str) -> bytes:
    digests = {"rollouts": found.rollouts.digest, "grades": found.grades.digest, "rows": found.rows.digest}
    return json.dumps({"iteration": found.name, "kind": rows, **digests}).encode()
