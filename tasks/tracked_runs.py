"""MLflow's runs by key: a campaign and all its iterations are asked for at once, and then known."""

import hashlib
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlflow import MlflowClient

EXPERIMENT = "online-dpo-r1"
KEY = "odr.key"
"""Tag: whose run it is. An iteration's is its campaign's, a slash and a number."""
LONGEST_PARAMETER, PARAMETERS = 6000, 100
"""Characters, and parameters of one request, that MLflow takes."""
_NOT_IN_NAMES = re.compile(r"[^\w\-. :/]")
_CREDENTIALS = re.compile(r"(://)[^\s/'\"]*@")


@dataclass
class Run:
    """A run as this process knows it."""

    run_id: str
    status: str
    began: float
    """Seconds since 1970."""
    files: str
    """The address under which its files are kept."""
    tags: dict[str, str]
    params: set[str] = field(default_factory=set)
    """Names: a parameter's value cannot change."""
    steps: dict[str, set[int]] = field(default_factory=dict)
    """Steps at which MLflow has a metric, once it was asked."""
    new: bool = False
    """Made by this process, so that MLflow need not be asked what it has."""


class Runs:
    """What this process knows of the runs of one server."""

    def __init__(self, client: "MlflowClient", artifacts: str | None) -> None:
        """`artifacts` is where the files of runs go; None leaves that to the server."""
        self._client = client
        self._artifacts = artifacts
        self._experiment = ""
        self._families: set[str] = set()
        self._ids: dict[str, str] = {}
        self._runs: dict[str, Run] = {}

    def experiment(self) -> str:
        """The id of the experiment that has all runs; it is made when there is none."""
        if not self._experiment:
            found = self._client.get_experiment_by_name(EXPERIMENT)
            self._experiment = str(
                found.experiment_id if found else self._client.create_experiment(EXPERIMENT, self._artifacts)
            )
        return self._experiment

    def find(self, key: str) -> Run | None:
        """The run with this key."""
        family = key.partition("/")[0]
        if family not in self._families:
            self._search(f"tags.`{KEY}` LIKE '{family}%'")
            self._families.add(family)
        elif key not in self._ids:
            self._search(f"tags.`{KEY}` = '{key}'")  # another process may have made it meanwhile
        return self._runs[self._ids[key]] if key in self._ids else None

    def make(self, key: str, name: str, tags: Mapping[str, str], parent: str | None) -> Run:
        """A new run."""
        every = {KEY: key, **tags, **({"mlflow.parentRunId": parent} if parent else {})}
        info = self._client.create_run(self.experiment(), tags=every, run_name=name).info
        self._ids[key] = info.run_id
        self._runs[info.run_id] = Run(info.run_id, "RUNNING", time.time(), str(info.artifact_uri), every, new=True)
        return self._runs[info.run_id]

    def describe(self, run: Run, params: Mapping[str, Any]) -> None:
        """Log the parameters that the run does not have."""
        from mlflow.entities import Param

        flat = [Param(name, parameter_text(value)) for name, value in params.items() if name not in run.params]
        for start in range(0, len(flat), PARAMETERS):
            self._client.log_batch(run.run_id, params=flat[start : start + PARAMETERS])
        run.params.update(params)

    def get(self, run_id: str) -> Run:
        """A run by MLflow's own id."""
        if run_id not in self._runs:
            self._keep(self._client.get_run(run_id))
        return self._runs[run_id]

    def _search(self, query: str) -> None:
        token = None
        while True:
            page = self._client.search_runs([self.experiment()], query, page_token=token)
            for run in page:
                self._keep(run)
            token = page.token
            if not token:
                return

    def _keep(self, run: Any) -> None:
        info, data = run.info, run.data
        began = info.start_time / 1000
        known = Run(info.run_id, info.status, began, info.artifact_uri, dict(data.tags), set(data.params))
        self._runs.setdefault(known.run_id, known)
        if KEY in known.tags:  # of several, the newest comes first
            self._ids.setdefault(known.tags[KEY], known.run_id)


def metric_name(name: str) -> str:
    """A name that MLflow takes: no @, no comma."""
    return _NOT_IN_NAMES.sub("_", name.replace("@", "_at_"))


def parameter_text(value: Any) -> str:
    """A value that MLflow takes, without passwords; a long one ends in its digest, so that two of them still differ."""
    text = without_credentials(str(value))
    if len(text) <= LONGEST_PARAMETER:
        return text
    end = f"… {len(text)} characters, sha256 {hashlib.sha256(text.encode()).hexdigest()[:16]}"
    return text[: LONGEST_PARAMETER - len(end)] + end


def without_credentials(text: str) -> str:
    """A text for logs and terminals: user and password of every address in it, `http://user:secret@host`, left out."""
    return _CREDENTIALS.sub(r"\1", text)
