"""What Prefect's pages show of a run beside its states: how far a stage is, and whatever else is worth a page.

A thread of its own talks to the server, a few times a minute, so that a stage never waits for it; the first failure
ends the talking and nothing else. Outside a run of Prefect's nothing is sent, and Prefect is not imported.
"""

import contextvars
import hashlib
import logging
import re
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from uuid import UUID

log = logging.getLogger(__name__)

FIRST_SECONDS = 1.0
"""A stage that is shorter tells nothing."""
EVERY_SECONDS = 5.0
LAST_SECONDS = 2.0
"""How long the end of a stage waits for its last message."""

Tell = Callable[[int, int, str], None]
"""Takes steps done, steps in all, and a sentence."""


def key(*words: str) -> str:
    """A key as Prefect takes it: lower-case letters, digits and dashes; other words get another one."""
    text = " ".join(words)
    plain = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    kept = re.sub(r"[ ·._-]+", "-", text).strip("-")
    return plain if plain == kept else f"{plain}-{hashlib.sha256(text.encode()).hexdigest()[:8]}".strip("-")


_MEANT = re.compile(r"(?<!\d)\.|\.(?!\d)|[^\w\s.,%+=/·-]|_")
"""What HTML or Markdown could take for more than text; a point between digits is none."""


def harmless(text: object) -> str:
    """Text of others for a page in Markdown: neither HTML nor Markdown nor an address in it means anything."""
    one_line = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in str(text))
    return _MEANT.sub(lambda found: f"&#{ord(found[0])};", one_line)


def in_flow() -> bool:
    """Whether a flow run is there to publish for."""
    if "prefect" not in sys.modules:
        return False
    from prefect.context import FlowRunContext

    context = FlowRunContext.get()
    return context is not None and context.flow_run is not None


@contextmanager
def progress(label: str) -> Iterator[Tell]:
    """Show the progress of the task that runs here: a bar on its page, and the count in its name."""
    page = _Page.here(label)
    if page is None:
        yield lambda done, total, sentence: None
        return
    context = contextvars.copy_context()  # Prefect's settings and the run are in it
    thread = threading.Thread(target=context.run, args=(page.keep_telling,), name="progress", daemon=True)
    thread.start()
    try:
        yield page.tell
    finally:
        page.over.set()
        thread.join(LAST_SECONDS)


@dataclass(frozen=True)
class _Told:
    done: int
    total: int
    sentence: str


class _Page:
    """One task run's progress on the server."""

    def __init__(self, task_run: UUID, flow_run: UUID | None, name: str, label: str) -> None:
        self.over = threading.Event()
        self._task_run, self._flow_run, self._name, self._label = task_run, flow_run, name, label
        self._latest: _Told | None = None
        self._artifact: UUID | None = None

    @classmethod
    def here(cls, label: str) -> "_Page | None":
        if "prefect" not in sys.modules:
            return None
        from prefect.context import TaskRunContext

        context = TaskRunContext.get()
        if context is None:
            return None
        run = context.task_run
        return cls(run.id, run.flow_run_id, run.name, label)

    def tell(self, done: int, total: int, sentence: str) -> None:
        self._latest = _Told(done, total, sentence)

    def keep_telling(self) -> None:
        """Tell what is new until the stage is over; a stage that is over at once has nothing to tell."""
        pause, told = FIRST_SECONDS, None
        try:
            while not self.over.wait(pause):
                latest = self._latest
                if latest is not None and latest != told:
                    told = latest if self._send(latest) else None
                    pause = EVERY_SECONDS
            if self._artifact is not None and self._latest is not None:
                self._send(self._latest, last=True)
        except Exception as error:  # whatever the server does, the stage goes on
            log.debug("Prefect shows no further progress of %s: %s", self._name, error)

    def _send(self, told: _Told, *, last: bool = False) -> bool:
        """Whether the server has taken all of it."""
        from httpx import HTTPStatusError
        from prefect.client.orchestration import get_client
        from prefect.client.schemas.actions import ArtifactCreate, ArtifactUpdate

        percent = 100.0 * min(1.0, told.done / told.total) if told.total else 0.0
        fields: dict[str, Any] = {"data": percent, "description": harmless(f"{self._label}: {told.sentence}")}
        client = get_client(sync_client=True)  # the run's own, which is open
        if self._artifact is not None:
            client.update_artifact(self._artifact, ArtifactUpdate(**fields))
        else:
            names = self._name.split(" · ")  # of the campaign, of its part, of the stage
            runs = {"task_run_id": self._task_run, "flow_run_id": self._flow_run}
            artifact = ArtifactCreate(key=key(names[0], "progress", names[-1]), type="progress", **runs, **fields)
            self._artifact = client.create_artifact(artifact).id
        if last:
            return True  # the end of the task brings its own name back
        try:
            client.set_task_run_name(self._task_run, f"{self._name} {told.done}/{told.total}")
        except HTTPStatusError as error:  # the server hears of a task run a moment after it has begun
            if error.response.status_code != HTTPStatus.NOT_FOUND:
                raise
            return False
        return True


def page(*words: str, markdown: str, description: str) -> None:
    """Publish a Markdown page for the flow run that runs here; `words` make its key, and equal keys a history.

    A server that does not take it is a warning.
    """
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import ArtifactCreate
    from prefect.context import FlowRunContext

    context = FlowRunContext.get()
    assert context is not None
    assert context.flow_run is not None
    artifact = ArtifactCreate(
        key=key(*words), type="markdown", data=markdown, description=description, flow_run_id=context.flow_run.id
    )
    try:
        get_client(sync_client=True).create_artifact(artifact)
    except Exception as error:  # whatever the server does, the flow goes on
        log.warning("Prefect does not take a page (%s): %s", description, error)
