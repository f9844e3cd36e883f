"""Run the commands that our documents show, page by page, on the small campaign instead of the demo.

    python -m tests.e2e.document_commands docs/how-to/*.md docs/training.md [--home DIR]

Takes a quarter of an hour for these pages (23 minutes beside another heavy job), so that CI runs the tutorial's alone
(and parses all). What a line says it needs (`# needs a GPU`) is not here; `make` and the activation of the environment
have been done by whoever runs this.
"""

import argparse
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.documents import ROOT, commands, words
from tests.e2e import servers
from tests.e2e.small_campaign import SMALL, environment, odr

NEEDS = re.compile(r"# needs (.*)")
MODULE = re.compile(r"^```python\n# (\w+\.py)\n(.*?)^```", re.MULTILINE | re.DOTALL)
"""A code block whose first line is the name of its file."""


def ran(home: Path, line: str, shorter: list[str] = SMALL) -> subprocess.CompletedProcess[str]:
    """Run one of our own commands on this data root."""
    variables, arguments = environment(home), words(line)
    while "=" in arguments[0]:
        name, _, value = arguments.pop(0).partition("=")
        variables[name] = str(home) if value == "." else value  # where a page's modules are written
    program, *rest = arguments
    start = [sys.executable, "-m", "flows.cli"] if program == "odr" else [sys.executable]
    return subprocess.run(
        [*start, *_shortened(home, rest, shorter)], env=variables, cwd=ROOT, capture_output=True, text=True
    )


def _shortened(home: Path, arguments: list[str], shorter: list[str]) -> list[str]:
    found = ["demo/1" if word == "demo/3" else word.replace(".odr", str(home)) for word in arguments]
    if "configs/demo.yaml" in found:
        at = found.index("configs/demo.yaml") + 1
        found[at:at] = shorter
    if found == ["up"]:  # its own ports may be taken
        found += ["--prefect-port", str(servers.free_port()), "--mlflow-port", str(servers.free_port())]
    return found


def main() -> None:
    """Run the pages' commands; exit code 1 if one failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pages", nargs="+", type=Path)
    parser.add_argument("--home", type=Path, help="Data root; default: a new temporary one.")
    options = parser.parse_args()
    home: Path = options.home or Path(tempfile.mkdtemp(prefix="odr-documents-"))
    shorter = [*SMALL, "iterations=2"]
    done = odr(home, "demo", *shorter)
    failed = 0 if done.returncode == 0 else 1
    print(f"{done.returncode}  the small campaign", flush=True)
    for page in options.pages:
        print(page)
        modules = dict(MODULE.findall(page.read_text(encoding="utf-8")))
        for name, text in modules.items():
            (home / name).write_text(text, encoding="utf-8")
        for line in commands(page):
            failed += _say(home, line, shorter)
    sys.exit(1 if failed else 0)


def _say(home: Path, line: str, shorter: list[str]) -> bool:
    """Run a line and print how it went; whether it failed."""
    needs = NEEDS.search(line)
    if needs or line.startswith(("make ", ". ")):
        print(f"-  {line}" if needs else f"-  {line}  (done before)", flush=True)
        return False
    began = time.monotonic()
    done = ran(home, line, shorter)
    print(f"{done.returncode}  {line}  ({time.monotonic() - began:.0f} s)", flush=True)
    if done.returncode:
        print(done.stdout[-1000:], done.stderr[-2000:])
    return done.returncode != 0


if __name__ == "__main__":
    main()
