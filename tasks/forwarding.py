"""A child's log lines in its task's log, so many and no more: the file keeps all of them.

Prefect's server takes about a minute for twenty thousand lines. A start-up is shown whole, then a line a second.
"""

import logging
import time

from tasks.child import Child

log = logging.getLogger("tasks.child")

AT_ONCE = 100
"""Lines of all children of a stage that may come together after a silence."""
PER_SECOND = 1.0
"""Their lines in the long run."""
AGAIN = 10
"""Once lines are left out, so many must be allowed before the next ones are shown: some in a row say more."""
LINE_CHARACTERS = 2000
"""Of one line; an engine may print a whole configuration in one."""


class Forwarder:
    """Copies new lines of a child's log into the task's log; says how many it has left out, and where they are."""

    def __init__(self, child: Child, children: int = 1) -> None:
        """Begin behind what an earlier attempt has written; so many children share what is allowed."""
        self._child = child
        self._most, self._per_second = max(1.0, AT_ONCE / children), PER_SECOND / children
        self._offset = child.log.stat().st_size if child.log.exists() else 0
        self._allowance, self._counted = self._most, time.monotonic()
        self._left_out = 0

    def forward(self) -> None:
        """Hand on the complete lines that are new."""
        lines = self._new_lines()
        if not lines:
            return
        self._allow()
        for line in lines:
            if self._allowance < (min(AGAIN, self._most) if self._left_out else 1):
                self._left_out += 1
                continue
            self._say_left_out()
            self._allowance -= 1
            log.info("%s| %s", self._child.name, line[:LINE_CHARACTERS])

    def close(self) -> None:
        """Hand on the last lines, and say what is still unsaid."""
        self.forward()
        self._say_left_out()

    def _new_lines(self) -> list[str]:
        if not self._child.log.exists():
            return []
        with self._child.log.open("rb") as file:
            file.seek(self._offset)
            data = file.read()
        complete = data[: data.rfind(b"\n") + 1]
        self._offset += len(complete)
        lines = complete.decode("utf-8", "replace").splitlines()  # a progress bar is one line for each of its states
        return [line for line in lines if line.strip()]

    def _allow(self) -> None:
        now = time.monotonic()
        self._allowance = min(self._most, self._allowance + self._per_second * (now - self._counted))
        self._counted = now

    def _say_left_out(self) -> None:
        if self._left_out:
            log.info("%s| ... %d lines are only in %s", self._child.name, self._left_out, self._child.log)
            self._left_out = 0
