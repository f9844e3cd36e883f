"""What one cell of a file of others says: a question with or without a reply, or reference answers."""

from decimal import Decimal
from typing import Any

from eval_math.files.cells import number_text
from eval_math.files.messages import shown


class Unsuited(Exception):
    """A row of which a campaign has no use; the message is the reason it is counted under."""


class Malformed(ValueError):
    """A cell that is not what its format says."""

    def __init__(self, column: str, expected: str, found: Any) -> None:
        """`found` is shown shortened, and never as it is: it may hold terminal commands."""
        said = shown(found, 40) if isinstance(found, str) else type(found).__name__
        super().__init__(f"column {column!r} holds {said!r}, expected {expected}")


def turns(value: Any, column: str) -> tuple[str, str | None]:
    """The user's question and the reply to it, of a chat or of a bare question; a system message is left out.

    A chat that begins with the assistant has an empty question: its prompt stands elsewhere.

    Raises:
        Malformed: neither text nor messages.
        Unsuited: a conversation of several turns, or of other roles.
    """
    if isinstance(value, str):
        return _asked(text(value)), None
    if not isinstance(value, list) or not value:
        raise Malformed(column, "text, or a list of messages with role and content", value)
    said = [_message(each, column) for each in value]
    roles = [role for role, _ in said if role != "system"]
    texts = [text for role, text in said if role != "system"]
    if roles == ["assistant"]:
        return "", texts[0]
    if roles not in (["user"], ["user", "assistant"]):
        raise Unsuited("a conversation of more than one question and reply")
    return _asked(texts[0]), texts[1] if len(texts) > 1 else None


def answers(value: Any, column: str) -> list[str]:
    """The reference answers of a cell, of which any is right: texts or numbers, none of them empty.

    Raises:
        Malformed: something else.
        Unsuited: there is none.
    """
    every = value if isinstance(value, list) else [value]
    found = []
    for each in every:
        if isinstance(each, bool) or not isinstance(each, str | int | float | Decimal | None):
            raise Malformed(column, "an answer as text or number, or a list of them", each)
        said = "" if each is None else text(each) if isinstance(each, str) else number_text(each)
        found += [said] if said.strip() else []
    if not found:
        raise Unsuited("without a reference answer")
    return found


def text(value: str) -> str:
    """The text itself; raises Malformed if it holds half a character, as JSON can, which no file may."""
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise Malformed("text", "valid Unicode", f"{error.reason} at {error.start}") from error
    return value


def _asked(question: str) -> str:
    if not question.strip():
        raise Unsuited("without a question")
    return question


def _message(value: Any, column: str) -> tuple[str, str]:
    if not isinstance(value, dict) or not isinstance(value.get("role"), str):
        raise Malformed(column, "messages with role and content", value)
    content = value.get("content")
    if not isinstance(content, str):
        raise Malformed(column, "messages whose content is text", content)
    return value["role"], text(content)
