"""One data root for all end-to-end tests: what one test has computed, the next finds cached."""

from pathlib import Path

import pytest

from tests.e2e.small_campaign import SMALL, odr


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data root in which the small campaign has run once."""
    root = tmp_path_factory.mktemp("odr")
    done = odr(root, "demo", *SMALL)
    assert done.returncode == 0, done.stderr[-4000:]
    return root
