"""JSON that others may have written: whatever is wrong with it is a ValueError."""

import json
from typing import Any


def parse(text: str | bytes) -> Any:
    """Return the value.

    Raises:
        ValueError: no JSON, no UTF-8, or nested too deeply for Python's reader.
    """
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
