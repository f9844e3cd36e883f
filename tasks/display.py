"""Progress that a person can watch: a bar on a terminal, a line now and then in a log."""

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

log = logging.getLogger(__name__)

LOG_SECONDS = 15.0


class Bar:
    """How far one stage is."""

    def __init__(self, label: str, total: int, progress: Progress | None) -> None:
        self._label, self._total, self._progress = label, total, progress
        self._done = 0
        self._note = ""
        self._logged = time.monotonic()
        self._row = progress.add_task(label, total=total, note="") if progress else None

    def total(self, steps: int) -> None:
        """Say how many steps there are, once that is known."""
        self._total = steps
        if self._progress is not None and self._row is not None:
            self._progress.update(self._row, total=steps)

    def advance(self, steps: int, note: str = "") -> None:
        """Count `steps` more; `note` says what a person wants to know beside the count."""
        self._done += steps
        self._note = note or self._note
        if self._progress is not None and self._row is not None:
            self._progress.update(self._row, advance=steps, note=self._note)
        elif time.monotonic() - self._logged > LOG_SECONDS:
            self._logged = time.monotonic()
            log.info("%s: %d of %d %s", self._label, self._done, self._total, self._note)


@contextmanager
def bar(label: str, total: int) -> Iterator[Bar]:
    """Show progress on standard error while the block runs."""
    if not sys.stderr.isatty():
        yield Bar(label, total, None)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(
        *columns, TextColumn("{task.fields[note]}"), console=Console(stderr=True), transient=True
    ) as progress:
        yield Bar(label, total, progress)
