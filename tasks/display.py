"""Progress that a person can watch: a bar on a terminal, a line now and then in a log, a bar in Prefect's pages."""

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from tasks import announce

log = logging.getLogger(__name__)

LOG_SECONDS = 15.0
STARTING = "starting"
"""Beside a bar before its first step: an engine or a trainer needs a while."""


class Bar:
    """How far one stage is."""

    def __init__(
        self,
        label: str,
        total: int | None,
        progress: Progress | None,
        tell: announce.Tell = lambda done, total, text: None,
    ) -> None:
        self._label, self._total, self._progress, self._tell = label, total or 0, progress, tell
        self._done = 0
        self._note = ""
        self._logged = time.monotonic()
        self._begun: tuple[float, int] | None = None
        """When the first step of this run was counted, and at which step: start-up and what was there tell no rate."""
        self._row: TaskID | None = progress.add_task(label, total=total, note=STARTING) if progress else None

    def total(self, steps: int) -> None:
        """Say how many steps there are, once that is known."""
        self._total = steps
        if self._progress is not None and self._row is not None:
            self._progress.update(self._row, total=steps)

    def there(self, steps: int) -> None:
        """Count steps that an earlier run has made."""
        self._done += steps
        self._show()

    def advance(self, steps: int, note: str = "") -> None:
        """Count `steps` more; `note` says what a person wants to know beside the count."""
        self.at(self._done + steps, note)

    def at(self, step: int, note: str = "") -> None:
        """As `advance`, by the number of the step: training that goes on does not begin at the first."""
        self._done = step
        self._note = note or self._note
        self._begun = self._begun or (time.monotonic(), self._done)
        self._show()
        if self._progress is None and time.monotonic() - self._logged > LOG_SECONDS:
            self._logged = time.monotonic()
            log.info("%s: %s", self._label, self.sentence())

    def sentence(self) -> str:
        """Such as "12 of 64, 1.5/s, 35 s left, 2,100 tokens/s"."""
        return ", ".join(part for part in (f"{self._done} of {self._total}", *self._pace(), self._note) if part)

    def _pace(self) -> list[str]:
        if self._begun is None or self._done <= self._begun[1]:
            return []
        rate = (self._done - self._begun[1]) / max(1e-9, time.monotonic() - self._begun[0])
        shown = f"{rate:.2g}/s" if rate < 10 else f"{rate:,.0f}/s"
        left = max(0, self._total - self._done) / rate
        return [shown, f"{duration(left)} left"] if left else [shown]

    def _show(self) -> None:
        self._tell(self._done, self._total, self.sentence())
        if self._progress is not None and self._row is not None:
            note = ", ".join(part for part in (*self._pace(), self._note) if part)
            self._progress.update(self._row, completed=self._done, note=note or STARTING)


@contextmanager
def bar(label: str, total: int | None) -> Iterator[Bar]:
    """Show progress on standard error and in Prefect while the block runs; `total` None: it is not known yet."""
    with announce.progress(label) as tell:
        if not sys.stderr.isatty():
            yield Bar(label, total, None, tell)
            return
        columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn())
        rest = (TextColumn("{task.fields[note]}", markup=False), TimeElapsedColumn())
        with Progress(*columns, *rest, console=Console(stderr=True), transient=True) as progress:
            yield Bar(label, total, progress, tell)


def duration(seconds: float) -> str:
    """For people: 0.8 s, 80 s, 12 min, 3.5 h."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
