"""The three programs behind `odr up`: their commands, their environment, and when each is ready."""

import os
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from flows.serving import databases, record

HOST = "127.0.0.1"
ASK_SECONDS = 5.0


@dataclass(frozen=True)
class Program:
    """How one of them is started."""

    name: str
    what: str
    command: list[str]
    environment: dict[str, str]
    address: str
    is_ready: Callable[[record.Server], bool]


def prefect(root: Path, port: int) -> Program:
    """The Prefect server, on the database that runs without a server use as well."""
    address = f"http://{HOST}:{port}"
    extra = {
        "PREFECT_HOME": str(root / "prefect"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_UI_API_URL": f"{address}/api",  # the pages would ask port 4200
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        # In memory, a slot would be lost for ever when its holder and the server end together.
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
    }
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", HOST, "--port", str(port)]
    environment = _environment(extra, without=("PREFECT_API_URL", databases.MLFLOW))
    return Program("prefect", "Prefect server", command, environment, address, _responds(f"{address}/api/health"))


def mlflow(root: Path, port: int) -> Program:
    """The MLflow server, on the database that runs without a server use as well."""
    address = f"http://{HOST}:{port}"
    extra = {
        databases.MLFLOW: os.environ.get(databases.MLFLOW) or f"sqlite:///{root / 'mlflow.db'}",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # eight more processes that nothing here uses
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    command = [
        sys.executable, "-m", "mlflow", "server", "--host", HOST, "--port", str(port), "--workers", "1",
        "--artifacts-destination", (root / "mlartifacts").as_uri(),
    ]  # fmt: skip
    environment = _environment(extra, without=("MLFLOW_TRACKING_URI", databases.PREFECT))
    return Program("mlflow", "MLflow server", command, environment, address, _responds(f"{address}/health"))


def deployments(root: Path, api: str, tracking: str, slots: int) -> Program:
    """The process that runs what is started in Prefect's UI or by its schedules."""
    extra = {"ODR_HOME": str(root), "PREFECT_API_URL": api, "MLFLOW_TRACKING_URI": tracking}
    command = [sys.executable, "-m", "flows.cli", "serve", "--slots", str(slots)]
    environment = _environment(extra, without=(databases.PREFECT, databases.MLFLOW))
    ready = ready_file(root)

    def is_ready(server: record.Server) -> bool:
        return ready.exists() and ready.read_text(encoding="utf-8") == str(server.pid)

    return Program("deployments", "process that serves the deployments", command, environment, "", is_ready)


def ready_file(root: Path) -> Path:
    """Holds the number of the process that has registered the deployments and takes runs."""
    return root / record.FOLDER / "deployments.ready"


def log_file(root: Path, name: str) -> Path:
    """Where a program's output goes."""
    return root / record.FOLDER / f"{name}.log"


def responds(url: str) -> bool:
    """Whether a server answers with anything but an error of its own; a demand for a password is an answer."""
    try:
        urllib.request.urlopen(url, timeout=ASK_SECONDS).close()
    except urllib.error.HTTPError as error:
        return error.code in (401, 403)
    except OSError:
        return False
    return True


def _responds(url: str) -> Callable[[record.Server], bool]:
    return lambda _: responds(url)


def _environment(extra: dict[str, str], without: tuple[str, ...]) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in without}
    return {**kept, **extra}
