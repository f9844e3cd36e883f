"""Settings of the libraries that must be in the environment before they are imported.

A variable that the user has set wins. Nothing here reports usage to anyone.
"""

import logging
import os
import sys
from pathlib import Path
from typing import TextIO

from flows.serving import find

LOGGERS = ("flows", "tasks", "artifacts", "eval_math")


def prepare(root: Path) -> None:
    """Point Prefect and MLflow to the data root or its own servers, and switch telemetry off."""
    root.mkdir(parents=True, exist_ok=True)
    (root / ".gitignore").write_text("*\n", encoding="utf-8")
    values = {
        "PREFECT_HOME": str(root / "prefect"),
        # PREFECT_HOME alone does not move results.
        "PREFECT_RESULTS_LOCAL_STORAGE_PATH": str(root / "cache"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
        "PREFECT_LOGGING_EXTRA_LOGGERS": ",".join(LOGGERS),
        "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
        "PREFECT_CLI_PROMPT": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_LOGGING_LEVEL": "WARNING",  # else it tells of every table it makes
        "MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING": "false",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "DO_NOT_TRACK": "1",
    }
    values |= find.addresses(root)
    if not has_server() and "PREFECT_API_URL" not in values:
        values["PREFECT_SERVER_ALLOW_EPHEMERAL_MODE"] = "true"
    for name, value in values.items():
        os.environ.setdefault(name, value)


class _CurrentStderr(logging.StreamHandler):  # type: ignore[type-arg]
    """Writes to whatever standard error is now: a progress bar replaces it to keep lines above itself."""

    @property
    def stream(self) -> TextIO:  # type: ignore[override]
        return sys.stderr

    @stream.setter
    def stream(self, value: TextIO) -> None:
        pass


def show_logs(*, verbose: bool) -> None:
    """Send our packages' log lines to standard error; the libraries' own only when `verbose`."""
    handler = _CurrentStderr()
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    if not verbose:
        handler.addFilter(lambda record: not record.name.startswith("tasks.child"))
    for name in LOGGERS:
        logger = logging.getLogger(name)
        logger.setLevel(logging.INFO)
        logger.addHandler(handler)
        logger.propagate = False


def quiet_prefect() -> None:
    """Keep Prefect's flow and task chatter out of the terminal; its server still gets every line.

    A wrong config would otherwise show as three tracebacks around the one sentence that says what to change.
    """
    import prefect.main  # noqa: F401 - sets its handlers up, whatever has been imported before
    from prefect.logging.handlers import PrefectConsoleHandler

    loggers = [logging.getLogger(name) for name in logging.root.manager.loggerDict]
    for logger in [logging.root, *loggers]:
        for handler in logger.handlers:
            if isinstance(handler, PrefectConsoleHandler):
                handler.setLevel(logging.CRITICAL)


def has_server() -> bool:
    """Whether the user has configured a Prefect server, where somebody may look for flow runs."""
    return "PREFECT_API_URL" in os.environ
