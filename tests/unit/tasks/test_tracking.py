"""What reaches MLflow, in a real SQLite store: everything once, and never a failure."""

import threading
import time

import pytest
from mlflow import MlflowClient

from tasks import tracked_runs, tracking
from tasks.tracking import EXPERIMENT, Tracker, tracking_uri, without_credentials
from tasks.workspace import Workspace

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of MLflow's own queries


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """One data root for the module: making the database takes seconds. Tests differ by their run keys."""
    root = tmp_path_factory.mktemp("tracked")
    MlflowClient(f"sqlite:///{root / 'mlflow.db'}").search_experiments()
    return Workspace(root)


@pytest.fixture
def workspace(shared, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "0")
    return shared


@pytest.fixture
def tracker(workspace):
    return Tracker(workspace)


@pytest.fixture
def client(workspace):
    return MlflowClient(tracking_uri(workspace))


@pytest.fixture
def key(request):
    return request.node.name


def a_run(tracker, key, **options):
    values = {"name": key, "params": {}, "tags": {}, "parent": None, **options}
    return tracker.run(key, values["name"], values["params"], values["tags"], values["parent"])


def points(client, run_id, name):
    return [(metric.step, metric.value) for metric in client.get_metric_history(run_id, name)]


def test_a_key_names_one_run_however_often_it_is_asked_for(tracker, workspace, client, key):
    first = a_run(tracker, key, params={"train.beta": 0.1}, tags={"kind": "campaign"})
    again = a_run(tracker, key, params={"train.beta": 0.7})
    elsewhere = a_run(Tracker(workspace), key)

    assert first == again == elsewhere
    run = client.get_run(first)
    assert run.data.params == {"train.beta": "0.1"}
    assert run.data.tags["kind"] == "campaign"
    assert run.data.tags["odr.key"] == key


def test_other_keys_are_other_runs_and_children_know_their_parent(tracker, client, key):
    parent = a_run(tracker, key)
    child = a_run(tracker, f"{key}/1", parent=parent)

    assert child != parent
    assert client.get_run(child).data.tags["mlflow.parentRunId"] == parent


def test_many_and_long_parameters_are_taken_and_long_ones_stay_apart(tracker, client, key):
    many = {f"p{i}": i for i in range(250)}
    run_id = a_run(tracker, key, params={**many, "long": "x" * 9000, "longer": "x" * 9001, "fits": "y" * 6000})

    params = client.get_run(run_id).data.params
    assert len(params) == 253
    assert params["fits"] == "y" * 6000
    assert len(params["long"]) == len(params["longer"]) == 6000
    assert params["long"] != params["longer"]
    assert "9000 characters" in params["long"]


def test_parameters_that_a_lost_server_missed_are_logged_later(tracker, workspace, client, key):
    """The run was made, and the server was gone before its parameters came."""
    tracker.client.log_batch = lambda *_, **__: 1 / 0
    assert a_run(tracker, key, params={"a": 1, "b": 2}) is None

    run_id = a_run(Tracker(workspace), key, params={"a": 1, "b": 2})

    assert client.get_run(run_id).data.params == {"a": "1", "b": "2"}


def test_passwords_in_parameters_are_left_out(tracker, client, key):
    run_id = a_run(tracker, key, params={"model": "https://ann:pa55@example.org/m"})

    assert client.get_run(run_id).data.params == {"model": "https://example.org/m"}


def test_a_run_that_is_only_looked_at_keeps_its_status(tracker, workspace, client, key):
    run_id = a_run(tracker, key)
    tracker.end(run_id, "KILLED")

    looked = Tracker(workspace)
    assert looked.run(key, key, {}, {}, None, at_work=False) == run_id
    assert client.get_run(run_id).info.status == "KILLED"
    looked.end(run_id, "FINISHED")
    assert client.get_run(run_id).info.status == "FINISHED"


