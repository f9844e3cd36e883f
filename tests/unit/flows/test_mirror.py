"""What recorded campaigns look like in MLflow: names that line up, curves that go on, everything once."""

import json
import os
import sqlite3
import subprocess
from collections import Counter
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from flow_examples import small
from mlflow import MlflowClient
from recorded_campaigns import LOGGED, STEPS, mirrored, record

from artifacts import Ref
from flows.mirror import origin
from flows.mirror.campaign import Mirror, ending
from flows.mirror.parameters import campaign_key, flat_parameters
from flows.steps import Steps
from tasks.caching import unseen
from tasks.tracking import Tracker

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of MLflow's own queries

OUTCOMES = [[0, 0, 1, 0], [1, 0, 1, 0], [1, 1, 1, 0]]


@pytest.fixture
def client(mlflow_client):
    return mlflow_client


@pytest.fixture
def campaign(client, workspace, tmp_path, model_folder, request):
    """Make (steps, rows) of a campaign that is named after the test."""

    def make(*overrides, outcomes=OUTCOMES, name=""):
        named = f"name={(name or request.node.name.split('[')[0])[:60].replace('_', '-')}"
        steps = Steps.of(small(tmp_path, model_folder, named, *overrides), workspace)
        return steps, record(workspace, steps.config, outcomes)

    return make


@pytest.fixture(scope="module")
def kept():
    return []


@pytest.fixture
def never_lost(client, campaign, workspace, kept):
    """All that MLflow has of a campaign that nothing befell."""

    def make():
        if not kept:
            steps, rows = campaign(name="never-lost")
            mirrored(steps, rows, Tracker(workspace))
            kept.append(everything(client, steps))
        return kept[0]

    return make


def runs_of(client, steps):
    """The parent run and its children by iteration."""
    (experiment,) = client.search_experiments(filter_string="name = 'online-dpo-r1'")
    found = client.search_runs([experiment.experiment_id], f"tags.campaign = '{steps.config.name}'")
    by_kind = {run.data.tags.get("iteration", "campaign"): run for run in found}
    assert len(by_kind) == len(found)
    return by_kind.pop("campaign"), {int(number): run for number, run in by_kind.items()}


def points(client, run, name):
    return [(metric.step, metric.value) for metric in client.get_metric_history(run.info.run_id, name)]


def everything(client, steps):
    """Run -> metric -> sorted points, each as often as it is there; from the database, where asking takes long."""
    parent, children = runs_of(client, steps)
    with closing(sqlite3.connect(os.environ["MLFLOW_TRACKING_URI"].removeprefix("sqlite:///"))) as database:
        query = "select key, step, value from metrics where run_uuid = ? order by key, step, value"
        return {
            place: database.execute(query, [run.info.run_id]).fetchall()
            for place, run in {0: parent, **children}.items()
        }


def test_dpo_raft_and_ppo_line_up_side_by_side(client, campaign, workspace):
    runs = {}
    for name in LOGGED:
        steps, rows = campaign(f"objective={name}", name=f"lined-up-{name}")
        mirrored(steps, rows, Tracker(workspace))
        runs[name] = runs_of(client, steps)[0]

    metrics = {name: set(run.data.metrics) for name, run in runs.items()}
    params = {name: set(run.data.params) for name, run in runs.items()}
    shared, same = set.intersection(*metrics.values()), set.intersection(*params.values())
    assert {metric for found in metrics.values() for metric in found - shared} == {
        f"train/{own}" for own in
        ("logps/chosen", "rewards/margins", "logps/accepted", "nll_per_token", "logps/mean", "ratio/mean", "kl/old")
    }  # fmt: skip
    assert {
        "eval/exam/greedy", "eval/exam/mean_at_2", "eval_se/exam/mean_at_2", "eval/exam/pass_at_2",
        "eval/exam/mean_tokens", "grade/right", "pair/rows", "progress/trained_tokens", "progress/sampled_tokens",
        "train/loss", "train/grad_norm", "train/sampler_gap_mean",
    } <= shared  # fmt: skip
    assert {metric.partition("/")[0] for metric in shared} == {
        "eval", "eval_se", "sample", "grade", "pair", "progress", "train",
    }  # fmt: skip
    assert all(name.startswith(("objective.", "critic.")) for found in params.values() for name in found - same)
    assert {"objective.name", "seed", "train.learning_rate", "sample.temperature", "reference"} <= same
    assert {name: run.data.params["objective.name"] for name, run in runs.items()} == {n: n for n in LOGGED}
    assert "objective.beta" in params["dpo"]  # though the config does not give it
    for run in runs.values():
        assert [step for step, _ in points(client, run, "eval/exam/mean_at_2")] == [0, 1, 2]


