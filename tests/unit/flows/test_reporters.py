"""Weights & Biases gets the names and steps of the campaign's run in MLflow, each once; a stand-in takes its place.

The stand-in is a module of that name on the path with what we use of the package: `init`, and a run's
`define_metric`, `log` and `finish`. It writes what it is given to a file, so that what a killed process has sent stays.
"""

import json
import sys

import pytest
from flow_examples import small
from recorded_campaigns import STEPS, mirrored, record

from flows.mirror import reporters
from flows.mirror.campaign import Mirror
from flows.steps import Steps
from tasks.tracked_runs import metric_name
from tasks.tracking import Tracker

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of MLflow's own queries

STAND_IN = """
import json, pathlib

FILE = pathlib.Path({file!r})


def tell(**what):
    with FILE.open("a") as file:
        file.write(json.dumps(what) + "\\n")


class Run:
    def define_metric(self, name, step_metric=None):
        tell(define=name, over=step_metric)

    def log(self, values):
        if {fails}:
            raise ConnectionError("wandb is away")
        tell(log=values)

    def finish(self, exit_code=None):
        tell(finish=exit_code)


def init(**options):
    tell(init=options)
    return Run()
"""
OUTCOMES = [[0, 0, 1, 0], [1, 0, 1, 0], [1, 1, 1, 0]]


@pytest.fixture
def wandb(tmp_path, monkeypatch, mlflow_client):
    """Put the stand-in where the package would be; gives what it was told."""
    place, file = tmp_path / "installed", tmp_path / "told.jsonl"
    place.mkdir()
    monkeypatch.syspath_prepend(str(place))
    monkeypatch.setenv("ODR_REPORTERS", "wandb")

    def install(fails="False"):
        (place / "wandb.py").write_text(STAND_IN.format(file=str(file), fails=fails), encoding="utf-8")
        begin_anew()

    def told(kind):
        lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
        return [found[kind] for line in lines if kind in (found := json.loads(line))]

    install()
    told.install = install
    yield told
    begin_anew()


def begin_anew():
    """As a new process: neither the package nor a run is known."""
    sys.modules.pop("wandb", None)
    sys.path_importer_cache.clear()
    reporters._wandb.cache_clear()


@pytest.fixture
def campaign(workspace, tmp_path, model_folder):
    steps = Steps.of(small(tmp_path, model_folder, "objective=ppo"), workspace)
    return steps, record(workspace, steps.config, OUTCOMES)


def over(logged, axis):
    """Metric -> [(step, value)] of the lines with this axis."""
    found = {}
    for line in logged:
        if axis in line:
            for name, value in line.items():
                found.setdefault(name, []).append((line[axis], value))
    return found


def test_it_gets_the_names_and_steps_of_the_campaigns_run_in_mlflow(wandb, campaign, workspace, mlflow_client):
    steps, rows = campaign
    parent = mirrored(steps, rows, Tracker(workspace)).open()

    client = mlflow_client
    ours = {name: [(m.step, m.value) for m in client.get_metric_history(parent, name)]
            for name in client.get_run(parent).data.metrics}  # fmt: skip
    training, iterations = (over(wandb("log"), axis) for axis in ("train/step", "iteration"))
    theirs = {**training, **iterations}
    assert {name: sorted(theirs[name]) for name in ours} == ours
    assert set(theirs) - set(ours) == {"iteration", "train/step"}
    (options,) = wandb("init")
    assert (options["id"], options["name"]) == (steps.config.name + options["id"][5:], "small")
    assert options["config"]["objective.name"] == "ppo"
    assert options["config"]["sample.temperature"] == 1.0  # a number stays one
    assert dict(zip(wandb("define"), wandb("over"), strict=True))["train/*"] == "train/step"
    assert wandb("finish") == [0]


def test_sending_again_sends_nothing_and_begins_nothing(wandb, campaign, workspace):
    steps, rows = campaign
    mirrored(steps, rows, Tracker(workspace))
    before = len(wandb("log"))

    begin_anew()
    mirrored(steps, rows, Tracker(workspace))

    assert len(wandb("log")) == before
    assert len(wandb("init")) == 1
    assert "wandb" not in sys.modules


def test_what_came_live_is_not_sent_again_at_the_end(wandb, campaign, workspace):
    steps, rows = campaign
    with Mirror(steps, Tracker(workspace)).iteration(1) as follow:
        follow(1, {"loss": 7.0})
        follow(2, {"loss": 6.0})

    begin_anew()  # and was killed, which cuts what was just being written
    record_file = next((workspace.root / "reported").glob("*.wandb.jsonl"))
    with record_file.open("a") as file:
        file.write('\n["train", 3')
    mirrored(steps, rows, Tracker(workspace))

    losses = over(wandb("log"), "train/step")["train/loss"]
    assert sorted(step for step, _ in losses) == list(range(1, 2 * STEPS + 2))
    assert dict(losses)[1] == 7.0


def test_a_failure_costs_one_warning_and_the_next_run_sends_the_rest(wandb, campaign, workspace, caplog):
    steps, rows = campaign
    wandb.install(fails="len(FILE.read_text().splitlines()) > 14")  # the run, eight axes, a few points

    mirrored(steps, rows, Tracker(workspace))
    assert 0 < len(wandb("log")) < 10
    wandb.install()
    mirrored(steps, rows, Tracker(workspace))

    assert caplog.text.count("Weights & Biases fails (wandb is away)") == 1
    found = over(wandb("log"), "train/step")["train/loss"]
    assert sorted(step for step, _ in found) == list(range(1, 2 * STEPS + 2))
    assert [step for step, _ in over(wandb("log"), "iteration")[metric_name("eval/exam/mean@2")]] == [0, 1, 2]


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ("wanb", "ODR_REPORTERS names 'wanb'; known: wandb"),
        ("wandb", "ODR_REPORTERS asks for wandb, which is not installed: pip install wandb, or unset it"),
    ],
)
def test_a_reporter_that_is_not_there_is_one_sentence_before_anything_starts(campaign, monkeypatch, asked, sentence):
    monkeypatch.setenv("ODR_REPORTERS", asked)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if "site-packages" not in path])

    with pytest.raises(ValueError, match=sentence.replace("(", r"\(")):
        Mirror.of(campaign[0])


def test_nobody_asked_means_nobody_is_told(campaign, monkeypatch, tmp_path):
    monkeypatch.delenv("ODR_REPORTERS", raising=False)

    assert reporters.chosen(tmp_path, "key", "name") == []
