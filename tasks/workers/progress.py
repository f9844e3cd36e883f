"""A child tells its parent how far it is: one JSON object per line, appended."""

import json
from pathlib import Path
from typing import Any


def report(path: Path, **facts: Any) -> None:
    """Append one line and let it reach the file at once.

    One `write` of one line to a file opened for appending is not torn by another process's line.
    """
    line = json.dumps(facts, allow_nan=True) + "\n"
    with path.open("a", encoding="utf-8") as file:
        file.write(line)


def read(path: Path, offset: int = 0) -> tuple[list[dict[str, Any]], int]:
    """Return the complete lines after `offset` (bytes) and the offset behind them."""
    if not path.exists():
        return [], offset
    with path.open("rb") as file:
        file.seek(offset)
        data = file.read()
    complete = data[: data.rfind(b"\n") + 1]
    return [fact for line in complete.splitlines() if (fact := _parsed(line)) is not None], offset + len(complete)


def _parsed(line: bytes) -> dict[str, Any] | None:
    """A line's facts; None for one that a full disk has cut and a later attempt has written on."""
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