def test_training_curves_go_on_over_the_iterations(client, campaign, workspace):
    steps, rows = campaign()

    mirrored(steps, rows, Tracker(workspace))

    parent, children = runs_of(client, steps)
    first = [(step, step + 0.1) for step in range(1, STEPS + 1)]
    second = [(step, step + 0.2) for step in range(1, STEPS + 2)]
    assert points(client, children[1], "train/loss") == first
    assert points(client, children[2], "train/loss") == second
    assert points(client, parent, "train/loss") == first + [(STEPS + step, value) for step, value in second]


def test_a_critic_has_its_curve_beside_the_policys_and_its_last_step_by_iteration(client, campaign, workspace):
    steps, rows = campaign("objective=ppo")
    trained = [{**row, "critic": rows[-number]["policy"]} for number, row in enumerate(rows[1:], 1)]

    mirrored(steps, [rows[0], *trained], Tracker(workspace))
    mirrored(steps, [rows[0], *trained], Tracker(workspace))

    parent, children = runs_of(client, steps)
    assert points(client, children[1], "train_critic/loss") == [(step, step + 0.2) for step in range(1, STEPS + 2)]
    assert points(client, parent, "train_critic/loss") == [(1, STEPS + 1 + 0.2), (2, STEPS + 0.1)]
    assert points(client, children[1], "train/loss") == [(step, step + 0.1) for step in range(1, STEPS + 1)]


@pytest.mark.parametrize(("objective", "tokens"), [("dpo", 3 * 2 * 3 * 2), ("raft", 3 * 3 * 2), ("ppo", 3 * 3 * 2)])
def test_accuracy_stands_beside_the_tokens_it_took(client, campaign, workspace, objective, tokens):
    """Three rows of one or two answers of three tokens, trained on twice; eight answers sampled."""
    steps, rows = campaign(f"objective={objective}", name=f"tokens-{objective}")

    mirrored(steps, rows, Tracker(workspace))

    parent, children = runs_of(client, steps)
    assert points(client, parent, "progress/trained_tokens") == [(0, 0), (1, tokens), (2, 2 * tokens)]
    assert points(client, parent, "progress/sampled_tokens") == [(0, 0), (1, 24), (2, 48)]
    assert points(client, parent, "progress/steps") == [(0, 0), (1, STEPS), (2, 2 * STEPS + 1)]
    assert points(client, children[2], "progress/trained_tokens") == [(2, tokens)]


def test_a_finished_campaign_costs_one_question(client, campaign, workspace, monkeypatch):
    steps, rows = campaign()
    mirrored(steps, rows, Tracker(workspace))
    before, asked = everything(client, steps), Counter()
    for name in [
        n for n in dir(MlflowClient) if n.startswith(("get_", "search_", "log_", "set_", "update_", "create_"))
    ]:
        call = getattr(MlflowClient, name)
        monkeypatch.setattr(
            MlflowClient, name, lambda *a, _name=name, _call=call, **k: (asked.update([_name]), _call(*a, **k))[1]
        )

    with unseen():
        mirrored(steps, rows, Tracker(workspace))

    assert asked == {"get_experiment_by_name": 1, "search_runs": 1}
    assert everything(client, steps) == before


