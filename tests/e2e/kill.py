"""Kill a campaign again and again, and prove that nothing is computed twice, lost or changed by it.

    python -m tests.e2e.kill --kills 50 [--seed N] [--home DIR] [--small]

Runs the demo once undisturbed and once with kills: SIGKILL to the command or to any process below it, at moments drawn
evenly from the undisturbed run's time; the same command again until it is done. Both runs write an optimizer
checkpoint every few steps, as a long training would every few minutes.
"""

import argparse
import os
import platform
import random
import statistics
import sys
import tempfile
from collections import Counter
from itertools import pairwise
from pathlib import Path

from tests.e2e import killing, sameness
from tests.e2e.killing import Kill, Plan, Story, Timeline
from tests.e2e.small_campaign import SMALL

CHECKPOINTS = ["warmup.train.save_steps=25", "train.save_steps=2"]


def drawn(count: int, end: float, rng: random.Random) -> list[float]:
    """Moments, even in the mean and with none in the last second: a run that is over cannot be killed."""
    width = max(0.0, end - 1.0) / count
    return [width * (place + rng.random()) for place in range(count)]


def seconds_lost(story: Story, undisturbed: Timeline) -> list[tuple[Kill, float]]:
    """Seconds that each kill cost: what the run took longer from the last thing finished before it to the next one.

    Several kills between the same two things share them evenly.
    """
    points = [(0.0, 0.0)]
    for name, at in sorted(story.seen.items(), key=lambda item: item[1]):
        position = undisturbed.marks.get(name, 0.0)
        if position > points[-1][1]:
            points.append((at, position))
    points.append((story.end, undisturbed.end))
    lost: list[tuple[Kill, float]] = []
    for (begin, before), (end, after) in pairwise(points):
        inside = [kill for kill in story.kills if begin <= kill.at < end]
        lost += [(kill, (end - begin - (after - before)) / len(inside)) for kill in inside]
    return lost


def faults(disturbed: Story, undisturbed: Story) -> list[str]:
    """Everything that should not be; empty when the kills changed nothing."""
    found = sameness.executed_twice(disturbed)
    found += [f"differs: {place}" for place in sameness.differences(disturbed.home, undisturbed.home)]
    found += [f"left over: {what}" for what in sameness.left_over(disturbed.home)]
    ours, theirs = (
        sameness.steps_of(sameness.histories(f"sqlite:///{story.home / 'mlflow.db'}"))
        for story in (disturbed, undisturbed)
    )
    if ours != theirs:
        found.append("MLflow has other runs, metrics or steps than of the undisturbed run")
    return found


def report(disturbed: Story, undisturbed: Timeline) -> str:
    """What was killed when, and what it cost."""
    lost = [seconds for _, seconds in seconds_lost(disturbed, undisturbed)]
    share = 100 / undisturbed.end
    gone = [kill.until_gone for kill in disturbed.kills if kill.until_gone is not None]
    lines = [
        f"{len(disturbed.kills)} kills, {len(disturbed.codes)} starts; {machine()}",
        f"undisturbed {undisturbed.end:.0f} s, disturbed {disturbed.end:.0f} s",
    ]
    if lost:
        median, worst = statistics.median(lost), max(lost)
        lines.append(
            f"lost per kill: median {median:.1f} s ({median * share:.1f} % of the undisturbed run), "
            f"worst {worst:.1f} s ({worst * share:.1f} %)"
        )
    if gone:
        lines.append(f"after a kill of the command, all processes gone within: worst {max(gone):.1f} s")
    for victim in sorted({kill.victim for kill in disturbed.kills}):
        seconds = [s for kill, s in seconds_lost(disturbed, undisturbed) if kill.victim == victim]
        lines.append(f"  {victim}: median {statistics.median(seconds):.1f} s, worst {max(seconds):.1f} s")
    for title, names in (
        ("killed", [kill.victim for kill in disturbed.kills]),
        ("during", [kill.stage for kill in disturbed.kills]),
    ):
        lines += [f"{title}:", *(f"  {count:3} {name}" for name, count in Counter(names).most_common())]
    return "\n".join(lines)


def machine() -> str:
    """Where this was measured."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{os.cpu_count()} cores, {memory:.0f} GiB, {platform.machine()}, load {os.getloadavg()[0]:.1f}"


def say(kill: Kill) -> None:
    """One line per kill, as it happens."""
    print(f"{kill.at:7.1f} s  start {kill.start:3}  killed {kill.victim} in {kill.stage}", flush=True)


def main() -> None:
    """Run both campaigns; exit code 1 if the kills changed anything."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--home", type=Path, help="empty or new folder for both data roots; default: a temporary one")
    parser.add_argument("--small", action="store_true", help="the demo shrunken to a minute")
    options = parser.parse_args()
    place = (options.home or Path(tempfile.mkdtemp(prefix="odr-kill-"))).absolute()
    rng = random.Random(options.seed)
    arguments = ["demo", *(SMALL if options.small else []), *CHECKPOINTS]
    undisturbed = killing.campaign(place / "undisturbed", arguments)
    timeline = undisturbed.timeline()
    print(f"undisturbed: {timeline.end:.0f} s", flush=True)
    plan = Plan(timeline, drawn(options.kills, timeline.end, rng), rng, on_kill=say)
    disturbed = killing.campaign(place / "disturbed", arguments, plan)
    print(report(disturbed, timeline))
    found = faults(disturbed, undisturbed)
    print("\n".join(found) or "every stage executed once; artifacts, weights and curves equal; nothing left over")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
