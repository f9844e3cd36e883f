"""What one cell of a file says: the response to grade, or the accepted answers.

A response is a text, a chat (its last assistant message counts) or, with `bare`, a number. A gold is a text,
a number (27.0 says 27) or a list of accepted ones. Null is no response, and no gold. Anything else is refused
with what to do about it: a cell that is misread would be a wrong verdict that nobody notices.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from eval_math.files.messages import BadInput, shown

Number = int | float | Decimal


def inside(value: Any, keys: list[str]) -> Any:
    """The value under a.b.c inside a nested cell; None where a part of the way is missing."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def response_of(value: Any, *, bare: bool) -> str | None:
    """The text of a response cell, or None when there is none.

    Raises:
        BadInput: the cell holds something else.
    """
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, Number):  # bool is one, too
        if bare:
            return number_text(value)
        raise BadInput(f"{_kind(value)}, expected text; add --bare when the column holds answers without prose")
    if isinstance(value, dict) and _role(value):
        return _content(value)
    if isinstance(value, list) and all(isinstance(each, dict) and _role(each) for each in value):
        said = [each for each in value if _role(each) in ("assistant", "gpt")]
        return _content(said[-1]) if said else None
    raise BadInput(f"{_kind(value)}, expected one text or one chat; write one row per response")


def golds_of(value: Any) -> tuple[str, ...]:
    """The accepted answers of a gold cell; none when it is null.

    Raises:
        BadInput: the cell holds something else.
    """
    every = value if isinstance(value, list) else [value]
    if not all(each is None or isinstance(each, str | Number) for each in every):
        odd = next(each for each in every if each is not None and not isinstance(each, str | Number))
        raise BadInput(
            f"{_kind(odd)}, expected a text, a number or a list of accepted answers; "
            "name a field inside as column.field"
        )
    return tuple(each if isinstance(each, str) else number_text(each) for each in every if each is not None)


def number_text(value: Number) -> str:
    """A number as a person writes it: 27.0 is 27, 1e-07 is 0.0000001; NaN, which often stands for null, is empty."""
    if isinstance(value, int):
        return str(value)
    exact = value if isinstance(value, Decimal) else Decimal(repr(value))
    if exact.is_nan():
        return ""
    if exact.is_infinite():
        return r"-\infty" if exact < 0 else r"\infty"
    text = format(exact, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _role(message: dict[str, Any]) -> str | None:
    role = message.get("role") or message.get("from")
    return role if isinstance(role, str) else None


def _content(message: dict[str, Any]) -> str | None:
    """What a message says; of a content in parts, the texts."""
    content = message.get("content", message.get("value"))
    if isinstance(content, list):
        texts = [each.get("text") if isinstance(each, dict) else each for each in content]
        return "".join(each for each in texts if isinstance(each, str))
    if content is None or isinstance(content, str):
        return content
    raise BadInput(f"a chat message whose content is {_kind(content)}, expected text")


def _kind(value: Any) -> str:
    names = {bool: "true or false", int: "a number", float: "a number", Decimal: "a number", list: "a list"}
    if isinstance(value, dict):
        return f"an object with the fields {shown(', '.join(map(str, value)))}"
    return names.get(type(value), f"a {type(value).__name__}")
