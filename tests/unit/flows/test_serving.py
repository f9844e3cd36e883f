"""Servers that are found, ended whole and refused; forms that refuse what is wrong; the files that describe them."""

import fcntl
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator
from typer.testing import CliRunner

from flows import environment
from flows.cli import app
from flows.config import RunConfig
from flows.serving import databases, find, forms, programs, record
from flows.serving.ending import end
from flows.serving.forms import CampaignForm, EvaluateForm, IterationForm, NightForm
from flows.serving.record import Server
from tasks import presence

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the servers' own queries

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def _project_folder(monkeypatch):
    monkeypatch.chdir(ROOT)


# --- forms -------------------------------------------------------------------------------------------------------


def refused_by_schema(form, fields):
    """Why Prefect's server refuses the form: it validates by the same schema."""
    return [error.message for error in Draft202012Validator(form.model_json_schema()).iter_errors(fields)]


def test_every_field_of_every_form_says_what_it_is_for():
    for form in (CampaignForm, IterationForm, EvaluateForm, NightForm):
        schema = form.model_json_schema()
        assert {name for name, field in schema["properties"].items() if not field.get("description")} == set()
        assert schema["description"]


def test_choices_are_menus():
    fields = CampaignForm.model_json_schema()["properties"]

    assert fields["preset"]["enum"] == ["demo", "dpo_r1_7b_after_sft", "dpo_r1_zero_7b", "raft_r1_zero_7b"]
    assert {"dpo", "grpo", "ppo", "raft"} < set(fields["objective"]["enum"])
    assert not {"ppo_critic", "reward_model"} & set(fields["objective"]["enum"])
    assert "max_min_length" in fields["pairing"]["enum"]
    assert "math500" in fields["benchmarks"]["items"]["enum"]


@pytest.mark.parametrize(
    ("form", "fields"),
    [
        (CampaignForm, {}),
        (CampaignForm, {"preset": "dmeo"}),
        (CampaignForm, {"preset": "demo", "objective": "grop"}),
        (CampaignForm, {"preset": "demo", "pairing": "min_max"}),
        (CampaignForm, {"preset": "demo", "iterations": -1}),
        (CampaignForm, {"preset": "demo", "learning_rate": 0}),
        (CampaignForm, {"preset": "demo", "name": "My Run"}),
        (CampaignForm, {"preset": "demo", "benchmarks": ["mat"]}),
        (CampaignForm, {"preset": "demo", "overrides": ["train.epochs"]}),
        (CampaignForm, {"preset": "demo", "refresh": ["trian"]}),
        (CampaignForm, {"preset": "demo", "epochs": 3}),
        (IterationForm, {"preset": "demo", "number": 0, "policy": "demo/1"}),
        (IterationForm, {"preset": "demo"}),
        (EvaluateForm, {"model": "demo@best", "benchmarks": []}),
        (EvaluateForm, {"model": "", "benchmarks": ["math500"]}),
        (NightForm, {"campaign": "../x"}),
    ],
)
def test_a_wrong_value_is_refused_in_the_form_and_by_the_run(form, fields):
    assert refused_by_schema(form, fields)
    with pytest.raises(ValueError, match="validation error"):
        form(**fields)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"overrides": ["train.lerning_rate=1"]}, "train.lerning_rate: unknown key, did you mean 'learning_rate'"),
        ({"overrides": ["train.epochs=none"]}, "train.epochs"),
        ({"overrides": ["sample.temperature=0"]}, "all answers to a prompt would be equal"),
    ],
)
def test_what_needs_the_whole_config_is_refused_when_the_run_starts(fields, message):
    fields = {"preset": "demo", **fields}

    assert not refused_by_schema(CampaignForm, fields)
    with pytest.raises(ValueError, match=message):
        CampaignForm(**fields)


def test_a_form_is_the_command_line_it_stands_for():
    form = CampaignForm(
        preset="demo", name="tried", objective="grpo", iterations=2, learning_rate=1e-5, seed=7,
        benchmarks=["math500"], overrides=["train.epochs=2", "name=again"],
    )  # fmt: skip

    config = form.config()
    assert isinstance(config, RunConfig)
    assert config.objective == {"name": "grpo", "clip_eps": 0.2, "beta_kl": 0.04}  # of its file in configs/objectives
    assert (config.iterations, config.train.learning_rate, config.seed, config.train.epochs) == (2, 1e-5, 7, 2)
    assert [bench.name for bench in config.evaluate.benchmarks] == ["math500"]
    assert form.label == "again"  # overrides come last


def test_an_empty_form_is_the_preset():
    assert CampaignForm(preset="demo").config() == forms.load(forms.CONFIGS / "demo.yaml", [])


