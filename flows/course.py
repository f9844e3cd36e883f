"""Which stage of how many: while a planned run goes on, the lines that end a stage are numbered."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from tasks import caching


@contextmanager
def numbered(stages: int) -> Iterator[None]:
    """Put `[3/13]` before the line of the third stage that ends in this block, of so many that were planned."""
    ended = 0

    def number(record: logging.LogRecord) -> bool:
        nonlocal ended
        if record.msg == caching.DONE:
            ended += 1
            record.msg = f"[{ended}/{max(ended, stages)}] {caching.DONE}"
        return True

    caching.log.addFilter(number)
    try:
        yield
    finally:
        caching.log.removeFilter(number)
