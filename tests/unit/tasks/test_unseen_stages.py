"""A finished campaign asks its stages without Prefect: what is kept is given, and what is not is computed as ever."""

import subprocess
import sys

import pytest
from task_examples import a_rollout, stored

from artifacts import Ref, Rollout
from tasks import prefect_task
from tasks.caching import Run, stage, unseen
from tasks.machine import Machine


@pytest.fixture
def toy():
    """A stage, and the list of its calls."""
    calls: list[int] = []

    @stage("toy", code=lambda _: ("tasks.pair",))
    def toy(size: int, run: Run) -> Ref[Rollout]:
        calls.append(size)
        return stored(run.workspace.store, [a_rollout(index=i) for i in range(size)])

    return toy, calls


@pytest.mark.usefixtures("prefect_server")
def test_what_is_kept_is_given_without_a_task(toy, workspace, monkeypatch):
    toy, calls = toy
    here = Run(workspace, Machine(), "here", label="iteration 1")
    first = toy(size=3, run=here)

    monkeypatch.setattr(prefect_task, "run", lambda *_, **__: pytest.fail("a task was started"))
    with unseen():
        second = toy(size=3, run=here)

    assert second == first
    assert calls == [3]
    assert [event["cached"] for event in here.events] == [False, True]


@pytest.mark.usefixtures("prefect_server")
def test_what_is_gone_is_computed_all_the_same(toy, workspace, caplog):
    toy, calls = toy
    here = Run(workspace, Machine(), "here", label="iteration 1")
    first = toy(size=3, run=here)
    (workspace.root / "store" / first.path / "part-00000.parquet").write_bytes(b"")

    with unseen():
        second = toy(size=3, run=here)

    assert second == first
    assert calls == [3, 3]
    assert "a cached result cannot be used" in caplog.text
    workspace.store.verify(second)


def test_keys_records_and_locks_need_no_prefect():
    code = (
        "import sys\n"
        "from tasks import caching, locking, presence, records, results\n"
        "print({'prefect', 'mlflow'} & set(sys.modules))"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "set()\n"