def test_tags_are_set_where_they_differ(tracker, workspace, client, key):
    run_id = a_run(tracker, key, tags={"kind": "campaign"})

    tracker.tag(run_id, {"odr.sent": "a"})
    assert tracker.has(run_id, "odr.sent")
    assert tracker.has(run_id, "odr.sent", "a")
    assert not tracker.has(run_id, "odr.sent", "b")
    assert not tracker.has(run_id, "other")
    Tracker(workspace).tag(run_id, {"odr.sent": "b"})

    assert client.get_run(run_id).data.tags["odr.sent"] == "b"
    assert client.get_run(run_id).data.tags["kind"] == "campaign"


def test_a_run_that_another_process_has_made_meanwhile_is_found(tracker, workspace, key):
    parent = a_run(tracker, key)
    other = Tracker(workspace)
    a_run(other, key)

    theirs = a_run(other, f"{key}/1", parent=parent)

    assert a_run(tracker, f"{key}/1", parent=parent) == theirs


def test_keys_that_begin_alike_or_look_like_patterns_are_other_runs(tracker, workspace):
    runs = {key: a_run(tracker, key) for key in ("like_a", "likexa", "like_ab", "like_a/1", "like_a/10")}

    again = Tracker(workspace)
    assert {key: a_run(again, key) for key in runs} == runs
    assert len(set(runs.values())) == 5
    assert again.find("like_") is None
    assert again.find("") is None


def test_the_load_of_the_machine_comes_while_a_run_is_at_work(workspace, client, key, monkeypatch):
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "0.05")
    tracker = Tracker(workspace)
    run_id = a_run(tracker, key)
    name = "system/system_memory_usage_percentage"
    wait_until(lambda: points(client, run_id, name))

    tracker.end(run_id, "FINISHED")
    wait_until(lambda: not [t for t in threading.enumerate() if t.name == "system load"])

    found = points(client, run_id, name)
    assert all(0 <= value <= 100 for _, value in found)
    assert found[0][0] >= 0
    assert "system/cpu_utilization_percentage" in client.get_run(run_id).data.metrics


def test_load_that_cannot_be_sent_disturbs_nobody(workspace, key, monkeypatch, caplog):
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "0.02")
    tracker, tries = Tracker(workspace), []
    tracker.client.log_batch = lambda *_, **__: tries.append(1) or 1 / 0

    run_id = a_run(tracker, key)
    wait_until(lambda: len(tries) > 2)
    tracker.end(run_id, "FINISHED")

    assert tracker.client is not None
    assert not caplog.records


def wait_until(happened):
    deadline = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_sending_twice_doubles_nothing(tracker, workspace, client, key):
    curve = [(step, {"train/loss": 1 / step, "train/norm": 2.0}) for step in range(1, 6)]
    run_id = a_run(tracker, key)

    for sender in (tracker, tracker, Tracker(workspace)):
        sender.curve(run_id, curve)
        sender.metrics(run_id, 5, {"train/loss": 99.0})

    assert points(client, run_id, "train/loss") == [(step, 1 / step) for step in range(1, 6)]
    assert points(client, run_id, "train/norm") == [(step, 2.0) for step in range(1, 6)]


def test_a_resumed_run_adds_only_what_is_new(tracker, workspace, client, key):
    run_id = a_run(tracker, key)
    for step in (1, 2, 3):
        tracker.metrics(run_id, step, {"loss": float(step)})

    resumed = Tracker(workspace)
    for step in (2, 3, 4):  # from the optimizer checkpoint after step 1
        resumed.metrics(run_id, step, {"loss": 10.0 + step})

    assert points(client, run_id, "loss") == [(1, 1.0), (2, 2.0), (3, 3.0), (4, 14.0)]


def test_a_hole_that_a_lost_server_left_is_filled_later(tracker, workspace, client, key):
    """Steps 2 and 3 were made while the server was away; the run was then killed and went on at step 4."""
    run_id = a_run(tracker, key)
    tracker.metrics(run_id, 1, {"loss": 1.0})
    tracker.metrics(run_id, 4, {"loss": 4.0})

    Tracker(workspace).curve(run_id, [(step, {"loss": float(step)}) for step in range(1, 5)])

    assert sorted(points(client, run_id, "loss")) == [(1, 1.0), (2, 2.0), (3, 3.0), (4, 4.0)]


