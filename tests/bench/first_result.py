"""Minutes from `git clone` to the demo's table, and each phase's share of them.

    python -m tests.bench.first_result [--place DIR] [--keep]

Clones this repository, as committed, and runs `make setup` and `make demo` there: what a newcomer does. Packages come
from wherever pip is configured to find them, so set-up measures that line too.
"""

import argparse
import json
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from flows.tables import phases, start_up

ROOT = Path(__file__).parents[2]
OURS = ("PREFECT_", "MLFLOW_", "ODR_")


def main() -> None:
    """Print one line per phase."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--place", type=Path, help="New folder for the clone; default: a temporary one, removed.")
    parser.add_argument("--keep", action="store_true", help="Leave the clone, with its data root.")
    options = parser.parse_args()
    place: Path = options.place or Path(tempfile.mkdtemp(prefix="odr-first-")) / "clone"
    spent = {
        "git clone": timed(["git", "clone", "--quiet", str(ROOT), str(place)], place.parent),
        "set-up": timed(["make", "setup"], place),
    }
    run = timed(["make", "demo"], place)
    facts = json.loads((place / ".odr/campaigns/demo/results.json").read_text(encoding="utf-8"))
    spent |= phases(facts, run)
    total = sum(spent.values())
    for name, seconds in spent.items():
        print(f"{name:18}{seconds:7.1f} s{100 * seconds / total:6.1f} %")
    print(f"{'all':18}{total:7.1f} s = {total / 60:.1f} min; start-up in children {start_up(facts):.0f} s of it")
    if not options.keep and not options.place:
        shutil.rmtree(place.parent)


def timed(command: list[str], place: Path) -> float:
    """Run a command as a newcomer would, without our settings; return its wall seconds."""
    place.mkdir(parents=True, exist_ok=True)
    clean = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    began = time.monotonic()
    subprocess.run(command, cwd=place, env=clean, check=True)
    return time.monotonic() - began


if __name__ == "__main__":
    main()
