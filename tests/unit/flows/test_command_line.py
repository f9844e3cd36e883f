"""`odr` as a person meets it: help, and one clear sentence for everything that person can put right."""

import json
import logging
import os
import re
import subprocess
import sys

import pytest
import yaml
from flow_examples import small_fields

from flows.cli import app
from flows.environment import prepare, show_logs

CALLBACKS = {c.name or c.callback.__name__: c.callback for c in app.registered_commands if c.callback}
COMMANDS = sorted(CALLBACKS)


@pytest.fixture(autouse=True)
def restored(unchanged, monkeypatch):
    """Nothing that a command sets is left behind; words are not broken."""
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.setenv("TERM", "dumb")


@pytest.fixture
def config(tmp_path, model_folder):
    """Writes the small campaign's config, with changed fields."""

    def write(**changes):
        fields = {**small_fields(tmp_path, model_folder), **changes}
        path = tmp_path / "run.yaml"
        path.write_text(yaml.safe_dump(fields), encoding="utf-8")
        return path

    return write


def refused(result, *parts):
    """The command ended with 2 and one sentence on standard error."""
    assert result.exit_code == 2, result.output
    assert result.stderr.startswith("error: ")
    assert "Traceback" not in result.output
    for part in parts:
        assert part in result.stderr
    return result.stderr


# --- help --------------------------------------------------------------------------------------------------------


def test_the_commands_are_these():
    assert COMMANDS == [
        "benchmarks", "compare", "demo", "down", "evaluate", "export", "gc", "grade", "import", "list", "logs",
        "nightly", "objectives", "plan", "push", "report", "reward-model", "run", "serve", "show", "stop", "up",
        "verify",
    ]  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_that_says_what_it_does(odr, command):
    result = odr(command, "--help")

    callback = CALLBACKS[command]
    text = re.sub(r"\s+", " ", result.output)
    assert result.exit_code == 0
    assert re.sub(r"\s+", " ", callback.__doc__.split("\n\n")[0].strip()) in text
    assert "Usage:" in text


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_shows_an_example(odr, command):
    assert f"Example: odr {command}" in odr(command, "--help").output


def test_the_exit_codes_are_listed(odr):
    output = odr("--help").output

    assert [code for code in ("0", "1", "2", "75") if re.search(rf"^ *{code}: \w", output, re.MULTILINE)] == [
        "0", "1", "2", "75",
    ]  # fmt: skip
    assert "--install-completion" in output


def test_without_a_command_all_are_listed(odr):
    output = odr().output

    assert all(command in output for command in COMMANDS)


# --- what a person can put right ---------------------------------------------------------------------------------


def test_a_config_that_is_not_there(odr, tmp_path):
    refused(odr("run", tmp_path / "nosuch.yaml"), f"config {tmp_path}/nosuch.yaml cannot be read: No such file")


def test_an_unknown_key_names_the_nearest(odr, config):
    result = odr("run", config(), "train.lerning_rate=1")

    refused(result, "train.lerning_rate: unknown key, did you mean 'learning_rate'?")


def test_a_model_that_is_not_there(odr, config):
    result = odr("run", config(model="/no/such/model"))

    refused(result, "no model folder /no/such/model; expected a Hugging Face folder")


def test_a_model_that_is_not_on_this_machine(odr, config):
    refused(odr("run", config(model="nobody/no-such-model")), "model nobody/no-such-model is not on this machine")


def test_a_model_folder_without_weights(odr, config, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "config.json").write_text("{}", encoding="utf-8")

    refused(odr("run", config(model=str(tmp_path / "empty"))), "has no weights; expected *.safetensors")


def test_a_data_file_that_is_not_there(odr, config):
    refused(odr("run", config(prompts={"path": "/no/such.jsonl"})), "no file /no/such.jsonl; expected a .jsonl or")


def test_a_benchmark_that_is_not_there(odr, config, tmp_path):
    wrong = {"benchmarks": [{"name": "nosuch", "data_dir": str(tmp_path)}]}

    refused(odr("run", config(evaluate=wrong)), "benchmark nosuch:", "nosuch.jsonl does not exist")


def test_warm_up_data_that_are_not_there(odr, config):
    warmup = {"demonstrations": {"path": "/no/warm.jsonl", "solution": "solution"}, "train": {}}

    refused(odr("run", config(warmup=warmup)), "no file /no/warm.jsonl")


