"""What the commands write: tables, plain text over which what models and names of others say has no power, and JSON."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any

from rich.console import Console

out = Console(width=None if sys.stdout.isatty() else 140)
"""Where results go: standard output, and nothing but results."""


@contextmanager
def others_on_stderr() -> Iterator[None]:
    """In this block, what libraries and children print goes to standard error: a script reads the other one."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        sys.stderr.flush()
        os.dup2(kept, 1)
        os.close(kept)


def say(text: str) -> None:
    """Print lines without markup, with a sign in place of every control and other invisible character."""
    Console(soft_wrap=True).print(clean(text), markup=False, highlight=False)


def clean(text: str) -> str:
    """The text with a sign in place of every character that a terminal might obey."""
    return "".join(char if char.isprintable() or char == "\n" else "\N{REPLACEMENT CHARACTER}" for char in text)


def say_json(value: Any) -> None:
    """Print one JSON value for a script."""
    say(json.dumps(value, indent=1))