def test_more_points_than_one_request_takes_all_arrive(tracker, client, key, monkeypatch):
    monkeypatch.setattr(tracking, "BATCH", 7)
    run_id = a_run(tracker, key)

    tracker.curve(run_id, [(step, {"a": float(step), "b": 0.0}) for step in range(1, 31)])

    assert points(client, run_id, "a") == [(step, float(step)) for step in range(1, 31)]
    assert len(points(client, run_id, "b")) == 30


def test_names_that_mlflow_does_not_take_are_mapped(tracker, client, key):
    run_id = a_run(tracker, key)

    tracker.metrics(run_id, 0, {"eval/gsm8k/mean@4": 0.5, "eval/gsm8k/mean_tokens/greedy": 3})
    tracker.metrics(run_id, 0, {"eval/gsm8k/mean@4": 0.9, "eval/my,bench\n(1)/greedy": 1})

    assert client.get_run(run_id).data.metrics == {
        "eval/gsm8k/mean_at_4": 0.5, "eval/gsm8k/mean_tokens/greedy": 3, "eval/my_bench__1_/greedy": 1,
    }  # fmt: skip


def test_what_is_not_finite_stops_nothing(tracker, client, key):
    run_id = a_run(tracker, key)

    tracker.metrics(run_id, 1, {"loss": float("nan")})
    tracker.metrics(run_id, 2, {"loss": 2.0})

    assert tracker.client is not None
    assert points(client, run_id, "loss")[-1] == (2, 2.0)


def test_a_data_set_is_attached_once_by_digest(tracker, client, key):
    run_id = a_run(tracker, key)
    digest = "ab" * 32

    for _ in range(2):
        tracker.dataset(run_id, "prompts", digest, 800, "sampling")
    tracker.dataset(run_id, "pairs", "cd" * 32, 70, "training")

    inputs = client.get_run(run_id).inputs.dataset_inputs
    assert sorted(item.dataset.name for item in inputs) == ["pairs", "prompts"]
    (found,) = [item for item in inputs if item.dataset.name == "prompts"]
    assert found.dataset.digest == digest[:32]
    assert digest in found.dataset.source
    assert {tag.key: tag.value for tag in found.tags}["mlflow.data.context"] == "sampling"


def test_a_checkpoint_is_registered_by_reference_once(tracker, client, key, workspace, tmp_path):
    run_id = a_run(tracker, key)
    folder = tmp_path / "policy"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"w" * 100_000)

    for _ in range(2):
        tracker.checkpoint(run_id, "demo-iteration-1", str(folder), "ef" * 32)

    tags = client.get_run(run_id).data.tags
    assert tags["odr.checkpoint"] == "ef" * 32
    assert tags["odr.checkpoint_path"] == str(folder)
    experiment = client.get_experiment_by_name(EXPERIMENT)
    models = client.search_logged_models([experiment.experiment_id], filter_string=f"source_run_id = '{run_id}'")
    assert [(model.name, model.tags["path"]) for model in models] == [("demo-iteration-1", str(folder))]
    assert not [p for p in workspace.root.rglob("*") if p.is_file() and b"wwww" in p.read_bytes()]  # nothing is copied


def test_files_and_the_end_of_a_run_are_kept(tracker, client, key, tmp_path):
    run_id = a_run(tracker, key)
    (tmp_path / "results.json").write_text("{}", encoding="utf-8")

    tracker.file(run_id, str(tmp_path / "results.json"))
    tracker.end(run_id, "FINISHED")

    assert [item.path for item in client.list_artifacts(run_id)] == ["results.json"]
    assert client.get_run(run_id).info.status == "FINISHED"
    a_run(tracker, key)
    assert client.get_run(run_id).info.status == "RUNNING"