def test_every_preset_and_every_algorithm_that_the_menus_offer_can_be_chosen():
    fields = CampaignForm.model_json_schema()["properties"]

    for preset in fields["preset"]["enum"]:
        CampaignForm(preset=preset)
    for objective in fields["objective"]["enum"]:
        CampaignForm(preset="demo", objective=objective)


# --- deployments -------------------------------------------------------------------------------------------------


def test_prefect_yaml_describes_the_deployments_that_odr_serve_registers():
    from prefect.flows import load_flow_from_entrypoint
    from prefect.utilities.callables import parameter_schema

    from flows.serving.deployments import build

    described = {entry["name"]: entry for entry in yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]}
    served = {deployment.name: deployment for deployment in build(ROOT)}

    assert list(described) == list(served) == ["campaign", "iteration", "evaluate", "nightly"]
    for name, entry in described.items():
        flow = load_flow_from_entrypoint(entry["entrypoint"])
        assert flow.name == served[name].flow_name
        assert parameter_schema(flow) == served[name]._parameter_openapi_schema
        assert entry["enforce_parameter_schema"] is True is served[name].enforce_parameter_schema


def test_a_deployment_of_somebody_else_is_not_taken(workspace, prefect_server, monkeypatch):
    from prefect.client.orchestration import get_client

    from flows.serving import deployments, served

    monkeypatch.setenv("PREFECT_API_URL", "the test's own")
    served.evaluate.to_deployment("evaluate", tags=["theirs"]).apply()

    with pytest.raises(ValueError, match=r"evaluate/evaluate .* belongs to somebody else \(tags: theirs\).*--suffix"):
        deployments.serve(workspace.root, 1)
    with get_client(sync_client=True) as client:
        names = {each.name for each in client.read_deployments()}
    assert "campaign" not in names  # nothing is half registered
    assert not programs.ready_file(workspace.root).exists()


def test_a_data_root_is_served_once(workspace, monkeypatch):
    from flows.serving.deployments import serve

    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    workspace.locks.mkdir(parents=True)
    with (workspace.locks / "serving.lock").open("w") as held:
        held.write("4711")
        held.flush()
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(ValueError, match=r"process 4711 serves the deployments of .* already"):
            serve(workspace.root, 1)


def test_runs_whose_process_ended_with_its_server_are_closed_and_others_let_alone(
    workspace, prefect_server, monkeypatch
):
    from prefect.client.orchestration import get_client
    from prefect.states import Cancelling, Completed, Running, Scheduled

    from flows.serving import leftovers, served

    deployment = served.nightly.to_deployment("left-over").apply()
    states = [Running(), Cancelling(), Running(), Completed(), Scheduled()]
    with get_client(sync_client=True) as client:
        runs = [
            client.create_flow_run_from_deployment(deployment, parameters={"form": {"campaign": "x"}}) for _ in states
        ]
        below = client.create_flow_run(served.evaluate, parameters={"form": {}}, state=Running())
        client.set_flow_run_state(runs[1].id, Running(), force=True)  # what has not begun is cancelled at once
        for run, state in zip(runs, states, strict=True):
            client.set_flow_run_state(run.id, state, force=True)
        monkeypatch.setenv("PREFECT__FLOW_RUN_ID", str(runs[2].id))
        with presence.at_work(workspace.locks, "x"):
            closed = leftovers.close(client, [deployment], workspace.locks)
        found = [client.read_flow_run(run.id).state.name for run in [*runs, below]]

    assert sorted(closed) == sorted(run.name for run in runs[:2])
    assert found == ["Crashed", "Cancelled", "Running", "Completed", "Scheduled", "Running"]


def test_serving_needs_a_server_and_presets(workspace, monkeypatch, tmp_path):
    from flows.serving.deployments import serve

    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    with pytest.raises(ValueError, match="needs a Prefect server: start one with `odr up`"):
        serve(workspace.root, 1)
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="holds no"):
        serve(workspace.root, 1)


# --- processes ---------------------------------------------------------------------------------------------------

LEADER = """
import subprocess, sys, time
child = "import os, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); os.write(1, b'.'); time.sleep(600)"
for own_session in (False, True):
    subprocess.Popen([sys.executable, "-c", child], start_new_session=own_session)
time.sleep(600)
"""


@pytest.fixture
def started():
    """A server with two children that ignore SIGTERM, one of them in a session of its own."""
    process = subprocess.Popen([sys.executable, "-c", LEADER], stdout=subprocess.PIPE, start_new_session=True)
    assert process.stdout
    assert process.stdout.read(2) == b".."  # both ignore the signal by now
    server = Server.of("prefect", process.pid, "http://127.0.0.1:9")
    family = server.family()
    yield server, process
    process.stdout.close()
    for pid, _ in record.alive(family):
        os.kill(pid, signal.SIGKILL)
    process.wait()


