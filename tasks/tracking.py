"""MLflow mirrors what the store holds; the store is the truth.

A campaign is a parent run, an iteration a child run, both found by a tag, so that running again finds them and
sends only what is not there yet: no point is ever doubled, and a lost server costs a delay, not a result. What was
sent whole is marked so, and not asked for again. No failure here ever fails a stage.
"""

import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec

from artifacts.durable import write_atomically
from tasks.tracked_runs import EXPERIMENT, Run, Runs, metric_name, without_credentials
from tasks.workspace import Workspace

if TYPE_CHECKING:
    from tasks.system_load import SystemLoad

log = logging.getLogger(__name__)

__all__ = ["EXPERIMENT", "SENT", "Tracker", "tracking_uri", "without_credentials"]

P = ParamSpec("P")

SENT = "odr.sent"
"""Tag: a digest of what the run was sent whole."""
SERVED = "mlflow-artifacts:/"
"""How the addresses of files begin that a server keeps."""
BATCH = 500
"""MLflow takes at most 1000 metrics per request."""


def tracking_uri(workspace: Workspace) -> str:
    """`MLFLOW_TRACKING_URI`, or a SQLite file in the data root."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{workspace.root / 'mlflow.db'}"


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
                without_credentials(self.uri), _first_line(error),
            )  # fmt: skip
            self.client = None
            return None

    return call


def _first_line(error: Exception) -> str:
    return without_credentials(str(error).strip().partition("\n")[0])


class Tracker:
    """The runs of this process's campaigns."""

    def __init__(self, workspace: Workspace) -> None:
        # A server that is down must not stop a night's work for minutes per call.
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "5")
        os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
        from mlflow import MlflowClient

        self.uri = tracking_uri(workspace)
        client = MlflowClient(self.uri)
        self.client: MlflowClient | None = client
        self._files = workspace.root / "mlartifacts"
        self._runs = Runs(client, self._files.as_uri() if self.uri.startswith("sqlite") else None)
        self._load: SystemLoad | None = None
        self._takes_files = True

    @_forgiving
    def run(
        self,
        key: str,
        name: str,
        params: Mapping[str, Any],
        tags: Mapping[str, str],
        parent: str | None,
        *,
        at_work: bool = True,
    ) -> str:
        """Find or make the run with this key; parameters are logged once, as their values cannot change.

        One that is found is marked RUNNING again only if it is `at_work`; such a run also gets this machine's load.
        """
        known = self._runs.find(key) or self._runs.make(key, name, tags, parent)
        self._runs.describe(known, params)
        if at_work:
            if known.status != "RUNNING":
                self._client().update_run(known.run_id, "RUNNING")
                known.status = "RUNNING"
            self._watch(known)
        return known.run_id

    @_forgiving
    def find(self, key: str) -> str | None:
        """The run with this key, if there is one."""
        known = self._runs.find(key) if key else None
        return known and known.run_id

    @_forgiving
    def experiment(self) -> str:
        """The id of the experiment that has all runs."""
        return self._runs.experiment()

    def has(self, run_id: str | None, tag: str, value: str | None = None) -> bool:
        """Whether this run has a tag, with this value if one is given; also if there is nobody to give it one."""
        if self.client is None or run_id is None:
            return True
        found = self._runs.get(run_id).tags.get(tag)
        return found is not None if value is None else found == value

    @_forgiving
    def tag(self, run_id: str | None, tags: Mapping[str, str]) -> None:
        """Set the tags that this run does not have so."""
        from mlflow.entities import RunTag

        if run_id is None:
            return
        known = self._runs.get(run_id).tags
        new = {name: value for name, value in tags.items() if known.get(name) != value}
        if new:
            self._client().log_batch(run_id, tags=[RunTag(name, value) for name, value in new.items()])
            known.update(new)

    @_forgiving
    def metrics(self, run_id: str | None, step: int, values: Mapping[str, float]) -> None:
        """Log the values that this run does not have at this step."""
        self.curve(run_id, [(step, values)])

    @_forgiving
    def curve(self, run_id: str | None, points: Sequence[tuple[int, Mapping[str, float]]]) -> None:
        """Log many points; steps that the run already has are skipped, so holes are filled and nothing doubled."""
        from mlflow.entities import Metric

        if run_id is None:
            return
        now = int(time.time() * 1000)
        names = {name for _, values in points for name in values}
        seen = {name: self._steps(run_id, name) for name in names}
        new = [
            Metric(metric_name(name), float(value), now, step)
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
        if run_id is None or self._runs.get(run_id).tags.get("odr.checkpoint") == digest:
            return
        client = self._client()
        model = client.create_logged_model(
            self._runs.experiment(),
            name=name,
            source_run_id=run_id,
            model_type="checkpoint",
            tags={"path": path, "sha256": digest},
        )
        client.finalize_logged_model(model.model_id, "READY")
        self.tag(run_id, {"odr.checkpoint": digest, "odr.checkpoint_path": path})

    def file(self, run_id: str | None, path: str) -> bool:
        """Attach a small file: a table, a plot; whether it is there now."""
        return self._attach(
            run_id, Path(path).name, Path(path).read_bytes, lambda client: client.log_artifact(run_id, path)
        )

    def text(self, run_id: str | None, name: str, text: str) -> bool:
        """Attach a text as a file: the resolved config, the lock file; whether it is there now."""
        return self._attach(run_id, name, text.encode, lambda client: client.log_text(run_id, text, name))

    @_forgiving
    def end(self, run_id: str | None, status: str) -> None:
        """Mark a run FINISHED, FAILED or KILLED, unless it is."""
        if run_id is None:
            return
        if self._load:
            self._load.leave(run_id)
        known = self._runs.get(run_id)
        if known.status != status:
            self._client().set_terminated(run_id, status)
            known.status = status

    def _attach(self, run_id: str | None, name: str, content: Callable[[], bytes], send: Callable[[Any], None]) -> bool:
        """Files have a place of their own, which may be out of reach while numbers are still taken."""
        if run_id is None or self.client is None or not self._takes_files:
            return False
        try:
            if folder := self._served(run_id):
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                write_atomically(folder / name, content())
            else:
                send(self.client)
        except Exception as error:  # as for `_forgiving`
            log.warning("MLflow at %s takes no files (%s)", without_credentials(self.uri), _first_line(error))
            self._takes_files = False
        return self._takes_files

    def _served(self, run_id: str) -> Path | None:
        """Where a server of this data root, as `odr up` starts it, keeps a run's files, if that has made the run.

        MLflow reaches them through the server only; here it is the database alone that is used.
        """
        place = self._runs.get(run_id).files
        if not (self.uri.startswith("sqlite") and place.startswith(SERVED)):
            return None
        return self._files / place.removeprefix(SERVED)

    def _client(self) -> Any:
        assert self.client is not None
        return self.client

    def _steps(self, run_id: str, name: str) -> set[int]:
        """Steps at which MLflow has this metric; asked once, then kept."""
        known = self._runs.get(run_id)
        if name not in known.steps:
            history = [] if known.new else self._client().get_metric_history(run_id, metric_name(name))
            known.steps[name] = {metric.step for metric in history}
        return known.steps[name]

    def _watch(self, known: Run) -> None:
        if self._load is None:
            from tasks.system_load import SystemLoad

            self._load = SystemLoad(self._send_load)
        self._load.watch(known.run_id, known.began)

    def _send_load(self, run_id: str, seconds: int, sample: dict[str, float]) -> None:
        """From the thread that samples: it gives up in silence, as the flow's own next call says what is wrong."""
        from mlflow.entities import Metric

        client, now = self.client, int(time.time() * 1000)
        if client is None:
            return
        try:
            client.log_batch(run_id, metrics=[Metric(name, value, now, seconds) for name, value in sample.items()])
        except Exception as error:
            log.debug("cannot send this machine's load: %s", error)
