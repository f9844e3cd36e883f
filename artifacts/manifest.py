"""What an artifact is made of, as JSON beside its Parquet parts, and the reference that names it.

The digest covers kind, schema version and parts: content, nothing else. The same content from another
producer or other parents is therefore the same artifact, and whatever depends on it need not run again. It
identifies bytes: the same rows in other part files, or written by another Parquet library version, are
another artifact.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Generic, cast

from artifacts.errors import ArtifactDamaged, SchemaMismatch
from artifacts.plain_json import parse
from artifacts.schema import Row

FORMAT = 1
MANIFEST = "manifest.json"

_PART_NAME = re.compile(r"part-\d{5,}\.parquet")
_KIND = re.compile(r"[a-z][a-z0-9_]*")
_SHA256 = re.compile(r"[0-9a-f]{64}")


def folder_of(kind: str, digest: str) -> str:
    """Return where an artifact lies below the store's root."""
    return f"{kind}/{digest[:2]}/{digest}"


@dataclass(frozen=True, slots=True)
class Ref(Generic[Row]):
    """Names one artifact in any store that holds it: stages exchange refs, never paths of their own."""

    kind: str
    digest: str
    """Hex sha256 of the content."""
    rows: int
    bytes: int
    """Size of all parts on disk, compressed."""
    path: str
    """Folder relative to the store's root, so a moved or copied root keeps its refs valid."""

    def __post_init__(self) -> None:
        """Refuse a ref that could lead out of the store.

        Raises:
            ArtifactDamaged: kind, digest and path do not belong together.
        """
        known = _KIND.fullmatch(self.kind) and _SHA256.fullmatch(self.digest)
        if not known or self.path != folder_of(self.kind, self.digest):
            raise ArtifactDamaged(
                f"The reference to {self.path!r} (kind {self.kind!r}, digest {self.digest!r}) was altered, "
                f"expected the path <kind>/<2 digits>/<64 hex digits>. Run the stage that made it again."
            )

    def to_json(self) -> dict[str, Any]:
        """Return the fields as a JSON object."""
        return asdict(self)

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> "Ref[Row]":
        """Return the ref that `to_json` described.

        Raises:
            ArtifactDamaged: fields are missing, of the wrong type, or contradict each other.
        """
        try:
            texts = [_text(fields[name]) for name in ("kind", "digest", "path")]
            return cls(texts[0], texts[1], _count(fields["rows"]), _count(fields["bytes"]), texts[2])
        except (KeyError, TypeError) as error:
            raise ArtifactDamaged(
                f"Not a reference: {fields!r} ({error!r}). Run the stage that made it again."
            ) from error


@dataclass(frozen=True, slots=True)
class Part:
    """One Parquet file of an artifact."""

    name: str
    rows: int
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """Everything known about one artifact."""

    kind: str
    schema_version: int
    rows: int
    bytes: int
    digest: str
    parts: tuple[Part, ...]
    parents: tuple[str, ...]
    """Digests of the artifacts and checkpoints it was made from."""
    producer: dict[str, Any]
    """Config slice, code digest and whatever else the writing stage said about itself."""
    tools: dict[str, str]
    """Versions of Python and pyarrow."""
    summary: dict[str, Any]
    """Counts in, out and dropped by reason."""
    created: str
    """UTC, ISO 8601."""

    def ref(self) -> Ref[Any]:
        """Return the reference that names this artifact."""
        return Ref(self.kind, self.digest, self.rows, self.bytes, folder_of(self.kind, self.digest))

    def to_text(self) -> str:
        """Return the manifest as JSON for people: indented, stable order."""
        return json.dumps({"format": FORMAT, **asdict(self)}, indent=2, ensure_ascii=False) + "\n"

    @classmethod
    def from_text(cls, text: str, where: str) -> "Manifest":
        """Return the manifest, checked against itself.

        Raises:
            SchemaMismatch: a newer version of this package wrote it.
            ArtifactDamaged: not JSON, fields missing, a part outside its folder, or totals and digest that do
            not fit.
        """
        cure = "Run the flow again, which replaces it, or restore the folder from a copy."
        try:
            fields = cast(dict[str, Any], parse(text))
            if _count(fields["format"]) > FORMAT:
                raise SchemaMismatch(
                    f"{where} has manifest format {fields['format']}, this code reads up to {FORMAT}. "
                    f"Update this checkout."
                )
            manifest = cls._from_fields(fields)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            if isinstance(error, SchemaMismatch):
                raise
            raise ArtifactDamaged(f"{where} is not a readable manifest ({error!r}). {cure}") from error
        for part in manifest.parts:
            if not _PART_NAME.fullmatch(part.name):
                raise ArtifactDamaged(f"{where} names a part {part.name!r}, expected part-00000.parquet. {cure}")
        counted = (sum(p.rows for p in manifest.parts), sum(p.bytes for p in manifest.parts))
        digest = digest_of(manifest.kind, manifest.schema_version, manifest.parts)
        if (digest, *counted) != (manifest.digest, manifest.rows, manifest.bytes):
            raise ArtifactDamaged(
                f"{where} was altered: its parts do not add up to digest {manifest.digest[:12]}. {cure}"
            )
        return manifest

    @classmethod
    def _from_fields(cls, fields: dict[str, Any]) -> "Manifest":
        return cls(
            kind=_text(fields["kind"]),
            schema_version=_count(fields["schema_version"]),
            rows=_count(fields["rows"]),
            bytes=_count(fields["bytes"]),
            digest=_text(fields["digest"]),
            parts=tuple(
                Part(_text(p["name"]), _count(p["rows"]), _count(p["bytes"]), _text(p["sha256"]))
                for p in fields["parts"]
            ),
            parents=tuple(_text(parent) for parent in fields["parents"]),
            producer=dict(fields["producer"]),
            tools=dict(fields["tools"]),
            summary=dict(fields["summary"]),
            created=_text(fields["created"]),
        )


def digest_of(kind: str, schema_version: int, parts: tuple[Part, ...]) -> str:
    """Return the hex sha256 that names this content."""
    content = [kind, schema_version, [[part.name, part.rows, part.bytes, part.sha256] for part in parts]]
    return hashlib.sha256(json.dumps(content, separators=(",", ":")).encode()).hexdigest()


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not a string")
    return value


def _count(value: object) -> int:
    if not isinstance(value, int) or value < 0:
        raise TypeError(f"{value!r} is not a count")
    return value
