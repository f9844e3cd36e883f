"""One data root for all end-to-end tests: what one test has computed, the next finds cached."""

from pathlib import Path
from typing import Any

import pytest

from tests.e2e.small_campaign import SMALL, odr, results


@pytest.fixture(scope="session")
def small_campaign(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The small campaign, run in a new data root, and what it reported."""
    root = tmp_path_factory.mktemp("odr")
    done = odr(root, "demo", *SMALL)
    assert done.returncode == 0, done.stderr[-4000:]
    return root, results(root)


@pytest.fixture(scope="session")
def home(small_campaign: tuple[Path, dict[str, Any]]) -> Path:
    """A data root in which the small campaign has run, perhaps again in another test."""
    return small_campaign[0]


@pytest.fixture(scope="session")
def first_results(small_campaign: tuple[Path, dict[str, Any]]) -> dict[str, Any]:
    """What its first run reported."""
    return small_campaign[1]