def test_a_gpu_that_is_not_there(odr, config):
    refused(odr("run", config(), "machine.devices=[77]"), "machine.devices names GPU 77")


@pytest.mark.parametrize("command", ["run", "plan"])
def test_a_stage_to_refresh_that_does_not_exist(odr, config, command):
    refused(odr(command, config(), "--refresh", "trian"), "--refresh trian: no such stage", "train")


def test_nothing_is_started_for_a_run_that_cannot_work(odr, config, workspace):
    odr("run", config(model="/no/such/model"))

    assert not (workspace.root / "prefect").exists()
    assert not (workspace.root / "mlflow.db").exists()


def test_a_campaign_that_is_not_there_when_there_is_none(odr):
    result = odr("show", "nosuch")

    refused(result, "no finished campaign 'nosuch'", "there is none yet: start one with `odr run CONFIG`")


def test_a_campaign_that_is_not_there_lists_those_that_are(odr, workspace):
    for name in ("first", "second"):
        folder = workspace.root / "campaigns" / name
        folder.mkdir(parents=True)
        (folder / "results.json").write_text("{}", encoding="utf-8")
    (workspace.root / "campaigns" / "unfinished").mkdir()

    for command in ("show", "compare"):
        text = refused(odr(command, "nosuch"), "there are: first, second")
        assert "unfinished" not in text


def test_an_iteration_that_is_not_there(odr, workspace):
    folder = workspace.root / "campaigns" / "first"
    folder.mkdir(parents=True)
    (folder / "results.json").write_text(json.dumps({"iterations": [{}, {}]}), encoding="utf-8")

    refused(odr("evaluate", "first/7", "-b", "math500"), "campaign first has iterations 0 to 1, not 7")


def test_a_model_to_evaluate_that_is_not_there(odr):
    refused(odr("evaluate", "./nosuch", "-b", "math500"), "no model folder nosuch")


def test_an_option_of_an_evaluation_that_does_not_exist(odr, model_folder):
    refused(odr("evaluate", model_folder, "-b", "exam", "--set", "sample.engin=vllm"), "did you mean 'engine'?")


def test_a_plan_is_shown_as_a_table(odr, config):
    result = odr("plan", config(), "iterations=1")

    assert result.exit_code == 0
    assert "4 prompts x 3 = 12 answers" in result.output
    assert "never run" in result.output
    assert "training process(es)" in result.output


def test_a_plan_is_json_for_a_script(odr, config):
    result = odr("plan", config(), "iterations=1", "--json")

    plan = json.loads(result.stdout)
    (sampling,) = [line for line in plan["stages"] if (line["label"], line["stage"]) == ("iteration 1", "sample")]
    assert plan["campaign"] == "small"
    assert (sampling["status"], sampling["size"]) == ("run", "4 prompts x 3 = 12 answers")
    assert "training process(es)" in plan["hardware"]


def test_what_libraries_print_is_no_result(capfd):
    from flows.terminal import others_on_stderr, say_json

    with others_on_stderr():
        print("a library")
        os.write(1, b"its C code\n")
        subprocess.run(["echo", "a child"], check=True)
    say_json({"results": 1})

    shown = capfd.readouterr()
    assert json.loads(shown.out) == {"results": 1}
    assert [line in shown.err for line in ("a library", "its C code", "a child")] == [True] * 3


def test_the_lines_that_end_a_stage_are_numbered_while_a_run_goes_on(caplog):
    from flows.course import numbered
    from tasks.caching import DONE

    log = logging.getLogger("tasks.caching")
    caplog.set_level("INFO", logger=log.name)
    log.addHandler(caplog.handler)  # other tests' commands keep these lines from the root

    with numbered(2):
        for stage in ("sample", "grade", "pair"):
            log.info(DONE, "iteration 1", stage, "cached", "7 rows")
            log.info("%s speaks", stage)
    log.info(DONE, "iteration 1", "train", "cached", "7 rows")
    log.removeHandler(caplog.handler)

    lines = list(dict.fromkeys(record.getMessage() for record in caplog.records))
    assert lines == [
        "[1/2] iteration 1 · sample: cached, 7 rows", "sample speaks",
        "[2/2] iteration 1 · grade: cached, 7 rows", "grade speaks",
        "[3/3] iteration 1 · pair: cached, 7 rows", "pair speaks",
        "iteration 1 · train: cached, 7 rows",
    ]  # fmt: skip


