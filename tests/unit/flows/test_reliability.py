"""What `docs/reliability.md` says of a full disk, a read-only folder and a lost server; no engine is needed."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from data_roots import Campaign, finished, rollouts

from flows.outcome import clear_errors
from tasks import records

FULL = """
import resource, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from data_roots import rollouts
from tasks.workspace import Workspace
resource.setrlimit(resource.RLIMIT_FSIZE, (1500, 1500))
rollouts(Workspace(Path(sys.argv[1])), count=5000)
"""


def test_a_write_that_the_disk_refuses_leaves_nothing_behind_and_can_be_repeated(workspace):
    """A limit on file sizes refuses a write in the middle, as a full disk does."""
    script = [sys.executable, "-c", FULL, str(workspace.root), str(Path(__file__).parent)]

    refused = subprocess.run(script, capture_output=True, text=True)

    assert refused.returncode == 1
    assert "OSError: [Errno 27]" in refused.stderr
    assert [path for path in workspace.root.rglob("*") if path.is_file()] == []
    assert rollouts(workspace, count=5000).rows == 5000


@pytest.mark.parametrize("what", [errno.ENOSPC, errno.EACCES, errno.EROFS])
def test_a_full_or_read_only_disk_ends_the_command_with_a_sentence(what, capsys):
    import typer

    with pytest.raises(typer.Exit) as ended, clear_errors():
        raise OSError(what, os.strerror(what), "store/x")

    assert ended.value.exit_code == 1
    assert capsys.readouterr().err == (
        f"error: [Errno {what}] {os.strerror(what)}: 'store/x'\n"
        "Finished work is kept: the same command goes on from there.\n"
    )


@pytest.mark.parametrize(
    "error", [RuntimeError("Failed to reach API at http://127.0.0.1:9/api/"), httpx.ConnectError("Connection refused")]
)
def test_a_prefect_server_that_is_not_there_ends_the_command_with_a_sentence(capsys, monkeypatch, error):
    import typer

    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")

    with pytest.raises(typer.Exit) as ended, clear_errors():
        raise error

    assert ended.value.exit_code == 1
    assert "Start the Prefect server, or unset PREFECT_API_URL" in capsys.readouterr().err


def test_other_failures_keep_their_traceback():
    with pytest.raises(RuntimeError, match="a bug"), clear_errors():
        raise RuntimeError("a bug")


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is read-only for root")
def test_a_data_root_that_may_not_be_written_is_said_at_the_start(workspace):
    workspace.root.mkdir()
    workspace.root.chmod(0o500)

    done = subprocess.run(
        [sys.executable, "-m", "flows.cli", "plan", "configs/demo.yaml"], capture_output=True, text=True,
    )  # fmt: skip

    assert done.returncode == 1
    assert done.stderr.startswith("error: [Errno 13] Permission denied")


def test_a_record_is_replaced_whole_or_not_at_all(workspace, monkeypatch):
    """A kill between the two halves of a write leaves the old record."""
    Campaign(workspace, "demo")
    path = workspace.key_record("demo", "iteration 1 sample")
    before = path.read_bytes()
    monkeypatch.setattr("artifacts.durable.os.fsync", lambda _: (_ for _ in ()).throw(OSError(errno.ENOSPC, "full")))

    with pytest.raises(OSError, match="full"):
        records.finish(workspace, "demo", "iteration 1 sample", {"stage": "sample", "seed": 5})

    assert path.read_bytes() == before
    assert [entry.name for entry in path.parent.iterdir() if entry.name.startswith(".")] == []


def test_a_call_that_is_answered_from_the_cache_writes_no_record(workspace):
    fields = {"stage": "toy"}
    finished(workspace, "demo", "iteration 1 toy", fields, rollouts(workspace))
    path = workspace.key_record("demo", "iteration 1 toy")
    before = path.stat().st_mtime_ns

    records.begin(workspace, "demo", "iteration 1 toy", fields)
    assert not workspace.started_record("demo", "iteration 1 toy").exists()
    records.finish(workspace, "demo", "iteration 1 toy", fields)

    assert path.stat().st_mtime_ns == before
    assert json.loads(path.read_text()) == fields
