"""What orchestration costs: an iteration's wall time less what its children compute, a fully cached re-run, a plan.

    python -m tests.bench.overhead [--reruns 3] [--home DIR] [OVERRIDES ...]

Runs the demo in a data root of its own, or takes the demo that has been run in `--home` (.odr after `make demo`);
--fresh starts anew. Start-up of engines and trainers is listed apart: it is inside the children's time.
"""

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

ODR = ("-m", "flows.cli")
CONFIG = "configs/demo.yaml"
IN_PROCESS = ("grade", "pair", "evaluate")
"""Stages that compute in the parent (and its grading workers)."""


def main() -> None:
    """Print one line per iteration, and the medians of the commands that compute nothing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reruns", type=int, default=3)
    parser.add_argument("--fresh", action="store_true")
    parser.add_argument("--home", type=Path, default=Path(".odr/bench/overhead"))
    parser.add_argument("overrides", nargs="*", help="Of the demo's config, as the demo in --home was run with.")
    args = parser.parse_args()
    home = args.home.absolute()
    if args.fresh:
        shutil.rmtree(home, ignore_errors=True)
    first = home / "first-results.json"
    if not first.exists():
        results = home / "campaigns" / "demo" / "results.json"
        if not results.exists():
            run(home, args.overrides)
        shutil.copy(results, first)
    shares: list[float] = []
    iterations = json.loads(first.read_text())["iterations"][1:]
    if any(stage["cached"] for row in iterations for stage in row["stages"]):
        first.unlink()
        raise SystemExit(f"the demo in {home} was not run in one go, so its times say nothing; use --fresh")
    for row in iterations:
        children = sum(child["seconds"] for stage in row["stages"] for child in stage["children"])
        start_up = sum(child["start_up"] for stage in row["stages"] for child in stage["children"])
        grading = sum(stage["seconds"] for stage in row["stages"] if stage["stage"] in IN_PROCESS)
        rest = row["seconds"] - children - grading
        shares.append(rest / row["seconds"])
        print(
            f"iteration {row['iteration']}: {row['seconds']:.1f} s; children {children:.1f} s (of which start-up "
            f"{start_up:.1f} s); grading, pairing, scoring {grading:.1f} s; the rest {rest:.1f} s = "
            f"{100 * shares[-1]:.1f} %"
        )
    print(f"overhead, median of {len(shares)} iterations: {100 * statistics.median(shares):.1f} %")
    start = medians("interpreter start", [command(home, "-c", "pass") for _ in range(args.reruns)])
    rerun = medians("fully cached re-run", [run(home, args.overrides) for _ in range(args.reruns)])
    print(f"  beyond interpreter start {rerun - start:.2f} s")
    medians(f"odr plan {CONFIG}", [command(home, *ODR, "plan", CONFIG, *args.overrides) for _ in range(args.reruns)])


def medians(what: str, spent: list[tuple[float, float]]) -> float:
    """Print the median wall and processor seconds of repeated commands; return that of the wall."""
    wall, processor = (statistics.median(column) for column in zip(*spent, strict=True))
    listed = ", ".join(f"{seconds:.2f}" for seconds, _ in spent)
    print(f"{what}: median {wall:.2f} s of {listed}; processor {processor:.2f} s")
    return wall


def run(home: Path, overrides: list[str]) -> tuple[float, float]:
    """Run the demo in this data root; return the wall and processor seconds of the whole command."""
    return command(home, *ODR, "demo", *overrides)


def command(home: Path, *arguments: str) -> tuple[float, float]:
    """Run Python in this data root; return its wall seconds, and the processor's with those of its children."""
    home.mkdir(parents=True, exist_ok=True)
    started, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, *arguments], env={**os.environ, "ODR_HOME": str(home)},
        check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.monotonic() - started, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    main()