@pytest.mark.parametrize("gone", ["all", "campaign", "iteration"])
def test_what_was_deleted_in_mlflow_is_sent_again(client, campaign, workspace, gone):
    steps, rows = campaign(name=f"deleted-{gone}")
    mirrored(steps, rows, Tracker(workspace))
    before = everything(client, steps)
    parent, children = runs_of(client, steps)
    for run in {"all": [parent, *children.values()], "campaign": [parent], "iteration": [children[2]]}[gone]:
        client.delete_run(run.info.run_id)

    with unseen():
        mirrored(steps, rows, Tracker(workspace))

    assert everything(client, steps) == before
    assert {run.info.status for run in (runs_of(client, steps)[0], *runs_of(client, steps)[1].values())} == {"FINISHED"}


def test_results_of_other_code_are_not_mixed_with_those_that_are_there(client, campaign, workspace, caplog):
    steps, rows = campaign()
    mirrored(steps, rows, Tracker(workspace))
    before = everything(client, steps)
    made_anew = [*rows[:2], {**rows[2], "policy": replace(rows[2]["policy"], digest="0" * 64)}]

    mirrored(steps, made_anew, Tracker(workspace))

    name = steps.config.name
    assert [record.getMessage()[:60] for record in caplog.records] == [
        f"MLflow shows an earlier result of {name}, iteration 2"[:60]
    ]
    assert everything(client, steps) == before
    for run in (runs_of(client, steps)[0], *runs_of(client, steps)[1].values()):
        client.delete_run(run.info.run_id)
    mirrored(steps, made_anew, Tracker(workspace))
    assert runs_of(client, steps)[1][2].data.tags["odr.checkpoint"] == "0" * 64
    assert len(caplog.records) == 1


@pytest.mark.parametrize("reached", [0, 2, 6, 11])
def test_what_a_lost_server_missed_is_sent_by_the_next_run(client, campaign, workspace, never_lost, reached, caplog):
    """The server goes after so many writes."""
    steps, rows = campaign(name=f"lost-{reached}")
    tracker = Tracker(workspace)
    write, count = tracker.client.log_batch, Counter()

    def fail(*arguments, **options):
        count["writes"] += 1
        if count["writes"] > reached:
            raise ConnectionError("gone")
        return write(*arguments, **options)

    tracker.client.log_batch = fail
    mirrored(steps, rows, tracker)
    mirrored(steps, rows, Tracker(workspace))

    described, children = runs_of(client, steps)
    assert caplog.text.count("fails (gone)") == 1
    assert everything(client, steps) == never_lost()
    assert [len(child.inputs.dataset_inputs) for child in children.values()] == [2, 2]
    assert {number: child.data.params for number, child in children.items()} == {
        n: {"iteration": str(n)} for n in (1, 2)
    }
    assert set(described.data.params) == set(flat_parameters(steps.config))
    assert {"config.yaml", "origin"} <= {item.path for item in client.list_artifacts(described.info.run_id)}


def test_numbers_arrive_where_files_do_not_and_the_files_follow(client, campaign, workspace, caplog, tmp_path):
    """A server's own store of files, which only it reaches, in a database that is then used without it."""
    steps, rows = campaign()
    tracker = Tracker(workspace)
    tracker.client.log_text = lambda *_, **__: 1 / 0
    mirrored(steps, rows, tracker).attach([tmp_path / "exam.jsonl"])

    parent, _ = runs_of(client, steps)
    assert len(points(client, parent, "train/loss")) == 2 * STEPS + 1
    assert [record.getMessage().partition("takes")[2] for record in caplog.records] == [" no files (division by zero)"]
    assert client.list_artifacts(parent.info.run_id) == []
    mirrored(steps, rows, Tracker(workspace)).attach([tmp_path / "exam.jsonl"])
    files = {item.path for item in client.list_artifacts(parent.info.run_id)}
    assert {"config.yaml", "origin", "exam.jsonl"} == files


