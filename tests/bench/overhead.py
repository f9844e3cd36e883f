"""What orchestration costs: an iteration's wall time less what its children compute, and a fully cached re-run.

    python -m tests.bench.overhead [--reruns 3]

Runs the demo in a data root of its own, or takes the demo that has been run in `--home` (.odr after `make demo`);
--fresh starts anew. Start-up of engines and trainers is listed apart: it is inside the children's time.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

IN_PROCESS = ("grade", "pair", "evaluate")
"""Stages that compute in the parent (and its grading workers)."""


def main() -> None:
    """Print one line per iteration and the re-runs' median."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reruns", type=int, default=3)
    parser.add_argument("--fresh", action="store_true")
    parser.add_argument("--home", type=Path, default=Path(".odr/bench/overhead"))
    args = parser.parse_args()
    home = args.home.absolute()
    if args.fresh:
        shutil.rmtree(home, ignore_errors=True)
    first = home / "first-results.json"
    if not first.exists():
        results = home / "campaigns" / "demo" / "results.json"
        if not results.exists():
            run(home)
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
    seconds = [run(home) for _ in range(args.reruns)]
    listed = ", ".join(f"{value:.1f}" for value in seconds)
    print(f"fully cached re-run: median {statistics.median(seconds):.1f} s of {listed}")


def run(home: Path) -> float:
    """Run the demo in this data root; return the seconds of the whole command."""
    home.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    subprocess.run(
        [sys.executable, "-m", "flows.cli", "demo"], env={**os.environ, "ODR_HOME": str(home)},
        check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    return time.monotonic() - started


if __name__ == "__main__":
    main()
