"""One data root for all end-to-end tests of a process: what one test has computed, the next finds cached."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from tests.e2e.small_campaign import SMALL, odr, results

FIRST = "first.json"
COMPUTED = ("cache", "checkpoints", "demo", "keys", "store")
"""Of a data root: what a second process of the same test session need not compute again."""


@pytest.fixture(scope="session")
def small_campaign(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> tuple[Path, Any]:
    """The small campaign in a data root of this process's own, and what its first run reported."""
    root = tmp_path_factory.mktemp("odr")
    base = tmp_path_factory.getbasetemp()
    shared = (base.parent if hasattr(request.config, "workerinput") else base) / "small-campaign"
    with FileLock(f"{shared}.lock"):
        if shared.exists():
            shutil.copytree(shared, root, dirs_exist_ok=True, ignore=shutil.ignore_patterns(FIRST))
        done = odr(root, "demo", *SMALL)
        assert done.returncode == 0, done.stderr[-4000:]
        if not shared.exists():
            keep(root, shared)
    return root, json.loads((shared / FIRST).read_text())


def keep(root: Path, shared: Path) -> None:
    """Copy what was computed, whole or not at all."""
    unfinished = shared.with_suffix(".unfinished")
    for name in COMPUTED:
        shutil.copytree(root / name, unfinished / name)
    (unfinished / FIRST).write_text(json.dumps(results(root)))
    unfinished.rename(shared)


@pytest.fixture(scope="session")
def home(small_campaign: tuple[Path, dict[str, Any]]) -> Path:
    """A data root in which the small campaign has run, perhaps again in another test."""
    return small_campaign[0]


@pytest.fixture(scope="session")
def first_results(small_campaign: tuple[Path, dict[str, Any]]) -> dict[str, Any]:
    """What its first run reported."""
    return small_campaign[1]
