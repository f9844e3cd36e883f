"""What several tests of the flows share."""

import atexit
import gc
import logging
import os
import signal
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def mlflow_file(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of one database for all tests: making one takes seconds. Tests differ by their campaigns."""
    from mlflow import MlflowClient

    uri = f"sqlite:///{tmp_path_factory.mktemp('mlflow') / 'mlflow.db'}"
    client = MlflowClient(uri)
    # Where a campaign without a server keeps files is its data root; this one has none.
    client.create_experiment("online-dpo-r1", (Path(uri.removeprefix("sqlite:///")).parent / "artifacts").as_uri())
    return uri


@pytest.fixture
def mlflow_client(mlflow_file: str, monkeypatch: pytest.MonkeyPatch):
    """Of that database, to which everything is sent now; nobody samples the machine."""
    from mlflow import MlflowClient

    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_file)
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "0")
    return MlflowClient(mlflow_file)


@pytest.fixture
def unchanged():
    """Commands set environment variables, log handlers and what SIGTERM does; a test must not leave them behind."""
    from flows.environment import LOGGERS

    variables, heeded = dict(os.environ), signal.getsignal(signal.SIGTERM)
    loggers = [logging.getLogger(name) for name in LOGGERS]
    kept = [(logger, logger.handlers[:], logger.level, logger.propagate) for logger in loggers]
    yield
    for logger, handlers, level, propagate in kept:
        logger.handlers, logger.propagate = handlers, propagate
        logger.setLevel(level)
    signal.signal(signal.SIGTERM, heeded)
    os.environ.clear()
    os.environ.update(variables)
    atexit.unregister(gc.freeze)  # the end of the tests is no end of a command


@pytest.fixture
def odr(workspace, monkeypatch: pytest.MonkeyPatch, unchanged):
    """Calls a command in this process, on an empty data root and a wide terminal without colours."""
    from typer.testing import CliRunner

    from flows.cli import app

    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.setenv("TERM", "dumb")

    def call(*words: object):
        result = CliRunner().invoke(app, [str(word) for word in words])
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return call
