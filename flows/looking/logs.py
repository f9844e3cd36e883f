"""`odr logs`: what the children of a campaign's stages have written.

Every child writes into its stage's work folder, `work/<key>/*.log` or `log.txt`: everything, and of every attempt. The
files stay when the stage is finished; `odr gc` removes those that no campaign refers to. Stages that compute in the
command itself (grade, pair, evaluate) have none.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tasks import presence, records
from tasks.workspace import Workspace

POLL_SECONDS = 0.5
PATTERNS = ("*.log", "log.txt")
TAIL_BYTES = 4_000_000
"""An engine that fails may write gigabytes; the last lines are looked for in so much of the end."""


@dataclass(frozen=True)
class Log:
    """One file."""

    part: str
    """Such as "iteration 2" or "base · math500-greedy"."""
    stage: str
    path: Path
    when: float
    """Seconds since 1970: of its last line."""

    @property
    def title(self) -> str:
        """Says where the lines come from."""
        return f"{self.part} · {self.stage}: {self.path}"


def logs(workspace: Workspace, campaign: str, wanted: str | None = None) -> list[Log]:
    """The files of a campaign's stages, the oldest first; `wanted` is a stage, or `stage@part` as in `train@2`."""
    found: list[Log] = []
    for record in records.of_campaign(workspace, campaign):
        stage = str(record.fields["stage"])
        part = record.label.removesuffix(stage).strip()
        names = (stage, f"{stage}@{part.partition(' · ')[0].removeprefix('iteration ')}")
        if wanted is None or wanted in names:
            folder = workspace.root / "work" / record.key
            paths = {path for pattern in PATTERNS for path in folder.glob(pattern)}
            found += [Log(part, stage, path, path.stat().st_mtime) for path in paths]
    return sorted(found, key=lambda item: (item.when, str(item.path)))


def last_lines(path: Path, count: int) -> list[str]:
    """The last lines of a file; all of them if `count` is 0."""
    with path.open("rb") as file:
        if count:
            file.seek(max(0, path.stat().st_size - TAIL_BYTES))
        lines = file.read().decode("utf-8", "replace").splitlines()
    return lines[-count:]


def follow(workspace: Workspace, campaign: str, wanted: str | None, lines: int) -> Iterator[str]:
    """The last lines of the newest file, then every new line of any, until the campaign no longer runs."""
    offsets: dict[Path, int] = {}
    shown = None
    for log in logs(workspace, campaign, wanted):
        offsets[log.path] = log.path.stat().st_size
        shown = log
    if shown:
        yield f"==> {shown.title}"
        yield from last_lines(shown.path, lines)
    running = True
    while running:
        running = any(owner.campaign == campaign for owner in presence.owners(workspace.locks))
        for log in logs(workspace, campaign, wanted):
            new, offsets[log.path] = _new_lines(log.path, offsets.get(log.path, 0))
            if new and (shown is None or shown.path != log.path):
                shown = log
                yield f"==> {log.title}"
            yield from new
        if running:
            time.sleep(POLL_SECONDS)


def _new_lines(path: Path, offset: int) -> tuple[list[str], int]:
    with path.open("rb") as file:
        file.seek(offset)
        data = file.read(TAIL_BYTES)
    complete = data[: data.rfind(b"\n") + 1]
    return complete.decode("utf-8", "replace").splitlines(), offset + len(complete)
