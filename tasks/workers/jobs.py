"""What a parent and its child agree on: one JSON file in, progress lines and a result out.

A child reads only its job file, so the command in an error message repeats it alone. Artifact references
travel as the JSON form of `artifacts.Ref`.
"""

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict

from tasks.machine import Machine
from tasks.settings import Sampling, Template, Training


class Job(BaseModel):
    """Base of all jobs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    store: str
    """Root of the artifact store."""

    def save(self, path: Path) -> None:
        """Write the job as JSON."""
        path.write_text(self.model_dump_json(indent=2), encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a job written by `save`."""
        return cls.model_validate_json(Path(path).read_text(encoding="utf-8"))


class SampleRequest(Job):
    """K answers to each prompt of one table, as shard files in one folder."""

    prompts: dict[str, Any]
    """Ref of a Prompt table."""
    num_prompts: int
    sampling: Sampling
    seed: int
    """Of this table's answers: every (prompt, sample) has its own stream derived from it."""
    shards: Path
    """Folder of shard-00000.parquet, ...; a file that is there is finished."""
    claims: Path
    """Folder in which the engines of one launch agree who makes which shard."""

    @property
    def num_shards(self) -> int:
        """Shards of the table; the last may be short."""
        return -(-self.num_prompts // self.sampling.shard_prompts)

    def shard_path(self, index: int) -> Path:
        """Final name of one shard."""
        return self.shards / f"shard-{index:05d}.parquet"


class SampleJob(Job):
    """One engine's work: it serves all requests with one start-up."""

    model: str
    """Folder of the checkpoint."""
    requests: tuple[SampleRequest, ...]
    template: Template
    machine: Machine
    progress: Path
    failure: Path


class DemonstrateJob(Job):
    """Turn worked solutions into token ids with the policy's tokenizer and template."""

    model: str
    prompts: dict[str, Any]
    """Ref of a Prompt table whose rows have a solution."""
    template: Template
    result: Path
    """Written last: the ref of the Accepted table."""
    failure: Path


class ScoreJob(Job):
    """What a frozen model says of the tokens of a table: rows in, a TokenScores table out."""

    model: str
    """Folder of the frozen model."""
    scores: Literal["policy", "critic", "reward_model"]
    """What kind of model it is."""
    rows: dict[str, Any]
    """Ref of a Rollout, Pair, Accepted or Group table."""
    dtype: str
    digest: str
    """Of the model."""
    machine: Machine
    progress: Path
    failure: Path
    result: Path
    """Written last by rank 0: the ref of the TokenScores table."""


class TrainJob(Job):
    """One training run: rows in, a Hugging Face folder out."""

    model: str
    """Folder of the weights to start from."""
    reference: str | None
    """Folder of the frozen policy, if the objective needs its whole distribution (`ref_kl`); None otherwise."""
    rows: dict[str, Any]
    """Ref of a Pair, Accepted or Group table."""
    scored: dict[str, dict[str, Any]]
    """Column -> ref of the TokenScores of these rows."""
    objective: dict[str, Any]
    training: Training
    machine: Machine
    seed: int
    checkpoints: Path
    """Folder of optimizer checkpoints to resume from."""
    output: Path
    """Temporary folder of the final weights; the parent checks and commits it."""
    progress: Path
    failure: Path
    result: Path
    """Written last by rank 0: steps, stage, world size. No result, no success."""


def scratch_of(job: ScoreJob | TrainJob) -> Path:
    """A folder for files that nobody needs afterwards; of the work folder, so that the finished stage removes it."""
    folder = job.progress.parent / "scratch"
    folder.mkdir(exist_ok=True)
    return folder
