"""Temporary files that a killed writer has left: harmless, read by nobody, and a waste of disk."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from artifacts.durable import is_owned

SCRATCH = ".writing"
TRASH = ".trash"
"""In it lies what is being removed."""
_ASIDE = re.compile(r"\..+\.[0-9a-f]{32}")
_PARTIAL = ".partial"


def leftovers(root: Path) -> Iterator[Path]:
    """Yield the temporary files and folders below a folder that no living writer has locked.

    A single file carries no lock, so one that is being written at this moment is among them: whoever removes
    them must know that nobody is at work, or that the file is older than all who are.
    """
    for place, folders, files in os.walk(root):
        here = Path(place)
        if here.name in (SCRATCH, TRASH):
            yield from (here / name for name in sorted(folders) if not is_owned(here / name))
            folders.clear()
        yield from (here / name for name in sorted(files) if _ASIDE.fullmatch(name) or name.endswith(_PARTIAL))
