"""What Prefect's pages show of a stage: real artifacts on a real server, and nothing anywhere else."""

import html
import re
import time
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prefect.exceptions import ObjectNotFound

from tasks import announce
from tasks.display import bar

HOSTILE = "<img src=x onerror=alert(1)> [a](javascript:b) **c** | _d_ `e` www.evil.example\n# f"


# --- keys and text -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "key"),
    [
        (("dpo-r1-zero", "progress", "train"), "dpo-r1-zero-progress-train"),
        (("dpo_r1.zero", "iteration", "12"), "dpo-r1-zero-iteration-12"),
    ],
)
def test_keys_are_what_people_would_guess(words, key):
    assert announce.key(*words) == key


@given(one=st.text(min_size=1), other=st.text(min_size=1))
def test_any_name_makes_a_key_that_prefect_takes_and_odd_ones_make_different_keys(one, other):
    keys = [announce.key(name, "progress") for name in (one, other)]

    assert all(re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", key) for key in keys)
    odd = re.compile(r"[^a-z0-9 ·._-]")
    if one != other and odd.search(one) and odd.search(other):
        assert keys[0] != keys[1]


@given(st.text())
def test_no_text_means_anything_on_a_page_and_all_of_it_is_read(text):
    shown = announce.harmless(text)

    assert not set(re.sub(r"&#\d+;", "", shown)) & set("<>[]()*_`|\\!#~:@\"'&;\n\x1b")
    assert html.unescape(shown) == "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def test_an_address_is_no_link():
    assert announce.harmless("www.evil.example 1.5") == "www&#46;evil&#46;example 1.5"


# --- progress ----------------------------------------------------------------------------------------------------


@pytest.fixture
def often(monkeypatch):
    """As a stage of hours is shown, in a fraction of a second."""
    monkeypatch.setattr(announce, "FIRST_SECONDS", 0.05)
    monkeypatch.setattr(announce, "EVERY_SECONDS", 0.05)


@pytest.fixture
def staged():
    """Runs a body as the task of a stage in a flow; returns the task run's id."""
    from prefect import flow, task
    from prefect.context import TaskRunContext

    def run(body):
        @task(task_run_name="small · iteration 1 · train")
        def stage():
            body()
            context = TaskRunContext.get()
            assert context is not None
            return str(context.task_run.id)

        @flow
        def campaign():
            return stage()

        return UUID(campaign())

    return run


def server():
    from prefect.client.orchestration import get_client

    return get_client(sync_client=True)


def artifacts_of(task_run):
    from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterTaskRunId

    wanted = ArtifactFilter(task_run_id=ArtifactFilterTaskRunId(any_=[task_run]))
    with server() as client:
        return client.read_artifacts(artifact_filter=wanted)


def until(look, seconds=10.0):
    deadline = time.monotonic() + seconds
    while not (found := look()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return found


@pytest.mark.usefixtures("prefect_server", "often")
def test_a_stage_shows_how_far_it_is_and_ends_at_its_last_step(staged):
    names: list[str] = []

    def body():
        from prefect.context import TaskRunContext

        context = TaskRunContext.get()
        assert context is not None
        run = context.task_run.id
        with bar(f"iteration 1 · {HOSTILE}", 8) as steps:
            steps.advance(2, "loss 0.5")
            until(lambda: artifacts_of(run))
            names.append(until(lambda: counted(run)))
            steps.advance(6, "loss 0.25")

    run = staged(body)
    (artifact,) = artifacts_of(run)

    assert names == ["small · iteration 1 · train 2/8"]
    assert (artifact.key, artifact.type, artifact.data) == ("small-progress-train", "progress", 100.0)
    assert artifact.description is not None
    assert "8 of 8" in artifact.description
    assert "loss 0.25" in artifact.description
    assert not set(artifact.description) & set("<>[]*_`|\n")
    with server() as client:
        assert until(lambda: client.read_task_run(run).name.endswith("· train"))


def counted(task_run):
    """Its name, once the server knows the run and the count in it."""
    with server() as client:
        try:
            name = client.read_task_run(task_run).name
        except ObjectNotFound:
            return ""
    return name if name.endswith("/8") else ""


@pytest.mark.usefixtures("prefect_server")
def test_a_stage_that_is_over_at_once_shows_nothing(staged):
    def body():
        with bar("iteration 1 · training steps", 1) as steps:
            steps.advance(1)

    assert artifacts_of(staged(body)) == []


@pytest.mark.usefixtures("prefect_server", "often")
def test_a_server_that_takes_nothing_costs_a_stage_nothing(staged, monkeypatch):
    import prefect.client.orchestration

    asked: list[str] = []

    def refuse(**_):
        asked.append("artifact")
        raise ConnectionError("planted")

    done: list[str] = []

    def body():
        with monkeypatch.context() as planted:
            planted.setattr(prefect.client.orchestration, "get_client", refuse)
            with bar("iteration 1 · training steps", 2) as steps:
                steps.advance(1)
                until(lambda: asked)
                steps.advance(1)
        done.append("stage")

    assert artifacts_of(staged(body)) == []
    assert (asked, done) == (["artifact"], ["stage"])  # asked once, and given up


@pytest.mark.usefixtures("prefect_server", "often")
def test_outside_a_task_nothing_is_sent(monkeypatch):
    monkeypatch.setattr("prefect.client.orchestration.get_client", lambda **_: pytest.fail("the server was asked"))

    with bar("verifying", 2) as steps:
        steps.advance(1)
        time.sleep(0.15)
        steps.advance(1)

    assert not announce.in_flow()
