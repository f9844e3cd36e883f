"""Every table's row type, the content-addressed store that keeps them, and checkpoints by reference.

Start with `artifacts.rows`. Stages use `Store`; workers in child processes use `PartWriter` and `read_part`.
"""

# pyarrow ships no types, so strict checking would only report what it cannot know.
# pyright: basic

from artifacts import checkpoints
from artifacts.checkpoints import Checkpoint
from artifacts.errors import (
    ArtifactDamaged,
    ArtifactError,
    ArtifactExists,
    ArtifactMissing,
    CheckpointIncomplete,
    CheckpointMissing,
    DuplicateKey,
    EmptyArtifact,
    SchemaMismatch,
)
from artifacts.manifest import Manifest, Part, Ref
from artifacts.parts import PartWriter, read_part
from artifacts.rows import Accepted, Grade, Group, Pair, Prompt, Rollout
from artifacts.schema import arrow_schema, to_batch
from artifacts.scores import Score, TokenScores
from artifacts.store import Store
from artifacts.writer import ArtifactWriter

__all__ = [
    "Accepted",
    "ArtifactDamaged",
    "ArtifactError",
    "ArtifactExists",
    "ArtifactMissing",
    "ArtifactWriter",
    "Checkpoint",
    "CheckpointIncomplete",
    "CheckpointMissing",
    "DuplicateKey",
    "EmptyArtifact",
    "Grade",
    "Group",
    "Manifest",
    "Pair",
    "Part",
    "PartWriter",
    "Prompt",
    "Ref",
    "Rollout",
    "SchemaMismatch",
    "Score",
    "Store",
    "TokenScores",
    "arrow_schema",
    "checkpoints",
    "read_part",
    "to_batch",
]
