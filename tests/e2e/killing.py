"""Start a campaign, kill something at chosen moments, start it again until it is done; note what happened when.

A moment is a second of the undisturbed run. It is found again in a disturbed one by what has been finished on disk: the
last record, shard or optimizer checkpoint that the undisturbed run had by then, and the seconds since. So the kills
lie over all stages by the time they take, start-up and hours without a checkpoint as well.
"""

import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.e2e import processes
from tests.e2e.processes import Process
from tests.e2e.small_campaign import environment

FINISHED = (
    "keys/*/*.json",
    "cache/*",
    "work/*/shards/*",
    "work/*/*/shards/*",
    "work/*/checkpoints/*/odr-committed.json",
)
"""Files of a data root that appear when something is done that a kill does not undo."""
SPARED = ("watchdog", "gone")
"""The watchdog only acts when the command is killed: both at once are two faults."""
GONE_SECONDS = 20.0
"""A supervisor waits ten seconds between asking and insisting."""
LOOK_SECONDS = 0.1


@dataclass(frozen=True)
class Timeline:
    """The undisturbed run: second at which each finished thing was there, and when the command ended."""

    marks: dict[str, float]
    end: float

    def position(self, seen: Iterable[str]) -> float:
        """How far a run is that has finished these things, in seconds of the undisturbed run."""
        return max((self.marks[name] for name in seen if name in self.marks), default=0.0)

    def last_before(self, moment: float) -> float:
        """When the last thing before this moment was finished."""
        return max((at for at in self.marks.values() if at <= moment), default=0.0)

    def next_after(self, moment: float) -> float:
        """When the first thing after this moment was finished."""
        return min((at for at in self.marks.values() if at > moment), default=self.end)


@dataclass(frozen=True)
class Kill:
    """One kill: when, what, and what the run was doing."""

    at: float
    """Seconds since the first start."""
    victim: str
    stage: str
    start: int
    until_gone: float | None
    """Seconds until no process of the run was left; None when the command itself was not killed."""


@dataclass
class Story:
    """All starts of one campaign until it is done; times are seconds since the first start."""

    home: Path
    seen: dict[str, float] = field(default_factory=dict)
    kills: list[Kill] = field(default_factory=list)
    codes: list[int] = field(default_factory=list)
    logs: list[str] = field(default_factory=list)
    records: list[dict[str, int]] = field(default_factory=list)
    """After each start: the cache records that were whole, and when they were written, ns."""
    end: float = 0.0

    def timeline(self) -> Timeline:
        """What a disturbed run is held against."""
        return Timeline(dict(self.seen), self.end)


@dataclass
class Plan:
    """When to kill, and whom not."""

    undisturbed: Timeline
    moments: list[float]
    """Of the undisturbed run, s, ascending; those that are done are taken out."""
    rng: random.Random
    spared: tuple[str, ...] = SPARED
    on_kill: Callable[[Kill], None] = lambda _: None

    def is_due(self, position: float, waited: float) -> bool:
        """Whether to kill now: so many seconds after a start, a kill or the last step forward."""
        if not self.moments:
            return False
        before = self.undisturbed.last_before(self.moments[0])
        if position >= self.undisturbed.next_after(self.moments[0]):
            return True  # it came past between two looks
        return position >= before and waited >= self.moments[0] - before


def finished_things(home: Path) -> set[str]:
    """Names of what is done and stays done, whatever is killed now."""
    found = (path for pattern in FINISHED for path in home.glob(pattern))
    return {str(path.relative_to(home)) for path in found if not path.name.startswith(".")}


def whole_records(home: Path) -> dict[str, int]:
    """Cache records that can be read, with their times of writing: a stage that is executed again writes its anew."""
    found: dict[str, int] = {}
    for path in (home / "cache").glob("*"):
        try:
            json.loads(path.read_bytes())["result"]
        except (OSError, ValueError, KeyError):
            continue  # torn by the kill: not finished
        found[path.name] = path.stat().st_mtime_ns
    return found


