"""Is the grader right, and how fast is it? Accuracy and speed of ours, math-verify and string match, side by side.

    python -m tests.bench.grader [--quick] [--set golden] [--peers none] [--data-dir DIR]

Sets: golden cases; every gold of the benchmarks against itself, respelled, and against 20 golds of other problems;
texts of solution length. math-verify takes milliseconds per answer and sees an evenly spaced sample of the larger sets;
speeds are compared on one sample, and every table prints its n. One process, one thread; what was read of a gold is
forgotten between repetitions, except in the line "golds read before".
"""

import argparse
import os
import platform
import statistics
from collections.abc import Callable
from pathlib import Path

from eval_math import Policy
from tests.bench import answer_sets
from tests.bench.answer_sets import DATA, Case
from tests.bench.grading import ACCURACY, SPEED, accuracy_line, measure, mistakes, sample, speed_line, stage_line
from tests.bench.peers import Peer, peers

REPEATS = 3


def report(title: str, cases: list[Case], judges: dict[str, Peer], peer_sample: int, timed_sample: int) -> None:
    """Print one set: accuracy, speed, stages, mistakes."""
    if not cases:
        return
    print(f"\n== {title}: {len(cases)} answers to {len({case.gold for case in cases})} distinct golds", flush=True)
    ours = measure(judges["ours"], cases, REPEATS)
    print(ACCURACY)
    print(accuracy_line("ours", cases, ours.answers))
    compared = sample(cases, peer_sample)
    # On hostile answers math-verify runs into its time limit of 5 s, which would be all that the ratio shows.
    timed = sample([case for case in cases if "(hostile" not in case.identity], timed_sample)
    for name, judge in judges.items():
        if name != "ours":
            few = compared if name == "math-verify" else cases
            print(accuracy_line(name, few, measure(judge, few, 1).answers), flush=True)
    print(SPEED)
    print(speed_line("ours", len(cases), ours))
    print(speed_line("ours, golds read before", len(cases), measure(judges["ours"], cases, REPEATS, warm=True)))
    if len(judges) > 1:
        compare(judges, timed)
    print(stage_line(ours))
    for line in mistakes(cases, ours.answers):
        print(line)


def compare(judges: dict[str, Peer], cases: list[Case]) -> None:
    """Speeds on one sample, and how many times math-verify's answers ours gives in the same CPU time."""
    runs = {f"{name}, sample": measure(judge, cases, REPEATS) for name, judge in judges.items()}
    runs["ours, sample, read"] = measure(judges["ours"], cases, REPEATS, warm=True)
    for name, run in runs.items():
        print(speed_line(name, len(cases), run), flush=True)
    if "math-verify" in judges:
        theirs = statistics.median(runs["math-verify, sample"].cpu)
        fresh, read = (theirs / statistics.median(runs[name].cpu) for name in ("ours, sample", "ours, sample, read"))
        print(f"  answers per CPU second, ours / math-verify: {fresh:.0f}, and {read:.0f} with golds read before")


def by_benchmark(kind: str, by_name: dict[str, list[Case]], ours: Peer) -> None:
    """What was not decided as expected, benchmark by benchmark, under the reward's and the benchmark's own policy."""
    print(f"\n== {kind} by benchmark: pairs of texts whose verdict is not the expected one")
    for name, cases in by_name.items():
        listed: set[str] = set()
        for policy in (Policy.reward(), Policy.benchmark(name)):
            some = [case._replace(policy=policy) for case in cases]
            lines = mistakes(some, [ours(case) for case in some])
            print(f"  {name:14} {policy!s:50} n {len(some):6}  not as expected {len(lines)}")
            # Those under the reward's policy stand in the list above.
            more = [line for line in lines if line not in listed] if listed or policy != Policy.reward() else []
            print("\n".join(more), end="\n" if more else "")
            listed.update(lines)


def machine() -> str:
    model = next((line.split(":")[1].strip() for line in _cpu_lines() if line.startswith("model name")), "unknown CPU")
    load = os.getloadavg()[0]
    return f"{model}, {os.cpu_count()} cores, load {load:.1f}; Python {platform.python_version()}"


def _cpu_lines() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small samples: a minute, figures to be taken as rough")
    parser.add_argument("--set", choices=["golden", "self", "respelled", "shuffled", "solutions"], action="append")
    parser.add_argument("--peers", nargs="+", choices=["math-verify", "string-match", "none"], default=None)
    parser.add_argument("--data-dir", type=Path, default=DATA)
    args = parser.parse_args()
    judges = peers(["math-verify", "string-match"] if args.peers is None else args.peers)
    size = 60 if args.quick else 300
    sets: dict[str, Callable[[str], list[Case]]] = {
        "self": lambda name: answer_sets.itself(name, args.data_dir),
        "respelled": lambda name: answer_sets.respelled(name, args.data_dir),
        "shuffled": lambda name: answer_sets.shuffled(name, args.data_dir, Policy.reward()),
        "solutions": lambda name: answer_sets.solution_texts(name, args.data_dir),
    }
    wanted = args.set or ["golden", *sets]
    print(machine())
    if "golden" in wanted:
        report("golden cases", answer_sets.golden(), judges, 10_000, size)
    if not answer_sets.available(args.data_dir):
        print(f"no benchmark files in {args.data_dir}: the other sets are left out; --data-dir says where they are")
        return
    for kind, make in sets.items():
        if kind in wanted:
            by_name = {name: make(name) for name in answer_sets.available(args.data_dir)}
            report(kind, [case for cases in by_name.values() for case in cases], judges, size, size)
            if kind in ("self", "shuffled"):
                by_benchmark(kind, by_name, judges["ours"])


if __name__ == "__main__":
    main()
