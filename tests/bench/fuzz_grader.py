"""Hours of nonsense for the grader: it must neither crash nor hang nor overrun its time.

    python -m tests.bench.fuzz_grader --minutes 10 [--seed 1]
    python -m tests.bench.fuzz_grader --again .odr/bench/fuzz/1-12345.json        # grade one input again, and show it

Every input is graded under both policies in a child process, so that even a hang inside one long operation is seen,
named by its index and survived. A verdict must follow from its reason and be the same when the input is graded again.
An input with a defect is saved: what an index means changes with the golden cases.
Exits 1 on a crash, a hang, an overrun or a verdict that changes.
"""

from __future__ import annotations

import argparse
import heapq
import json
import multiprocessing
import resource
import sys
import time
from collections import Counter
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from eval_math import Policy, grade
from eval_math.verdict import Reason, verdict_of
from tests.bench.answer_sets import DATA
from tests.bench.hostile_texts import pair

POLICIES = (Policy.reward(), Policy.benchmark())
OVERRUN_SECONDS = 3.0
"""CPU seconds of one grading; the grader itself stops an evaluation after 2."""
HANG_SECONDS = 30.0
AGAIN = 50
"""Every 50th input is graded twice."""


def defect(response: str, gold: str, policy: Policy, again: bool) -> tuple[str, str, float]:
    """(reason, what is wrong or "", CPU seconds) of one grading."""
    started = time.thread_time()
    try:
        found = grade(response, gold, policy)
    except BaseException as error:
        return "exception", f"{type(error).__name__}: {error}"[:300], time.thread_time() - started
    seconds = time.thread_time() - started
    if found.reason is Reason.GRADER_CRASHED:
        return found.reason.value, "the grader crashed", seconds
    if found.correct is not verdict_of(found.reason):
        return found.reason.value, f"{found.correct} does not follow from {found.reason.value}", seconds
    if seconds > OVERRUN_SECONDS:
        return found.reason.value, f"took {seconds:.1f} s", seconds
    if again and seconds < 1 and (other := grade(response, gold, policy)).reason is not found.reason:
        return found.reason.value, f"graded again: {other.reason.value}", seconds
    return found.reason.value, "", seconds


def child(pipe: Connection, position: Any, seed: int, first: int, step: int, until: float, data_dir: Path) -> None:
    """Grade inputs until the time is over; report defects at once and the sums at the end."""
    reasons: Counter[str] = Counter()
    slowest: list[tuple[float, int]] = []
    index = first
    while time.monotonic() < until:
        response, gold = pair(seed, index, data_dir)
        with position.get_lock():
            position[0], position[1] = float(index), time.monotonic()
        took = 0.0
        for policy in POLICIES:
            reason, wrong, seconds = defect(response, gold, policy, index % AGAIN == 0)
            reasons[reason] += 1
            took = max(took, seconds)
            if wrong:
                pipe.send(("defect", index, policy.name, wrong))
        heapq.heappush(slowest, (took, index))
        slowest = heapq.nlargest(10, slowest) if len(slowest) > 200 else slowest
        index += step
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    pipe.send(("done", (index - first) // step, reasons, heapq.nlargest(10, slowest), peak))


class Fuzz:
    """Children one after the other until the time is over; one that hangs or dies costs its input only."""

    def __init__(self, seed: int, minutes: float, data_dir: Path, save: Path) -> None:
        self.seed, self.data_dir, self.save = seed, data_dir, save
        self.until = time.monotonic() + 60 * minutes
        self.defects: list[str] = []
        self.sums: list[tuple[int, Counter[str], list[tuple[float, int]], float]] = []

    def run(self) -> None:
        first = 0
        while time.monotonic() < self.until:
            first = self.one_child(first)

    def one_child(self, first: int) -> int:
        context = multiprocessing.get_context("spawn")
        position = context.Array("d", [first - 1.0, time.monotonic() + 60])
        ours, theirs = context.Pipe(duplex=False)
        # A child's sums come when it ends, so that a long run is many children.
        until = min(self.until, time.monotonic() + 60)
        process = context.Process(target=child, args=(theirs, position, self.seed, first, 1, until, self.data_dir))
        process.start()
        theirs.close()
        done = False
        while not done:
            try:
                message = ours.recv() if ours.poll(1.0) else None
            except EOFError:
                message = None
            if message and message[0] == "defect":
                self.note(*message[1:])
            elif message:
                self.sums.append(message[1:])
                done = True
            elif not process.is_alive() or time.monotonic() - position[1] > HANG_SECONDS:
                if position[0] < first:
                    raise SystemExit(f"the child ended with {process.exitcode} before its first input")
                what = "hang" if process.is_alive() else f"the process died with {process.exitcode}"
                self.note(int(position[0]), "either policy", what)
                process.kill()
                done = True
        process.join()
        return int(position[0]) + 1

    def note(self, index: int, policy: str, what: str) -> None:
        response, gold = pair(self.seed, index, self.data_dir)
        path = self.save / f"{self.seed}-{index}.json"
        self.save.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"response": response, "gold": gold}), encoding="utf-8")
        text = f"input {index} ({policy}): {what}; {response[:200]!a} against {gold[:100]!a}; --again {path}"
        self.defects.append(text)
        print(text, flush=True)

    def report(self) -> None:
        reasons = sum((each[1] for each in self.sums), Counter[str]())
        inputs = sum(each[0] for each in self.sums)
        slowest = heapq.nlargest(10, (entry for each in self.sums for entry in each[2]))
        print(f"seed {self.seed}: {inputs} inputs, {reasons.total()} verdicts, {len(self.defects)} defects")
        print(f"slowest {max(slowest, default=(0.0, 0))[0]:.3f} CPU s; peak resident set "
              f"{max((each[3] for each in self.sums), default=0.0):.0f} MiB")  # fmt: skip
        print("verdicts: " + ", ".join(f"{name} {count}" for name, count in reasons.most_common()))
        for seconds, index in slowest:
            response, gold = pair(self.seed, index, self.data_dir)
            print(f"  {seconds:.3f} s, input {index}: {response[:90]!a} ({len(response)}) against {gold[:60]!a}")


def main() -> None:
    """Fuzz for some minutes, or grade one input again."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--again", type=Path, help="a saved input")
    parser.add_argument("--save", type=Path, default=Path(".odr/bench/fuzz"))
    parser.add_argument("--data-dir", type=Path, default=DATA)
    args = parser.parse_args()
    if args.again:
        row = json.loads(args.again.read_text(encoding="utf-8"))
        response, gold = row["response"], row["gold"]
        print(f"response {response!a}\ngold     {gold!a}")
        for policy in POLICIES:
            print(policy, *defect(response, gold, policy, True))
        return
    fuzz = Fuzz(args.seed, args.minutes, args.data_dir, args.save)
    print(f"seed {args.seed}, {args.minutes:g} minutes", flush=True)
    fuzz.run()
    fuzz.report()
    sys.exit(bool(fuzz.defects))


if __name__ == "__main__":
    main()