def test_a_server_is_ended_with_all_that_it_has_started(started, monkeypatch):
    server, process = started
    monkeypatch.setattr("flows.serving.ending.ALONE_SECONDS", 0.3)
    monkeypatch.setattr("flows.serving.ending.ALL_SECONDS", 0.3)
    family = server.family()

    assert end(server)

    assert len(family) == 3
    assert record.gone(family)
    assert not end(server)
    process.wait()


def test_what_a_killed_server_leaves_in_its_session_is_found(started):
    server, process = started
    process.kill()
    process.wait()

    assert not server.is_running()
    assert len(server.family()) == 1


def test_a_number_that_has_a_new_owner_is_not_touched(started):
    server, process = started
    stale = Server(server.name, server.pid, server.began - 1, server.boot, server.address)
    earlier = Server(server.name, server.pid, server.began, "another boot", server.address)

    assert not end(stale)
    assert not end(earlier)
    assert process.poll() is None


def test_a_record_is_read_back_and_empty_means_none(workspace):
    servers = [Server("mlflow", 5, 7, "boot", "http://127.0.0.1:1"), Server("deployments", 6, 8, "boot", "")]
    record.write(workspace.root, servers)

    assert record.read(workspace.root) == servers
    record.write(workspace.root, [])
    assert record.read(workspace.root) == []


@pytest.mark.parametrize(
    "text", ["{", "{}", '[{"name": "x"}]', '[{"name":"x","pid":"1","began":1,"boot":"","address":""}]']
)
def test_a_damaged_record_is_said_and_kills_nothing(workspace, unchanged, text):
    record.path(workspace.root).parent.mkdir(parents=True)
    record.path(workspace.root).write_text(text)

    result = CliRunner().invoke(app, ["down"])

    assert result.exit_code == 2
    assert "running.json" in result.stderr
    assert find.addresses(workspace.root) == {}


# --- finding -----------------------------------------------------------------------------------------------------


@pytest.fixture
def listening():
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def clean(unchanged, monkeypatch):
    """No server is named, and what a command sets is put back."""
    for name in ("PREFECT_API_URL", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)


def this_process(name, port):
    return Server.of(name, os.getpid(), f"http://127.0.0.1:{port}")


def test_commands_use_the_servers_of_their_data_root(workspace, listening, clean):
    record.write(workspace.root, [this_process("prefect", listening), this_process("mlflow", listening)])

    environment.prepare(workspace.root)

    assert os.environ["PREFECT_API_URL"] == f"http://127.0.0.1:{listening}/api"
    assert os.environ["MLFLOW_TRACKING_URI"] == f"http://127.0.0.1:{listening}"


def test_a_server_that_the_user_names_wins(workspace, listening, clean, monkeypatch):
    record.write(workspace.root, [this_process("prefect", listening)])
    monkeypatch.setenv("PREFECT_API_URL", "http://elsewhere/api")

    environment.prepare(workspace.root)

    assert os.environ["PREFECT_API_URL"] == "http://elsewhere/api"


def test_servers_that_have_ended_or_do_not_answer_are_left_out(workspace, listening):
    dead = subprocess.Popen(["true"])
    gone = Server.of("prefect", dead.pid, f"http://127.0.0.1:{listening}")
    dead.wait()
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    record.write(workspace.root, [gone, this_process("mlflow", port)])

    assert find.addresses(workspace.root) == {}


def test_looking_for_servers_imports_nothing_heavy():
    code = (
        "import sys, pathlib; from flows import environment; from flows.serving import find;"
        "find.addresses(pathlib.Path('nowhere'));"
        "print({'prefect', 'mlflow', 'torch', 'httpx', 'pydantic'} & set(sys.modules))"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "set()"


# --- odr up ------------------------------------------------------------------------------------------------------


def test_a_port_of_somebody_else_is_one_sentence_and_starts_nothing(workspace, listening, clean):
    for option in ("--prefect-port", "--mlflow-port"):
        result = CliRunner().invoke(app, ["up", option, str(listening)])

        taken = rf"error: port {listening} of 127.0.0.1 is taken .* choose another with {option}"
        assert result.exit_code == 2
        assert re.search(taken, result.stderr)
    assert record.read(workspace.root) == []


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        (
            "PREFECT_API_URL",
            "http://user:secret@127.0.0.1:9/api",
            "names the server http://127.0.0.1:9/api, which does not",
        ),
        ("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db", "which is no server's address; unset it"),
        (databases.PREFECT, "postgresql://user:secret@host/db", "Prefect expects postgresql\\+asyncpg://"),
        (databases.MLFLOW, "postgresql+psycopg2://user:secret@host/db", "pip install psycopg2-binary"),
    ],
)
def test_an_address_that_cannot_serve_is_one_sentence_without_its_password(
    workspace, clean, monkeypatch, variable, value, message
):
    monkeypatch.setenv(variable, value)

    result = CliRunner().invoke(app, ["up"])

    assert result.exit_code == 2
    assert re.search(message, result.stderr)
    assert "secret" not in result.output
    assert record.read(workspace.root) == []


