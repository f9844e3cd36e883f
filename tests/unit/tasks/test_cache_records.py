"""A cache record that is torn, foreign or cannot be written costs one computation, and is never an error."""

import errno
import json
import os
from pathlib import Path

import pytest
from task_examples import a_rollout, stored

from artifacts import Ref, Rollout
from tasks.caching import Run, Stage, stage
from tasks.machine import Machine

pytestmark = pytest.mark.usefixtures("prefect_server")

FOREIGN = {
    "empty": "",
    "half": '{"metadata": {"storage_key": "toy", "exp',
    "zeros, as after a power cut": "\0" * 400,
    "null": "null",
    "a list": "[]",
    "no result": "{}",
    "nested without end": "[" * 100_000,
    "bytes": b"\xff\xfe\x80pickle".decode("latin-1"),
}


@pytest.fixture
def calls():
    return []


@pytest.fixture
def toy(calls) -> Stage:
    @stage("toy", code=lambda _: ("tasks.pair",))
    def toy(size: int, run: Run) -> Ref[Rollout]:
        calls.append(size)
        return stored(run.workspace.store, [a_rollout(index=i) for i in range(size)])

    return toy


@pytest.fixture
def here(workspace) -> Run:
    return Run(workspace, Machine(), "here", label="iteration 1")


@pytest.mark.parametrize("content", FOREIGN.values(), ids=FOREIGN)
def test_a_record_that_is_none_is_computed_anew_and_replaced(toy, here, calls, content):
    first = toy(size=3, run=here)
    record = here.workspace.cache / toy.key(size=3, run=here).digest
    record.write_text(content)

    assert toy.cached(size=3, run=here) is None
    assert toy(size=3, run=here) == first
    assert toy(size=3, run=here) == first

    assert calls == [3, 3]
    assert json.loads(record.read_text())["result"]


RESULTS = ["", "null", "[]", "{}", '{"kind": "table"}', '{"kind": "table", "ref": null}', "[" * 100_000]


@pytest.mark.parametrize("result", RESULTS, ids=range(len(RESULTS)))
def test_a_record_whose_result_is_none_is_computed_anew(toy, here, calls, result):
    first = toy(size=3, run=here)
    record = here.workspace.cache / toy.key(size=3, run=here).digest
    record.write_text(json.dumps(json.loads(record.read_text()) | {"result": result}))

    assert toy.cached(size=3, run=here) is None
    assert toy(size=3, run=here) == first

    assert calls == [3, 3]


def test_a_record_that_cannot_be_written_costs_the_next_run_one_computation(toy, here, calls, monkeypatch):
    """What a full disk does when it fills up with exactly this file."""
    key = toy.key(size=3, run=here).digest
    full = []

    def refuse(path, *arguments, **options):
        if Path(path).name == key and options.get("mode") == "wb":
            full.append(path)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        return Path(path).open(*arguments, **options)

    with monkeypatch.context() as patched:
        patched.setattr("prefect.filesystems.open", refuse, raising=False)
        first = toy(size=3, run=here)

    assert full, "the record was to be written"
    assert here.workspace.store.manifest(first).rows == 3
    assert toy(size=3, run=here) == first
    assert toy(size=3, run=here) == first
    assert calls == [3, 3]