def test_files_of_a_run_that_a_server_of_this_data_root_has_made_go_where_it_keeps_them(
    workspace, client, key, monkeypatch, tmp_path, caplog
):
    number = client.create_experiment("served", artifact_location="mlflow-artifacts:/7")
    monkeypatch.setattr(tracked_runs, "EXPERIMENT", "served")
    tracker = Tracker(workspace)
    run_id = a_run(tracker, key)
    (tmp_path / "results.json").write_text("{}", encoding="utf-8")

    assert tracker.file(run_id, str(tmp_path / "results.json"))
    assert tracker.text(run_id, "origin/packages.txt", "a==1")

    assert client.get_run(run_id).info.experiment_id == number
    kept = workspace.root / "mlartifacts" / "7" / run_id / "artifacts"
    assert (kept / "results.json").read_text() == "{}"
    assert (kept / "origin" / "packages.txt").read_text() == "a==1"
    assert not caplog.records


def test_a_file_that_cannot_be_taken_costs_one_warning_and_no_number(tracker, client, key, tmp_path, caplog):
    run_id = a_run(tracker, key)

    assert not tracker.file(run_id, str(tmp_path / "nothing"))
    assert not tracker.text(run_id, "a.txt", "a")
    tracker.metrics(run_id, 1, {"loss": 1.0})

    assert [record.getMessage().count("takes no files") for record in caplog.records] == [1]
    assert points(client, run_id, "loss") == [(1, 1.0)]


def test_a_dead_server_costs_one_warning_and_no_failure(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    tracker, started = Tracker(Workspace(tmp_path)), time.monotonic()

    run_id = a_run(tracker, "campaign")
    for step in range(100):
        tracker.metrics(run_id, step, {"loss": 1.0})
    tracker.curve("some run", [(1, {"loss": 1.0})])
    tracker.dataset("some run", "n", "ab" * 32, 1, "c")
    tracker.checkpoint("some run", "n", "/x", "ab" * 32)
    tracker.file("some run", "/no/such/file")
    tracker.end("some run", "FINISHED")

    warnings = [record for record in caplog.records if record.levelname == "WARNING"]
    assert run_id is None
    assert len(warnings) == 1
    assert "MLflow at http://127.0.0.1:9 fails" in warnings[0].getMessage()
    assert time.monotonic() - started < 10


def test_without_a_run_nothing_is_sent_and_nothing_fails(tracker, caplog):
    tracker.metrics(None, 1, {"loss": 1.0})
    tracker.curve(None, [(1, {"loss": 1.0})])
    tracker.dataset(None, "n", "ab" * 32, 1, "c")
    tracker.checkpoint(None, "n", "/x", "ab" * 32)
    tracker.file(None, "/no/such/file")
    tracker.end(None, "FINISHED")

    assert tracker.client is not None
    assert not caplog.records


def test_the_address_is_the_users_or_a_file_in_the_data_root(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow:5000")
    assert tracking_uri(Workspace(tmp_path)) == "http://mlflow:5000"

    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert tracking_uri(Workspace(tmp_path)) == f"sqlite:///{tmp_path}/mlflow.db"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://ann:pa55@mlflow:5000/x", "http://mlflow:5000/x"),
        ("request to https://token@host/api failed: https://host/a@b", "request to https://host/api failed: https://host/a@b"),
        ("postgresql+psycopg://ann:p@55@db:5432/mlflow", "postgresql+psycopg://db:5432/mlflow"),
        ("mail ann@example.org, sqlite:////srv/mlflow.db", "mail ann@example.org, sqlite:////srv/mlflow.db"),
    ],
)  # fmt: skip
def test_what_is_shown_of_an_address_holds_no_credentials(text, shown):
    assert without_credentials(text) == shown


def test_the_warning_of_a_lost_server_names_no_password(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://ann:pa55@127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")

    a_run(Tracker(Workspace(tmp_path)), "campaign")

    assert "MLflow at http://127.0.0.1:9 fails" in caplog.text
    assert "pa55" not in caplog.text
