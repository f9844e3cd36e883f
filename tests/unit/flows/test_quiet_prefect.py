"""Prefect's own lines stay out of the terminal, whichever of its modules has been imported by then."""

import subprocess
import sys

import pytest

from tests.documents import ROOT

LEVELS = """
import logging
{before}
from flows.environment import quiet_prefect
quiet_prefect()
import prefect.flows
from prefect.logging.handlers import PrefectConsoleHandler
loggers = [logging.root, *map(logging.getLogger, list(logging.root.manager.loggerDict))]
print(*[h.level for logger in loggers for h in logger.handlers if isinstance(h, PrefectConsoleHandler)])
"""


@pytest.mark.parametrize("before", ["", "import prefect.flows"], ids=["before", "after"])
def test_its_console_handlers_say_only_what_is_critical(before: str) -> None:
    code = LEVELS.format(before=before)
    said = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout

    assert set(said.split()) == {"50"}
