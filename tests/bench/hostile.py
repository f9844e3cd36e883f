"""What hostile responses cost: seconds each, memory of the workers, and the pool's speed with 1 % of them.

    python -m tests.bench.hostile [--rows 20000] [--workers 2]

Seconds are the most over all golds and both policies, in one process; the start of the computer algebra is done
before. Every pair of answer and gold occurs once, so that no verdict comes from a cache. Times on a shared machine:
take them with a grain of salt.
"""

import argparse
import statistics
import threading
import time
from pathlib import Path

import psutil

from eval_math import Policy, grade, grade_many
from tests.bench.hostile_answers import GOLDS, wrong_answers

POLICIES = (Policy.reward(), Policy.benchmark())


def main() -> None:
    """Print one line per response that takes over 50 ms, then memory and speeds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    grade(r"\boxed{\frac{x}{0}}", r"\frac{x}{x-x}", Policy.reward())
    print_seconds()
    speeds: dict[float, float] = {}
    for share in (0.0, 0.01):
        runs = [speed(rows(args.rows, share), args.workers) for _ in range(3)]
        speeds[share] = statistics.median(rate for rate, _ in runs)
        peak = max(memory for _, memory in runs) / 2**20
        listed = ", ".join(f"{rate:.0f}" for rate, _ in runs)
        print(f"{100 * share:.0f} % hostile: {speeds[share]:.0f} rows/s, median of {listed}; "
              f"largest worker with its computer algebra {peak:.0f} MiB")  # fmt: skip
    print(f"speed with 1 % hostile: {100 * speeds[0.01] / speeds[0.0]:.0f} % of the speed without")


def print_seconds() -> None:
    """The time of each hostile response."""
    slowest: dict[str, tuple[float, str, str]] = {}
    for name, response in wrong_answers().items():
        for gold in GOLDS:
            for policy in POLICIES:
                started = time.perf_counter()
                verdict = grade(response, gold, policy)
                seconds = time.perf_counter() - started
                slowest[name] = max(slowest.get(name, (0.0, "", "")), (seconds, gold, verdict.reason.value))
    for name, (seconds, gold, reason) in sorted(slowest.items(), key=lambda item: -item[1][0]):
        if seconds > 0.05:
            print(f"{seconds:7.3f} s  {name}, gold {gold}: {reason}")
    worst = max(seconds for seconds, _, _ in slowest.values())
    print(f"{len(slowest)} hostile responses against {len(GOLDS)} golds under 2 policies: at most {worst:.3f} s")


def rows(count: int, share: float) -> list[tuple[str, str]]:
    """Ordinary answers of several forms, all different, with this share of hostile ones among them."""
    hostile = list(wrong_answers().values())
    every = round(1 / share) if share else count + 1
    found: list[tuple[str, str]] = []
    for number in range(count):
        if number % every == every - 1:
            found.append((hostile[number // every % len(hostile)], rf"\frac{{\sqrt{{3}}}}{{{number}}}"))
            continue
        answer, gold = (
            (rf"\frac{{{number}}}{{7}}", rf"\dfrac{{{2 * number}}}{{14}}"),
            (rf"\sqrt{{{number}}}", rf"\sqrt{{{number + 1}}}"),
            (f"(x+{number})^2", f"x^2+{2 * number}x+{number**2}"),
            (rf"\{{{number}, 2\}}", rf"\{{2, {number}\}}"),
            (str(number), f"{number}.0"),
        )[number % 5]
        found.append((rf"We find \boxed{{{answer}}}.", gold))
    return found


def speed(pairs: list[tuple[str, str]], workers: int) -> tuple[float, int]:
    """Rows per second, starting the workers included, and the most resident bytes of a worker and its children."""
    peak, done = 0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.05):
            peak = max(peak, *map(family_bytes, psutil.Process().children()), 0)

    watcher = threading.Thread(target=watch)
    watcher.start()
    started = time.perf_counter()
    for _ in grade_many(pairs, Policy.reward(), workers=workers):
        pass
    seconds = time.perf_counter() - started
    done.set()
    watcher.join()
    return len(pairs) / seconds, peak


def family_bytes(process: psutil.Process) -> int:
    """Resident bytes of a process and all below it; 0 when it has just ended."""
    try:
        family = [process, *process.children(recursive=True)]
        return sum(_high_water(member.pid) for member in family)
    except psutil.NoSuchProcess:
        return 0


def _high_water(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM")), 0)


if __name__ == "__main__":
    main()
