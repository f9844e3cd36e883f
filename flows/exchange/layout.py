"""One table of one tool: which columns it has, and how an example becomes a row."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from flows.exchange.examples import Message

MESSAGES = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
"""A chat, as every tool has it."""


@dataclass(frozen=True)
class Layout:
    """A table of a tool."""

    columns: pa.Schema
    row: Callable[..., dict[str, Any]]
    """From an example of the right kind to the row."""


def layout(row: Callable[..., dict[str, Any]], **columns: pa.DataType) -> Layout:
    """A table with these columns."""
    return Layout(pa.schema(list(columns.items())), row)


def replied(messages: list[Message], text: str) -> list[Message]:
    """The chat with the assistant's turn at its end."""
    return [*messages, reply(text)]


def reply(text: str) -> Message:
    """The assistant's turn."""
    return {"role": "assistant", "content": text}
