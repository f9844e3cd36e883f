"""An optimizer checkpoint counts once its marker is there, and only as long as its files are what the marker says.

The marker is written last, when every file and folder has reached the disk, and holds size and sha256 of each file.
So neither a kill nor a power cut leaves a checkpoint that seems whole; a flipped bit is found before it is used.
"""

import json
import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from artifacts.durable import fsync, write_atomically
from artifacts.hashing import sha256_file

COMMITTED = "odr-committed.json"
HASHING_THREADS = 8
NAME = re.compile(r"checkpoint-(\d+)")


def checkpoint_folder(folder: Path, step: int) -> Path:
    """Where the trainer puts the checkpoint of this step."""
    return folder / f"checkpoint-{step}"


def step_of(checkpoint: Path) -> int:
    """The optimizer step after which it was made, by its name."""
    found = NAME.fullmatch(checkpoint.name)
    assert found
    return int(found[1])


def checkpoints(folder: Path) -> list[Path]:
    """All checkpoints of a run, committed or not, newest first: by their step, as clocks and copies alter times."""
    found = [path for path in folder.glob("checkpoint-*") if NAME.fullmatch(path.name)]
    return sorted(found, key=step_of, reverse=True)


def force(checkpoint: Path) -> None:
    """Have every file and folder of it reach the disk, and its own name as well."""
    for path in checkpoint.rglob("*"):
        fsync(path)
    fsync(checkpoint)
    fsync(checkpoint.parent)


def commit(checkpoint: Path, **facts: Any) -> None:
    """Write the marker, with these facts; everything else must have been forced to the disk before."""
    marker = {"step": step_of(checkpoint), **facts, "files": _described(checkpoint)}
    write_atomically(checkpoint / COMMITTED, json.dumps(marker, indent=1).encode())


def marker_of(checkpoint: Path) -> dict[str, Any] | None:
    """What `commit` wrote, or None if there is no marker that can be read."""
    try:
        found = json.loads((checkpoint / COMMITTED).read_bytes())
    except (OSError, ValueError):
        return None
    files = found.get("files") if isinstance(found, dict) else None
    return found if isinstance(files, dict) and all(isinstance(file, dict) for file in files.values()) else None


def damage(checkpoint: Path, marker: dict[str, Any]) -> str | None:
    """What is not as the marker says, in one clause; None if all is well. Reads every byte."""
    if marker.get("step") != step_of(checkpoint):
        return f"its marker is of step {marker.get('step')}"
    expected, sizes = marker["files"], {name: path.stat().st_size for name, path in _files(checkpoint).items()}
    for name in sorted(expected.keys() | sizes.keys()):
        if name not in sizes:
            return f"{name} is gone"
        if name not in expected:
            return f"{name} is not in its marker"
        if sizes[name] != expected[name].get("bytes"):
            return f"{name} has {sizes[name]} bytes, expected {expected[name].get('bytes')}"
    found = _described(checkpoint)
    altered = [name for name, file in found.items() if file != expected[name]]
    return f"{altered[0]} was altered" if altered else None


def remove(checkpoint: Path) -> None:
    """Delete it, the marker first: what a kill leaves of it does not count."""
    (checkpoint / COMMITTED).unlink(missing_ok=True)
    shutil.rmtree(checkpoint)


def _files(checkpoint: Path) -> dict[str, Path]:
    paths = sorted(path for path in checkpoint.rglob("*") if not path.is_dir())
    return {str(path.relative_to(checkpoint)): path for path in paths if path.name != COMMITTED}


def _described(checkpoint: Path) -> dict[str, dict[str, Any]]:
    """Name -> size and sha256. Of 7B parameters it is 100 GB, in a file per process: several are read at once."""
    files = _files(checkpoint)
    with ThreadPoolExecutor(HASHING_THREADS) as pool:
        digests = pool.map(sha256_file, files.values())
        return {
            name: {"bytes": path.stat().st_size, "sha256": digest}
            for (name, path), digest in zip(files.items(), digests, strict=True)
        }
