"""SIGTERM: a training process finishes its optimizer step, saves and ends, to be started again.

Schedulers of clusters and the launchers send it, some of them twice and not to every process. So it only leaves a note;
at the end of each step the processes agree whether one of them has heard it (`keeper`).
"""

import os
import signal
from pathlib import Path
from typing import Any

from tasks.workers.failure import PREEMPTED, Preempted, told


class Notice:
    """Whether this process has been asked to end. Until training starts there is nothing to save: it ends at once."""

    def __init__(self, failure: Path) -> None:
        self.given = False
        self._failure, self._training = failure, False

    def listen(self) -> None:
        """From now on SIGTERM is heard; only the main thread may call this."""
        signal.signal(signal.SIGTERM, self._heard)

    def training_starts(self) -> None:
        """From now on SIGTERM waits for the end of the optimizer step, and of the work after the last one."""
        self._training = True

    def _heard(self, number: int, frame: Any) -> None:
        self.given = True
        if not self._training:
            told(self._failure, Preempted("asked to end before training started; nothing was to be saved"))
            # Not an exception: it would surface in the middle of a library that may well swallow it.
            os._exit(PREEMPTED)
