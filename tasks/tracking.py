"""MLflow mirrors what the store holds; the store is the truth.

A campaign is a parent run, an iteration a child run, both found by a tag, so that running again finds them and
sends only what is not there yet: no point is ever doubled, and a lost server costs a delay, not a result.
No failure here ever fails a stage.
"""

import logging
import os
import re
import time
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, ParamSpec

from tasks.workspace import Workspace

log = logging.getLogger(__name__)

P = ParamSpec("P")

EXPERIMENT = "online-dpo-r1"
_CREDENTIALS = re.compile(r"(://)[^\s/'\"]*@")
BATCH = 500
"""MLflow takes at most 1000 metrics per request."""


def tracking_uri(workspace: Workspace) -> str:
    """`MLFLOW_TRACKING_URI`, or a SQLite file in the data root."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{workspace.root / 'mlflow.db'}"


def without_credentials(text: str) -> str:
    """A text for logs and terminals: user and password of every address in it, `http://user:secret@host`, left out."""
    return _CREDENTIALS.sub(r"\1", text)


def _forgiving(method: Callable[P, Any]) -> Callable[P, Any]:
    """Turn any failure of MLflow into one warning and silence until the next start."""

    @wraps(method)
    def call(*args: P.args, **kwargs: P.kwargs) -> Any:
        self: Any = args[0]
        if self.client is None:
            return None
        try:
            return method(*args, **kwargs)
        except Exception as error:  # whatever a tracking server does, finished work goes on
            log.warning(
                "MLflow at %s fails (%s); the next run of this config sends what is missing",
                without_credentials(self.uri), without_credentials(str(error)),
            )  # fmt: skip
            self.client = None
            return None

    return call


class Tracker:
    """One campaign's runs."""

    def __init__(self, workspace: Workspace) -> None:
        # A server that is down must not stop a night's work for minutes per call.
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "5")
        os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
        from mlflow import MlflowClient

        self.uri = tracking_uri(workspace)
        self._artifacts = (workspace.root / "mlartifacts").as_uri()
        self.client: MlflowClient | None = MlflowClient(self.uri)
        self._seen: dict[tuple[str, str], set[int]] = {}

    @_forgiving
    def run(self, key: str, name: str, params: Mapping[str, Any], tags: Mapping[str, str], parent: str | None) -> str:
        """Find or make the run with this key; parameters are logged once, when it is made."""
        from mlflow.entities import Param

        client = self._client()
        experiment = client.get_experiment_by_name(EXPERIMENT)
        own = self.uri.startswith("sqlite")
        experiment_id = (
            experiment.experiment_id
            if experiment
            else client.create_experiment(EXPERIMENT, artifact_location=self._artifacts if own else None)
        )
        found = client.search_runs([experiment_id], f"tags.`odr.key` = '{key}'", max_results=1)
        if found:
            run_id = found[0].info.run_id
            client.update_run(run_id, "RUNNING")
            return run_id
        family = {"mlflow.parentRunId": parent} if parent else {}
        run_id = client.create_run(experiment_id, tags={"odr.key": key, **tags, **family}, run_name=name).info.run_id
        flat = [Param(name, str(value)[:6000]) for name, value in params.items()]
        for start in range(0, len(flat), 100):
            client.log_batch(run_id, params=flat[start : start + 100])
        return run_id

    @_forgiving
    def metrics(self, run_id: str | None, step: int, values: Mapping[str, float]) -> None:
        """Log the values that this run does not have at this step."""
        self.curve(run_id, [(step, values)])

    @_forgiving
    def curve(self, run_id: str | None, points: list[tuple[int, Mapping[str, float]]]) -> None:
        """Log many points; steps that the run already has are skipped, so holes are filled and nothing doubled."""
        from mlflow.entities import Metric

        if run_id is None:
            return
        now = int(time.time() * 1000)
        names = {name for _, values in points for name in values}
        seen = {name: self._steps(run_id, name) for name in names}
        new = [
            Metric(_name(name), float(value), now, step)
            for step, values in points
            for name, value in values.items()
            if step not in seen[name]
        ]
        for start in range(0, len(new), BATCH):
            self._client().log_batch(run_id, metrics=new[start : start + BATCH])
        for name in names:
            seen[name].update(step for step, values in points if name in values)

    @_forgiving
    def dataset(self, run_id: str | None, name: str, digest: str, rows: int, context: str) -> None:
        """Attach a table by name and digest."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        if run_id is None:
            return
        known = self._client().get_run(run_id).inputs.dataset_inputs
        if any(item.dataset.digest == digest[:32] for item in known):
            return
        # MLflow keeps 36 characters of a digest; the whole one is in the source.
        entry = Dataset(
            name=name,
            digest=digest[:32],
            source_type="odr",
            source=f'{{"digest": "{digest}", "rows": {rows}}}',
        )
        self._client().log_inputs(run_id, [DatasetInput(entry, [InputTag("mlflow.data.context", context)])])

    @_forgiving
    def checkpoint(self, run_id: str | None, name: str, path: str, digest: str) -> None:
        """Register a checkpoint by reference: nothing is copied."""
        if run_id is None:
            return
        client = self._client()
        if client.get_run(run_id).data.tags.get("odr.checkpoint") == digest:
            return
        run = client.get_run(run_id)
        model = client.create_logged_model(
            run.info.experiment_id,
            name=name,
            source_run_id=run_id,
            model_type="checkpoint",
            tags={"path": path, "sha256": digest},
        )
        client.finalize_logged_model(model.model_id, "READY")
        client.set_tag(run_id, "odr.checkpoint", digest)
        client.set_tag(run_id, "odr.checkpoint_path", path)

    @_forgiving
    def file(self, run_id: str | None, path: str) -> None:
        """Attach a small file: a table, a plot, the resolved config."""
        if run_id is not None:
            self._client().log_artifact(run_id, path)

    @_forgiving
    def end(self, run_id: str | None, status: str) -> None:
        """Mark a run FINISHED or FAILED."""
        if run_id is not None:
            self._client().set_terminated(run_id, status)

    def _client(self) -> Any:
        assert self.client is not None
        return self.client

    def _steps(self, run_id: str, name: str) -> set[int]:
        """Steps at which MLflow has this metric; asked once, then kept."""
        if (run_id, name) not in self._seen:
            history = self._client().get_metric_history(run_id, _name(name))
            self._seen[run_id, name] = {metric.step for metric in history}
        return self._seen[run_id, name]


def _name(name: str) -> str:
    """A name MLflow takes: no @."""
    return name.replace("@", "_at_")
