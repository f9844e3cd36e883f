"""Where a run keeps things: everything under one data root, never inside a package.

$ODR_HOME (default ./.odr)
    store/        finished artifacts, content-addressed
    checkpoints/  finished model folders, one per training task
    cache/        result records: cache key -> reference; tables of prompts by what they were made of
    keys/         what each finished task's key was made of, for `odr plan` and `odr gc`
    started/      the same of tasks that were begun and are not finished
    work/<key>/   a task at work: job file, log, shards, their grades, optimizer checkpoints
    locks/        one computation per key; which flows are running
    campaigns/    resolved configs, tables and plots
    reported/     what trackers were told: amounts by iteration, points that were sent to Weights & Biases
    prefect/ mlflow.db mlartifacts/   the trackers' own state, when no server is configured
"""

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from artifacts import Store


def home() -> Path:
    """The data root, absolute."""
    return Path(os.environ.get("ODR_HOME", ".odr")).expanduser().absolute()


def expand(path: Path) -> Path:
    """A path from a config: `$ODR_HOME` and other variables filled in; relative to where the command runs."""
    text = str(path).replace("${ODR_HOME}", "$ODR_HOME").replace("$ODR_HOME", str(home()))
    return Path(os.path.expandvars(text)).expanduser()


@dataclass(frozen=True)
class Workspace:
    """The folders of one data root."""

    root: Path

    @cached_property
    def store(self) -> Store:
        """The artifact store."""
        return Store(self.root / "store")

    @property
    def cache(self) -> Path:
        """Prefect's result records."""
        return self.root / "cache"

    @property
    def locks(self) -> Path:
        """Lock files by cache key."""
        return self.root / "locks"

    @property
    def checkpoints(self) -> Path:
        """Committed model folders."""
        return self.root / "checkpoints"

    @property
    def hashes(self) -> Path:
        """Remembered digests of large files."""
        return self.root / "hashes"

    def work(self, key: str) -> Path:
        """The folder of a task at work; a rerun with the same key finds its own partial results there."""
        folder = self.root / "work" / key
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def key_record(self, campaign: str, label: str) -> Path:
        """What the key of the last finished task of this name was made of."""
        return self.root / "keys" / campaign / f"{label.replace('/', '-')}.json"

    def results(self, campaign: str) -> Path:
        """What a finished campaign has come to."""
        return self.root / "campaigns" / campaign / "results.json"

    def started_record(self, campaign: str, label: str) -> Path:
        """As `key_record`, of a task that was begun."""
        return self.root / "started" / campaign / f"{label.replace('/', '-')}.json"
