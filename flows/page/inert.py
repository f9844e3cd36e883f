"""Text of models, data sets and files as something that can only be looked at.

The template engine escapes markup. What is left are characters that change how a page reads without being markup:
control characters, overrides of the writing direction, invisible ones. They are shown by their number.
"""

from typing import Any

from markupsafe import Markup, escape

LONGEST = 1600
"""Characters of one text on the page; the middle of a longer one is left out, as start and end say most."""


def visible(text: str) -> str:
    """The text with every character that has no picture of its own replaced by its number."""
    return "".join(char if char.isprintable() or char in "\n\t" else f"\u27e8U+{ord(char):04X}\u27e9" for char in text)


def shortened(text: str, longest: int = LONGEST) -> str:
    """The text, or its start and its end with a note of what is left out between them."""
    if len(text) <= longest:
        return text
    half = longest // 2
    return f"{text[:half]}\n[… {len(text) - 2 * half:,} of {len(text):,} characters left out …]\n{text[-half:]}"


def finalize(value: Any) -> Any:
    """Of every expression of the template: strings that are not markup of ours are made visible."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def label(text: Any) -> Markup:
    """For a drawing: visible, of moderate length, escaped."""
    words = visible(str(text))
    return escape(words if len(words) <= 48 else f"{words[:47]}…")
