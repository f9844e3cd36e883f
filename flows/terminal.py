"""Plain text on the terminal: what files, models and names of others say has no power over it."""

from rich.console import Console


def say(text: str) -> None:
    """Print lines without markup, with a sign in place of every control and other invisible character."""
    clean = "".join(char if char.isprintable() or char == "\n" else "\N{REPLACEMENT CHARACTER}" for char in text)
    Console(soft_wrap=True).print(clean, markup=False, highlight=False)
