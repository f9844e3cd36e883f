"""What training wrote beside a model: the hash of each file, and facts for people. It is written last."""

from pathlib import Path
from typing import Any, cast

from artifacts.errors import ArtifactDamaged, CheckpointMissing
from artifacts.plain_json import parse

FORMAT = 1
RECORD = "odr-checkpoint.json"


def recorded_files(folder: Path) -> dict[str, dict[str, Any]]:
    """Return size and sha256 by name; empty for a model that came from elsewhere, or was not finished.

    Raises:
        CheckpointMissing: there is no such folder.
        ArtifactDamaged: the record is not readable, or names a file elsewhere.
    """
    files = read_record(folder).get("files", {})
    if not isinstance(files, dict) or not all(map(_is_entry, cast(dict[Any, Any], files).items())):
        raise ArtifactDamaged(
            f"{folder / RECORD} was altered: expected plain file names, each with bytes and sha256. "
            f"Delete the folder and train it anew."
        )
    return cast(dict[str, dict[str, Any]], files)


def read_record(folder: Path) -> dict[str, Any]:
    """Return the record's fields; empty if there is none.

    Raises:
        CheckpointMissing: there is no such folder.
        ArtifactDamaged: the record is not readable, or of a newer format.
    """
    if not folder.is_dir():
        raise CheckpointMissing(
            f"{folder} is gone. Restore it from a copy, or run the flow again, which trains it anew."
        )
    file = folder / RECORD
    if not file.exists():
        return {}
    try:
        record = parse(file.read_bytes())
        if record["format"] > FORMAT:
            raise ArtifactDamaged(f"{file} has format {record['format']}, this code reads up to {FORMAT}. Update it.")
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise ArtifactDamaged(f"{file} is not readable ({error!r}). Delete the folder and train it anew.") from error
    return record


def _is_entry(item: tuple[Any, Any]) -> bool:
    name, fields = item
    if name in ("", "..") or Path(name).name != name or not isinstance(fields, dict):
        return False
    found = cast(dict[str, Any], fields)
    return type(found.get("bytes")) is int and isinstance(found.get("sha256"), str)