def test_an_iteration_alone_draws_no_curve_where_it_does_not_belong(client, campaign, workspace):
    steps, rows = campaign()

    mirrored(steps, rows, Tracker(workspace), only=2)

    parent, children = runs_of(client, steps)
    assert len(points(client, children[2], "train/loss")) == STEPS + 1
    assert points(client, parent, "train/loss") == []
    assert points(client, parent, "eval/exam/greedy") == [(2, 0.75)]
    mirrored(steps, rows, Tracker(workspace))
    assert [step for step, _ in points(client, parent, "train/loss")] == list(range(1, 2 * STEPS + 2))
    assert sorted(points(client, parent, "eval/exam/greedy")) == [(0, 0.25), (1, 0.5), (2, 0.75)]


def test_training_metrics_arrive_while_they_are_made(client, campaign, workspace):
    steps, rows = campaign()
    mirrored(steps, rows[:2], Tracker(workspace))

    with Mirror(steps, Tracker(workspace)).iteration(2) as follow:
        follow(1, {"loss": 7.0})
        parent, children = runs_of(client, steps)
        assert points(client, children[2], "train/loss") == [(1, 7.0)]
        assert points(client, parent, "train/loss")[-1] == (STEPS + 1, 7.0)
        assert children[2].info.status == "RUNNING"
        follow(2, {"loss": 8.0})  # at once: it waits for others

    assert points(client, children[2], "train/loss") == [(1, 7.0), (2, 8.0)]


@pytest.mark.parametrize(
    ("error", "status"),
    [(ValueError("a stage failed"), "FAILED"), (KeyboardInterrupt(), "KILLED"), (SystemExit(75), "KILLED")],
)
def test_a_run_that_was_told_to_end_has_not_failed(client, campaign, workspace, error, status):
    steps, _ = campaign(name=f"ended-{type(error).__name__.lower()}")
    mirror = Mirror(steps, Tracker(workspace))

    def work():
        with mirror.iteration(1) as follow:
            follow(1, {"loss": 1.0})
            follow(2, {"loss": 0.5})
            raise error

    with pytest.raises(type(error)):
        work()
    mirror.close(ending(error))

    parent, children = runs_of(client, steps)
    assert (parent.info.status, children[1].info.status) == (status, status)
    assert points(client, children[1], "train/loss") == [(1, 1.0), (2, 0.5)]


def test_a_run_at_work_says_so_again_and_one_that_is_only_looked_at_does_not(client, campaign, workspace):
    steps, rows = campaign()
    mirrored(steps, rows, Tracker(workspace))

    with unseen():
        Mirror(steps, Tracker(workspace)).open()
    assert runs_of(client, steps)[0].info.status == "FINISHED"

    Mirror(steps, Tracker(workspace)).open()
    assert runs_of(client, steps)[0].info.status == "RUNNING"


def test_files_of_the_end_are_not_replaced_by_those_of_a_look(client, campaign, workspace, tmp_path):
    steps, rows = campaign()
    mirror = mirrored(steps, rows, Tracker(workspace))
    path = tmp_path / "results.json"
    kept = []
    for text, seen in (("first", True), ("looked at", False), ("again", True)):
        path.write_text(text, encoding="utf-8")
        if seen:
            mirror.attach([path])
        else:
            with unseen():
                mirror.attach([path])
        there = client.download_artifacts(runs_of(client, steps)[0].info.run_id, path.name, str(tmp_path / "there"))
        kept.append(Path(there).read_text(encoding="utf-8"))

    assert kept == ["first", "first", "again"]


def test_data_sets_and_checkpoints_are_named_by_what_they_hold(client, campaign, workspace):
    steps, rows = campaign()

    mirrored(steps, rows, Tracker(workspace))

    child = runs_of(client, steps)[1][1]
    prompts: Ref = rows[1]["prompts"]
    assert {item.dataset.name: item.dataset.digest for item in child.inputs.dataset_inputs} == {
        "prompts": prompts.digest[:32], "pairs": rows[1]["rows"].digest[:32],
    }  # fmt: skip
    assert child.data.tags["odr.checkpoint"] == rows[1]["policy"].digest


# --- where a run comes from --------------------------------------------------------------------------------------


