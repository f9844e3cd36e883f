"""What a campaign has left behind: its results, its config, and the artifacts that both name."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import yaml

from artifacts import ArtifactError, Manifest, Ref
from artifacts.manifest import folder_of
from flows import report
from tasks.workspace import Workspace

Found = TypeVar("Found")


@dataclass
class Source:
    """One finished campaign."""

    workspace: Workspace
    campaign: str
    results: dict[str, Any]
    config: dict[str, Any]
    """The resolved config; empty if its file is gone."""
    config_text: str
    gone: list[str] = field(default_factory=list)
    """A sentence for each thing that could not be read: the page says what it leaves out."""

    @property
    def iterations(self) -> list[dict[str, Any]]:
        """The starting model and every iteration, as `results.json` has them."""
        return self.results["iterations"]

    @property
    def last(self) -> dict[str, Any]:
        """The last iteration."""
        return self.iterations[-1]

    def attempt(self, read: Callable[..., Found], *arguments: Any) -> Found | None:
        """The result of a reading, or None and a sentence in `gone` if an artifact cannot be read."""
        try:
            return read(*arguments)
        except ArtifactError as error:
            if str(error) not in self.gone:
                self.gone.append(str(error))
            return None

    def manifest(self, ref: dict[str, Any]) -> Manifest | None:
        """What is recorded about an artifact of the results."""
        return self.attempt(lambda: self.workspace.store.manifest(Ref.from_json(ref)))

    def parent(self, manifest: Manifest, kind: str) -> Ref[Any] | None:
        """The parent of this kind, which the manifest names by its digest alone."""
        store = self.workspace.root / "store"
        for digest in manifest.parents:
            path = folder_of(kind, digest)
            if (store / path).is_dir():
                return self.workspace.store.manifest(Ref(kind, digest, 0, 0, path)).ref()
        return None


def read(workspace: Workspace, campaign: str) -> Source:
    """Open a finished campaign.

    Raises:
        FileNotFoundError: there is none of that name; lists those there are.
        ValueError: its results or its config are no longer what a campaign writes.
    """
    path = workspace.results(campaign)
    try:
        results = report.read(workspace, campaign)
        if not results["iterations"]:
            raise KeyError("iterations")
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path} is not what a campaign writes ({error!r}); run the campaign again, which writes it anew"
        ) from error
    text = _text(report.folder(workspace, campaign) / report.CONFIG)
    try:
        config = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        raise ValueError(
            f"the config beside {path} is no YAML; run the campaign again, which writes it anew"
        ) from error
    return Source(workspace, campaign, results, config if isinstance(config, dict) else {}, text)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""


def at(fields: Any, *names: str) -> Any:
    """A field deep in nested dicts; None if any of them is not there."""
    for name in names:
        fields = fields.get(name) if isinstance(fields, dict) else None
    return fields


def name_of(row: dict[str, Any], source: Source) -> str:
    """What people call this row of the results."""
    number = row.get("iteration", 0)
    return str(number) if number else ("0, warm-up" if source.config.get("warmup") else "0, base")


def refs_in(value: Any, role: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """(role, reference) of everything with a digest in a part of the results."""
    if isinstance(value, dict):
        if isinstance(value.get("digest"), str):
            yield role, value
        for name, item in value.items():
            yield from refs_in(item, f"{role} {name}".strip())
    elif isinstance(value, list):
        for item in value:
            yield from refs_in(item, role)