def test_one_database_for_both_servers_is_refused(monkeypatch):
    monkeypatch.setenv(databases.PREFECT, "postgresql+asyncpg://a:b@host/odr")
    monkeypatch.setenv(databases.MLFLOW, "postgresql+other://c:d@host:5432/odr")

    with pytest.raises(ValueError, match="name one database; make two"):
        databases.check()


def test_an_address_of_a_database_stands_in_no_command(workspace, monkeypatch):
    secret = "postgresql+asyncpg://user:secret@host/db"
    monkeypatch.setenv(databases.PREFECT, secret)
    monkeypatch.setenv(databases.MLFLOW, secret)

    prefect, mlflow = programs.prefect(workspace.root, 1), programs.mlflow(workspace.root, 2)
    serving = programs.deployments(workspace.root, "http://a/api", "http://b", 1)

    assert "secret" not in " ".join([*prefect.command, *mlflow.command, *serving.command])
    assert (prefect.environment[databases.PREFECT], mlflow.environment[databases.MLFLOW]) == (secret, secret)
    assert "secret" not in " ".join(serving.environment.values())


def test_down_without_servers_says_so(workspace, unchanged):
    result = CliRunner().invoke(app, ["down"])

    assert result.exit_code == 0
    assert "nothing that `odr up` has started runs" in result.output


# --- the team's servers ------------------------------------------------------------------------------------------


def compose():
    return yaml.safe_load((ROOT / "docker-compose.yaml").read_text(encoding="utf-8"))


def test_the_team_servers_wait_for_their_database_and_say_when_they_are_well():
    services = compose()["services"]

    assert set(services) == {"postgres", "prefect", "mlflow"}
    for name in ("prefect", "mlflow"):
        assert services[name]["depends_on"] == {"postgres": {"condition": "service_healthy"}}
    assert all(service["healthcheck"]["test"][0] == "CMD" for service in services.values())


def test_the_team_servers_have_no_default_password_and_listen_on_loopback():
    text = (ROOT / "docker-compose.yaml").read_text(encoding="utf-8")
    file = compose()

    secrets = re.findall(r"^\s+\w*(?:PASSWORD|AUTH_STRING)\w*: (.*)$", text, re.MULTILINE)
    assert len(secrets) == 4
    assert all(re.match(r"\$\{\w+:\?", value) or value == "/run/secrets/postgres_password" for value in secrets)
    assert all(
        port.startswith("${ODR_BIND:-127.0.0.1}:")
        for service in file["services"].values() for port in service.get("ports", [])
    )  # fmt: skip
    assert file["secrets"]["postgres_password"] == {"environment": "ODR_POSTGRES_PASSWORD"}


def test_every_volume_secret_and_config_of_the_team_servers_is_defined():
    file = compose()
    used = {kind: set() for kind in ("volumes", "secrets", "configs")}
    for service in file["services"].values():
        used["volumes"] |= {volume.partition(":")[0] for volume in service.get("volumes", [])}
        used["secrets"] |= set(service.get("secrets", []))
        used["configs"] |= {config["source"] for config in service.get("configs", [])}

    assert {kind: set(file[kind]) for kind in used} == used


def test_the_team_servers_are_of_the_versions_that_are_locked():
    pins = dict(
        line.split("==") for line in (ROOT / "requirements" / "cpu.lock").read_text().splitlines() if "==" in line
    )
    services = compose()["services"]

    assert services["prefect"]["image"] == f"prefecthq/prefect:{pins['prefect']}-python3.11"
    assert f"FROM ghcr.io/mlflow/mlflow:v{pins['mlflow']}\n" in services["mlflow"]["build"]["dockerfile_inline"]


def test_prefect_knows_every_setting_of_the_team_server():
    names = {name: "1" for name in compose()["services"]["prefect"]["environment"]}
    code = (
        "import sys; from prefect.settings import get_current_settings as s;"
        "known = {v for f in [s().to_environment_variables(exclude_unset=True)] for v in f};"
        "print(sorted(set(sys.argv[1:]) - known))"
    )
    values = {**names, "PREFECT_SERVER_DATABASE_DRIVER": "postgresql+asyncpg", "PREFECT_SERVER_DATABASE_PORT": "5432",
              "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}  # fmt: skip

    done = subprocess.run(
        [sys.executable, "-c", code, *names], env={**os.environ, **values}, capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == "[]"
