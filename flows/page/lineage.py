"""Every artifact that a campaign's results name, and what those were made of, down to the first."""

import json
import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from artifacts import ArtifactError, Manifest, Ref, checkpoints
from artifacts.audit import artifact_folders
from artifacts.manifest import folder_of
from flows.page.inert import shortened
from flows.page.source import Source, refs_in

MOST = 1000
"""Rows of the table; those that the results name come first."""
DETAILS = 220
"""Characters of what made an artifact."""
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Artifact:
    """One row of the table."""

    digest: str
    kind: str
    role: str
    """Where the results name it; empty for one that is only a parent."""
    rows: int | None
    bytes: int | None
    created: str
    parents: list[str]
    made_by: str
    """What its stage recorded of itself, shortened."""


def lineage(source: Source) -> tuple[list[Artifact], int]:
    """(the artifacts, how many more there are)."""
    roles = _roles(source)
    kinds = {folder.name: folder.parent.parent.name for folder in artifact_folders(source.workspace.root / "store")}
    known = {digest: fields for digest, (_, fields) in roles.items()}
    waiting, seen, found = deque(known), set(known), []
    while waiting and len(found) < MOST:
        digest = waiting.popleft()
        role = ", ".join(roles[digest][0]) if digest in roles else ""
        artifact = _artifact(source, digest, role, known.get(digest, {}), kinds)
        found.append(artifact)
        for parent in artifact.parents:
            if parent not in seen:
                seen.add(parent)
                waiting.append(parent)
    return found, len(waiting)


def _roles(source: Source) -> dict[str, tuple[list[str], dict[str, Any]]]:
    """By digest: every place of the results that names it, and the reference there."""
    found: dict[str, tuple[list[str], dict[str, Any]]] = {}
    for index, row in enumerate(source.iterations):
        for role, fields in refs_in({name: value for name, value in row.items() if name != "stages"}):
            words = f"{row.get('iteration', index)} · {role.removeprefix('generations ')}"
            found.setdefault(fields["digest"], ([], fields))[0].append(words)
    return found


def _artifact(source: Source, digest: str, role: str, fields: dict[str, Any], kinds: dict[str, str]) -> Artifact:
    kind = fields.get("kind") or kinds.get(digest, "")
    if kind:
        manifest = source.attempt(source.workspace.store.manifest, Ref(kind, digest, 0, 0, folder_of(kind, digest)))
        return _table(digest, role, kind, fields, manifest)
    facts = _facts(fields.get("path", ""))
    parents = [digest for digest in _digests(facts.get("parents", {})) if digest]
    named = {name: facts[name] for name in ("objective", "steps", "rows", "seed") if name in facts}
    word = "checkpoint" if fields else "model or table from elsewhere"
    return Artifact(digest, word, role, None, fields.get("bytes"), "", parents, _short(named))


def _table(digest: str, role: str, kind: str, fields: dict[str, Any], manifest: Manifest | None) -> Artifact:
    if manifest is None:
        return Artifact(digest, kind, role, fields.get("rows"), fields.get("bytes"), "gone", [], "")
    policy = str(manifest.producer.get("policy", ""))  # a sampler's model is no table, and so not among the parents
    parents = list(dict.fromkeys(manifest.parents))
    if _DIGEST.fullmatch(policy):
        parents.append(policy)
    return Artifact(
        digest, kind, role, manifest.rows, manifest.bytes, manifest.created[:16].replace("T", " "), parents,
        _short({name: value for name, value in manifest.producer.items() if value != policy}),
    )  # fmt: skip


def _facts(path: str) -> dict[str, Any]:
    """What training recorded beside a checkpoint; nothing of a model from elsewhere, or of one that is gone."""
    try:
        return checkpoints.facts(checkpoints.Checkpoint(path, "", 0)) if path and Path(path).is_dir() else {}
    except ArtifactError:
        return {}


def _digests(parents: dict[str, Any]) -> Iterator[str]:
    for value in dict.fromkeys(parents.values()):
        if isinstance(value, str):
            yield value


def _short(fields: dict[str, Any]) -> str:
    return shortened(", ".join(_flat(fields)), DETAILS).replace("\n", " ")


def _flat(fields: dict[str, Any]) -> Iterator[str]:
    """`name value` of every setting that says anything, also of those inside others."""
    for name, value in fields.items():
        if isinstance(value, dict):
            yield from _flat(value)
        elif value not in (None, "", []):
            yield f"{name} {value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}"