def test_commit_packages_machine_and_config_are_attached_once(client, campaign, workspace, tmp_path):
    steps, rows = campaign()
    mirrored(steps, rows, Tracker(workspace))

    parent = runs_of(client, steps)[0]
    there = tmp_path / "there"
    there.mkdir()
    client.download_artifacts(parent.info.run_id, "", str(there))
    texts = {path.name: path.read_text(encoding="utf-8") for path in there.rglob("*") if path.is_file()}
    assert "sample:\n" in texts["config.yaml"]
    assert "mlflow==" in texts["packages.txt"]
    assert json.loads(texts["machine.json"])["cpus"] >= 1
    assert parent.data.tags["odr.machine"].split(" CPUs")[0].isdigit()
    assert parent.data.tags["odr.version"]


def test_the_commit_says_whether_the_tree_had_changes(tmp_path, monkeypatch):
    def git(*arguments):
        subprocess.run(["git", "-C", str(tmp_path), *arguments], check=True, capture_output=True)

    monkeypatch.setattr(origin, "ROOT", tmp_path)
    assert "mlflow.source.git.commit" not in origin.commit_tags.__wrapped__()
    git("init")
    (tmp_path / "file").write_text("a")
    git("add", "file")
    git("-c", "user.name=a", "-c", "user.email=a@b", "commit", "-m", "x")
    clean = origin.commit_tags.__wrapped__()
    (tmp_path / "file").write_text("b")
    changed = origin.commit_tags.__wrapped__()

    head = subprocess.run(["git", "-C", str(tmp_path), "rev-parse", "HEAD"], capture_output=True, text=True).stdout
    assert clean["mlflow.source.git.commit"] == changed["mlflow.source.git.commit"] == head.strip() != ""
    assert (clean["odr.git.dirty"], changed["odr.git.dirty"]) == ("false", "true")


def test_passwords_in_a_config_reach_neither_parameters_nor_files(client, campaign, workspace, tmp_path):
    steps, rows = campaign("prompts={dataset: 'https://ann:pa55word@example.org/x', path: null, per_iteration: 4}")
    mirrored(steps, rows, Tracker(workspace))

    parent = runs_of(client, steps)[0]
    client.download_artifacts(parent.info.run_id, "", str(tmp_path))
    texts = [path.read_text() for path in (tmp_path / "config.yaml", *(tmp_path / "origin").iterdir())]
    assert parent.data.params["prompts.dataset"] == "https://example.org/x"
    assert not [text for text in (*texts, str(parent.data.to_dictionary())) if "pa55word" in text]


# --- parameters --------------------------------------------------------------------------------------------------


def test_lists_are_searchable_and_sections_in_lists_have_names(tmp_path, model_folder):
    flat = flat_parameters(small(tmp_path, model_folder, "train.betas=[0.8, 0.95]", "template.stop=[a, b]"))

    assert (flat["train.betas"], flat["template.stop"]) == ("0.8, 0.95", "a, b")
    assert (flat["evaluate.benchmarks.0.name"], flat["evaluate.benchmarks.0.samples"]) == ("exam", 2)


def test_what_the_algorithm_chooses_by_itself_is_filled_in(tmp_path, model_folder):
    ppo = flat_parameters(small(tmp_path, model_folder, "objective=ppo", "critic={learning_rate: 0.25}"))
    dpo = flat_parameters(small(tmp_path, model_folder, "objective={name: dpo, beta: 0.3}"))

    assert (dpo["objective.name"], dpo["objective.beta"], dpo["reference"]) == ("dpo", 0.3, "previous")
    assert (ppo["objective.name"], ppo["reference"], ppo["critic.learning_rate"]) == ("ppo", "initial", 0.25)
    assert [name for name in (*dpo, *ppo) if name.startswith("critic")] == ["critic.learning_rate"]


def test_the_key_is_what_it_was(tmp_path, model_folder):
    """Runs that are there are found by it."""
    config = small(tmp_path, model_folder)

    assert campaign_key(config) == campaign_key(config.model_copy(update={"iterations": 9}))
    assert campaign_key(config).startswith("small-")