def test_the_command_itself_ends_with_two_and_one_line(tmp_path):
    ended = subprocess.run(
        [sys.executable, "-m", "flows.cli", "run", str(tmp_path / "nosuch.yaml")],
        capture_output=True, text=True, check=False, env={**os.environ, "ODR_HOME": str(tmp_path / "odr")},
    )  # fmt: skip

    assert ended.returncode == 2
    assert ended.stderr.startswith("error: config ")
    assert len(ended.stderr.splitlines()) == 1
    assert ended.stdout == ""


# --- environment -------------------------------------------------------------------------------------------------


def test_the_data_root_holds_everything_unless_the_user_says_otherwise(tmp_path, monkeypatch):
    for name in ("PREFECT_HOME", "PREFECT_RESULTS_LOCAL_STORAGE_PATH", "PREFECT_SERVER_ANALYTICS_ENABLED"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "false")

    prepare(tmp_path / "odr")

    assert os.environ["PREFECT_HOME"] == str(tmp_path / "odr" / "prefect")
    assert os.environ["PREFECT_RESULTS_LOCAL_STORAGE_PATH"] == str(tmp_path / "odr" / "cache")
    assert os.environ["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false"
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "false"  # the user's choice
    assert (tmp_path / "odr" / ".gitignore").read_text() == "*\n"


def test_a_configured_server_is_used(tmp_path, monkeypatch):
    monkeypatch.setenv("PREFECT_API_URL", "http://prefect:4200/api")
    monkeypatch.delenv("PREFECT_SERVER_ALLOW_EPHEMERAL_MODE", raising=False)

    prepare(tmp_path)

    assert "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE" not in os.environ


@pytest.mark.parametrize("verbose", [False, True])
def test_lines_of_children_are_shown_only_when_asked_for(capsys, verbose):
    show_logs(verbose=verbose)

    logging.getLogger("tasks.sample").info("a stage speaks")
    logging.getLogger("tasks.child").info("a child speaks")

    shown = capsys.readouterr().err
    assert "a stage speaks" in shown
    assert ("a child speaks" in shown) == verbose


# --- results on the terminal -------------------------------------------------------------------------------------


def test_text_of_a_model_cannot_command_the_terminal(workspace):
    from artifacts import Grade, Rollout
    from flows.looking.show import _examples

    evil = "\x1b[31m[bold]\x07 \u202e so 7\n"
    rollout = Rollout(
        prompt_id="p", sample_index=0, prompt_ids=[1], completion_ids=[1], logprobs=[0.0], finish_reason="stop", seed=0,
        text=evil,
    )  # fmt: skip
    grade = Grade(prompt_id="p", sample_index=0, correct=True, reward=1.0, reason="same_text", answer="7")
    refs = {}
    for name, row in (("rollouts", rollout), ("grades", grade)):
        with workspace.store.writer(type(row)) as writer:
            writer.write(row)
        refs[name] = writer.ref.to_json()

    (text,) = _examples(workspace, refs, 5)

    assert "[bold]" in text.plain  # shown, not obeyed
    assert not set(text.plain) & {"\x1b", "\x07", "\u202e"}
    assert not text.spans


def test_a_reward_model_is_trained_on_an_iteration_that_is_there(odr):
    refused(odr("reward-model", "demo"), "demo: expected campaign/iteration, counted from 1, such as demo/1")
    refused(odr("reward-model", "demo/0"), "demo/0: expected campaign/iteration")
    refused(odr("reward-model", "demo/1"), "no finished campaign 'demo'")


def test_a_plan_waits_for_no_library_that_it_does_not_need(config, workspace):
    code = (
        "import sys\nfrom flows.cli import app\n"
        f"app(['plan', {str(config())!r}], standalone_mode=False)\n"
        "print('loaded:', sorted({'prefect', 'mlflow', 'matplotlib', 'transformers', 'datasets'} & set(sys.modules)))"
    )

    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "ODR_HOME": str(workspace.root)},
        capture_output=True,
        text=True,
    )

    assert "never run" in done.stdout, done.stderr
    assert done.stdout.splitlines()[-1] == "loaded: []"
