"""No token and no password of the environment reaches a file of the data root, a server or the terminal."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e import servers
from tests.e2e.small_campaign import SMALL, environment

pytestmark = pytest.mark.slow

NAMES = (
    "HF_TOKEN",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "MLFLOW_TRACKING_TOKEN",
    "PREFECT_API_KEY",
    "WANDB_API_KEY",
    "OPENAI_API_KEY",
)
SECRETS = {name: f"planted-{name.lower().replace('_', '-')}-7f3a9c" for name in NAMES}
PASSWORDS = ("planted-mlflow-password-7f3a9c", "planted-prefect-password-7f3a9c")
PLANTED = [value.encode() for value in (*SECRETS.values(), *PASSWORDS)]


def test_secrets_of_the_environment_are_written_nowhere(home: Path, tmp_path: Path) -> None:
    """A run that is sent to both servers, one whose child crashes, and two whose servers are gone; with secrets."""
    broken = tmp_path / "deepspeed.json"
    broken.write_text('{"zero_optimization": {"stage": 7}}')
    port = servers.free_port()
    with (
        servers.prefect_server(tmp_path / "prefect") as (api, _),
        servers.mlflow_server(tmp_path / "mlflow", port) as (mlflow, _),
    ):
        urls = {
            "PREFECT_API_URL": api.replace("://", f"://person:{PASSWORDS[1]}@"),
            "MLFLOW_TRACKING_URI": mlflow.replace("://", f"://person:{PASSWORDS[0]}@"),
        }
        sent = odr(home, ["name=secrets"], urls)
        crashed = odr(home, ["name=secrets", "train.save_steps=9", f"machine.deepspeed={broken}"], urls)
    lost = odr(home, ["name=secrets"], urls)
    without = odr(home, ["name=secrets"], {"MLFLOW_TRACKING_URI": urls["MLFLOW_TRACKING_URI"]})

    assert sent.returncode == 0, sent.stderr[-4000:]
    assert b"MLflow at" not in sent.stderr  # both servers were reached with the password
    assert crashed.returncode == 1
    assert b"repeat this child alone with" in crashed.stderr
    assert lost.returncode == 1
    assert b"Start the Prefect server" in lost.stderr
    assert without.returncode == 0, without.stderr[-4000:]
    assert b"MLflow at http://127.0.0.1" in without.stderr
    said = {
        f"{name} of {command}": getattr(done, name)
        for command, done in {"sent": sent, "crashed": crashed, "lost": lost, "without": without}.items()
        for name in ("stdout", "stderr")
    }
    files = {str(path): path.read_bytes() for place in (home, tmp_path) for path in place.rglob("*") if path.is_file()}
    assert [place for place, data in {**said, **files}.items() if any(secret in data for secret in PLANTED)] == []
    assert sum(map(len, files.values())) > 1_000_000
    shutil.rmtree(home / "started" / "secrets")  # the data root is that of other tests as well


def odr(home: Path, overrides: list[str], urls: dict[str, str]) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "flows.cli", "demo", *SMALL, *overrides],
        env={**environment(home), **SECRETS, **urls}, capture_output=True,
    )  # fmt: skip
