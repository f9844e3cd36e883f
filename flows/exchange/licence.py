"""The licence of a base model, as its own files say it. What they do not say is unknown, never guessed.

Its README's front matter counts (https://huggingface.co/docs/hub/model-cards); without one, the title of its licence
file. A licence file goes along with the model that was made from it.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

FILES = ("LICENSE", "LICENSE.txt", "LICENSE.md", "LICENCE")
README = "README.md"
_MOST_BYTES = 1 << 20
_MOST_FRONT_MATTER = 1 << 16
_IDENTIFIER = re.compile(r"[a-z0-9][a-z0-9.+-]{0,49}")
_TITLES = (
    (re.compile(r"\s*Apache License\s+Version 2\.0, January 2004"), "apache-2.0"),
    (re.compile(r"\s*(The )?MIT License( \(MIT\))?\s"), "mit"),
)


@dataclass(frozen=True)
class Licence:
    """What is known."""

    front_matter: dict[str, str]
    """`license`, `license_name` and `license_link`, as far as there are any."""
    file: Path | None = None
    """The base model's licence file."""

    @property
    def said(self) -> str:
        """For people."""
        known = self.front_matter.get("license_name") or self.front_matter.get("license")
        return f"{known}, as of the base model" if known else "unknown: see the base model"


def licence_of(find: Callable[[str], Path | None]) -> Licence:
    """The licence of a model whose files `find` gives by name, or None for a file that is not there."""
    file = next((path for name in FILES if (path := find(name)) is not None), None)
    readme = find(README)
    said = _declared(_head(readme)) if readme else {}
    if not said and file is not None:
        said = _titled(_head(file))
    if file is None and not said.get("license_link", "https://").startswith("https://"):
        del said["license_link"]  # it names a file that does not go along
    return Licence(said, file)


def _head(path: Path) -> str:
    with path.open("rb") as stream:
        return stream.read(_MOST_BYTES).decode("utf-8", errors="replace")


def _declared(readme: str) -> dict[str, str]:
    """The licence fields of the front matter; none if it is no mapping, or too long to be one."""
    head, marker, _ = readme.removeprefix("---\n").partition("\n---")
    if not readme.startswith("---\n") or not marker or len(head) > _MOST_FRONT_MATTER:
        return {}
    try:
        fields: Any = yaml.safe_load(head)
    except (yaml.YAMLError, ValueError, RecursionError):
        return {}
    if not isinstance(fields, dict) or not _is_identifier(fields.get("license")):
        return {}
    names = ("license", "license_name", "license_link")
    return {name: fields[name] for name in names if _is_line(fields.get(name))}


def _titled(text: str) -> dict[str, str]:
    known = next((identifier for title, identifier in _TITLES if title.match(text)), None)
    return {"license": known} if known else {"license": "other"}


def _is_identifier(value: Any) -> bool:
    return isinstance(value, str) and _IDENTIFIER.fullmatch(value) is not None


def _is_line(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= 200 and value.isprintable()
