"""Everything that this package raises on purpose.

    ArtifactError
    ├── ArtifactMissing            a file or directory that a reference names is gone
    │   └── CheckpointMissing      there is no model folder at the given path
    ├── ArtifactDamaged            bytes differ from what was recorded, or the record itself cannot be trusted
    ├── ArtifactExists             the place to write to is taken by something else
    ├── SchemaMismatch             (ValueError) columns or versions are not those of the row type
    ├── EmptyArtifact              (ValueError) nothing was written where rows were expected
    ├── DuplicateKey               (ValueError) two neighbouring rows have the same key
    └── CheckpointIncomplete       (ValueError) a model folder lacks a file that training or sampling needs

A message says what was found, what was expected, and what to do. To add a class: derive it from the nearest
one here (and from the matching built-in, so that callers who know nothing of this package can catch it), draw
it above, and give it no `__init__` of its own: an exception with one string argument crosses process
boundaries unharmed.
"""


class ArtifactError(Exception):
    """Any problem with stored data; catch this to treat all of them alike."""


class ArtifactMissing(ArtifactError):
    """A file or directory that a reference names is gone."""


class CheckpointMissing(ArtifactMissing):
    """There is no model folder at the given path."""


class ArtifactDamaged(ArtifactError):
    """Bytes differ from what was recorded, or the record itself cannot be trusted."""


class ArtifactExists(ArtifactError):
    """The place to write to is taken by something else."""


class SchemaMismatch(ArtifactError, ValueError):
    """Columns or versions are not those of the row type."""


class EmptyArtifact(ArtifactError, ValueError):
    """Nothing was written where rows were expected."""


class DuplicateKey(ArtifactError, ValueError):
    """Two neighbouring rows have the same key."""


class CheckpointIncomplete(ArtifactError, ValueError):
    """A model folder lacks a file that training or sampling needs."""