def campaign(home: Path, arguments: Sequence[str], plan: Plan | None = None) -> Story:
    """Run `odr ARGUMENTS` until it is done, with the kills of the plan.

    Raises:
        AssertionError: it failed though nothing of it had been killed, or something outlived it.
    """
    story, plan = Story(home), plan or Plan(Timeline({}, 0.0), [], random.Random(0))
    began = time.monotonic()
    while not story.codes or story.codes[-1] != 0:
        kills = len(story.kills)
        _one_start(story, began, arguments, plan)
        if story.codes[-1] != 0 and len(story.kills) == kills:
            raise AssertionError(f"nothing was killed and the run failed:\n{story.logs[-1][-4000:]}")
    story.end = time.monotonic() - began
    return story


def _one_start(story: Story, began: float, arguments: Sequence[str], plan: Plan) -> None:
    logs = story.home / "kill-logs"
    logs.mkdir(parents=True, exist_ok=True)
    log, number = logs / f"start-{len(story.codes):03d}.txt", len(story.codes)
    with log.open("wb") as output:
        command = subprocess.Popen(
            [sys.executable, "-m", "flows.cli", *arguments],
            env=environment(story.home), stdout=output, stderr=output, start_new_session=True,
        )  # fmt: skip
    since, started, family = time.monotonic(), time.time(), set[Process]()
    position = plan.undisturbed.position(story.seen)
    while command.poll() is None:
        family |= processes.tree(command.pid)
        now = time.monotonic()
        for name in finished_things(story.home) - story.seen.keys():
            story.seen[name] = now - began
        if plan.undisturbed.position(story.seen) > position:
            position, since = plan.undisturbed.position(story.seen), now
        if plan.is_due(position, now - since):
            stage = stage_at_work(story.home, started)
            victim, until_gone = _strike(command, family, plan)
            if victim:
                story.kills.append(Kill(now - began, victim, stage, number, until_gone))
                plan.on_kill(story.kills[-1])
                plan.moments.pop(0)
                since = time.monotonic()
        time.sleep(LOOK_SECONDS)
    outlived = processes.wait_until_gone(family | processes.of_data_root(story.home), GONE_SECONDS)
    assert outlived == [], f"start {number}: these outlived the command: {outlived}"
    story.codes.append(command.returncode)
    story.logs.append(log.read_text(encoding="utf-8", errors="replace"))
    story.records.append(whole_records(story.home))


def _strike(command: subprocess.Popen[bytes], family: set[Process], plan: Plan) -> tuple[str, float | None]:
    """Kill the command or, half of the time, one of its descendants, each kind as often; what, and seconds until gone.

    Nothing is named if what was chosen had just ended.
    """
    kinds: dict[str, list[Process]] = {}
    for process in sorted(processes.alive(family)):
        kind = "command" if process[0] == command.pid else processes.role(process[0])
        if kind not in plan.spared:
            kinds.setdefault(kind, []).append(process)
    below = sorted(kinds.keys() - {"command"})
    kind = plan.rng.choice(below) if below and plan.rng.random() < 0.5 else "command"
    if kind not in kinds or not processes.kill(plan.rng.choice(kinds[kind]), signal.SIGKILL):
        return "", None
    if kind != "command":
        return kind, None
    struck = time.monotonic()
    command.wait()
    processes.wait_until_gone(family, GONE_SECONDS)
    return kind, time.monotonic() - struck


def stage_at_work(home: Path, since: float) -> str:
    """The stage that this start was in, by the newest note of a beginning."""
    notes: list[tuple[float, str]] = []
    for path in home.glob("started/*/*.json"):
        try:
            notes.append((path.stat().st_mtime, path.stem))
        except FileNotFoundError:
            continue  # it has just been finished
    newest, stage = max(notes, default=(0.0, ""))
    return stage if newest >= since else "start-up, or between stages"
