"""Campaigns side by side: what is tested, what the figures leave open, and where they go."""

import itertools
import json
import os
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import parse_qs

import numpy as np
import pytest
from flow_examples import small
from hypothesis import given
from hypothesis import strategies as st
from recorded_campaigns import graded, mirrored, record, write
from scipy import stats

from flows import plots
from flows.comparison import tracked
from flows.comparison.compared import Compared, _file_name, compare, examine
from flows.comparison.differences import adjusted, results_of
from flows.comparison.panels import TRAINING
from flows.comparison.significance import DRAWS, holm, sign_flip
from flows.comparison.tracked import log_comparison
from flows.steps import Steps
from tasks.tracking import Tracker
from tasks.workspace import Workspace

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of MLflow's own queries

WEAK, MIDDLE, STRONG = [0] * 16 + [1] * 8, [0] * 10 + [1] * 14, [0] * 4 + [1] * 20
OUTCOMES = {"dpo": [WEAK, MIDDLE, STRONG], "raft": [WEAK, STRONG, MIDDLE], "ppo": [WEAK, WEAK, WEAK],
            "half": [WEAK[:12], STRONG[:12]]}  # fmt: skip


@pytest.fixture(scope="module")
def finished(tmp_path_factory, model_folder):
    """A data root with campaigns of these outcomes, and what made them; `half` was asked half of the problems."""
    folder = tmp_path_factory.mktemp("finished")
    workspace, made = Workspace(folder / "odr"), {}
    with pytest.MonkeyPatch.context() as patch:
        for plot in ("plot_accuracy", "plot_training"):  # nobody looks at those, and each takes a second
            patch.setattr(plots, plot, lambda *_: None)
        for name, solved in OUTCOMES.items():
            objective = "raft" if name == "half" else name
            steps = Steps.of(small(folder, model_folder, f"name={name}", f"objective={objective}"), workspace)
            rows = record(workspace, steps.config, solved)
            write(steps, rows)
            made[name] = (steps, rows)
    return workspace, made


@pytest.fixture
def campaigns(finished, workspace):
    """The same in a data root of this test's own; gives what changes the results of one."""
    shutil.copytree(finished[0].root, workspace.root)

    def change(name, edit):
        path = workspace.results(name)
        facts = json.loads(path.read_text(encoding="utf-8"))
        edit(facts)
        path.write_text(json.dumps(facts), encoding="utf-8")

    return change


# --- tests -------------------------------------------------------------------------------------------------------


@given(st.lists(st.sampled_from([-1.0, -0.5, 0.0, 0.25, 1.0]), min_size=1, max_size=9), st.integers(0, 3))
def test_p_is_the_share_of_signs_that_are_as_far_from_nothing(differences, seed):
    every = [abs(np.dot(signs, differences)) for signs in itertools.product((-1, 1), repeat=len(differences))]
    exact = float(np.mean(np.asarray(every) >= abs(sum(differences)) - 1e-12))

    found = sign_flip(differences, seed)

    spread = 5 * (exact * (1 - exact) / DRAWS) ** 0.5
    assert found == pytest.approx(exact, abs=spread + 2 / DRAWS)


def test_p_agrees_with_another_library():
    differences = np.random.default_rng(3).choice([-1.0, -0.5, 0.0, 0.5, 1.0], size=200, p=[0.1, 0.1, 0.55, 0.1, 0.15])

    theirs = stats.permutation_test(
        (differences,), np.mean, permutation_type="samples", n_resamples=20_000, rng=np.random.default_rng(1)
    ).pvalue

    assert 0.01 < theirs < 0.5
    assert sign_flip(list(differences)) == pytest.approx(theirs, abs=0.015)


def test_p_is_never_nothing_and_equal_runs_never_differ():
    assert sign_flip([1.0] * 200) == 1 / (DRAWS + 1)
    assert sign_flip([0.0] * 5) == 1.0
    with pytest.raises(ValueError, match="no differences"):
        sign_flip([])


def test_holm_is_what_holm_wrote():
    # Four tests at 0.005, 0.01, 0.03, 0.04: times 4, 3, 2, 1, and never less than the one before.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []


@given(st.lists(st.floats(0.0001, 1), min_size=1, max_size=8))
def test_holm_rejects_exactly_what_the_steps_reject(ps):
    """As the procedure is written: go up from the smallest, stop at the first that is above level / (tests left)."""
    found = holm(ps)

    for level in (0.01, 0.05, 0.2):
        rejected = set()
        for rank, index in enumerate(sorted(range(len(ps)), key=ps.__getitem__)):
            if ps[index] * (len(ps) - rank) > level:
                break
            rejected.add(index)
        assert {index for index, p in enumerate(found) if p <= level} == rejected


# --- differences -------------------------------------------------------------------------------------------------


def test_differences_are_paired_counted_and_adjusted_for_all_of_them(campaigns, workspace):
    found = examine(workspace, ["dpo", "raft", "ppo"])

    dpo, raft, ppo = found.results
    assert (dpo.base.value, dpo.last.value, dpo.gain.value) == pytest.approx((8 / 24, 20 / 24, 0.5))
    assert dpo.against is None
    assert (raft.against.value, ppo.against.value) == pytest.approx((-6 / 24, -0.5))
    assert raft.against.problems == ppo.against.problems == 24
    assert raft.against.p == pytest.approx(2 * 0.5**6, abs=0.01)  # six problems, all one way
    assert raft.against.adjusted == pytest.approx(max(raft.against.p, 2 * ppo.against.p))
    assert ppo.against.adjusted == pytest.approx(2 * ppo.against.p)
    assert ppo.gain.p == 1.0
    said = " ".join(found.notes)
    assert "Holm adjusts it for the 2 differences shown" in said
    assert "not how another seed would have trained" in said
    (table,) = found.tables()
    assert list(table.columns[3].cells) == ["83.3 ± 7.8", "58.3 ± 10.3", "33.3 ± 9.8"]
    assert [str(column.header) for column in table.columns][5:] == [
        "against dpo, points (95 %)", "problems", "p", "p, Holm",
    ]  # fmt: skip


def test_only_problems_that_both_were_asked_count(campaigns, workspace):
    found = examine(workspace, ["dpo", "half"])

    _, half = found.results
    assert half.last.problems == half.against.problems == 12
    assert half.against.value == 0
    assert "They have different numbers of iterations: dpo 2, half 1." in found.notes


def test_what_only_one_was_evaluated_on_is_said(campaigns, workspace):
    def elsewhere(facts):
        for row in facts["iterations"]:
            row["generations"] = {"other/greedy": row["generations"]["exam/greedy"]}

    campaigns("raft", elsewhere)

    found = examine(workspace, ["dpo", "raft"])

    why = {(result.generation, result.campaign): result.why_not for result in found.results}
    assert why["exam/greedy", "raft"] == why["other/greedy", "dpo"] == "not evaluated on this"
    assert why["other/greedy", "raft"] == ""  # the first that has it is what others are compared with


def test_what_is_gone_is_said_and_the_rest_is_compared(campaigns, workspace):
    row = json.loads(workspace.results("raft").read_text())["iterations"][-1]
    for ref in (row["generations"]["exam/greedy"]["grades"], row["rows"]):
        shutil.rmtree(workspace.root / "store" / ref["path"])

    found = examine(workspace, ["ppo", "raft"])

    assert found.results[0].last.problems == 24
    assert "its verdicts cannot be read" in found.results[1].why_not
    assert any("tokens of raft are unknown from iteration" in note for note in found.notes)


def test_campaigns_from_other_starts_say_so(campaigns, workspace):
    campaigns("raft", lambda facts: facts["iterations"][0]["policy"].update(digest="0" * 64))

    found = examine(workspace, ["dpo", "raft"])

    assert any("start from different policies" in note for note in found.notes)


def test_one_campaign_is_compared_with_nothing(campaigns, workspace):
    found = examine(workspace, ["dpo"])

    assert [result.against for result in found.results] == [None]
    assert not any("Holm" in note or "seed" in note for note in found.notes)
    assert adjusted([]) == results_of(workspace, [], "exam/greedy") == []


def test_of_a_single_problem_no_error_is_known(campaigns, workspace):
    def one_problem(facts):
        for row in facts["iterations"]:
            row["generations"] = {"exam/greedy": graded(workspace, {"exam 23": [True]})}

    campaigns("raft", one_problem)

    found = examine(workspace, ["dpo", "raft"])

    assert found.results[1].last.standard_error is None
    assert "NaN" not in json.dumps([result.to_json() for result in found.results])
    assert found.results[1].against.problems == 1


def test_a_name_that_is_wrong_is_one_sentence(campaigns, workspace):
    with pytest.raises(ValueError, match="dpo is named twice"):
        examine(workspace, ["dpo", "dpo"])
    with pytest.raises(FileNotFoundError, match=r"no finished campaign 'dpoo'.*did you mean 'dpo'"):
        examine(workspace, ["dpo", "dpoo"])


# --- drawings ----------------------------------------------------------------------------------------------------


def test_accuracy_is_drawn_by_iteration_and_by_tokens(campaigns, workspace):
    rows = examine(workspace, ["dpo", "raft", "ppo"]).panels

    drawn = {(panel.title, panel.x_name): panel.lines for panel in (*rows["exam"], *rows[TRAINING])}
    exact = [(mark.x, mark.y) for mark in drawn["mean@2, %", "iteration"]["dpo"]]
    assert [x for x, _ in exact] == [0, 1, 2]
    assert [y for _, y in exact] == pytest.approx([100 / 3, 1400 / 24, 2000 / 24])
    # Three pairs of two answers of three tokens, twice; groups and accepted answers have one answer a row.
    assert [m.x for m in drawn["mean@2, %", "answer tokens trained on"]["dpo"]] == [0, 36, 72]
    assert [m.x for m in drawn["mean@2, %", "answer tokens trained on"]["ppo"]] == [0, 18, 36]
    assert [m.x for m in drawn["mean@2, %", "answer tokens sampled"]["raft"]] == [0, 24, 48]
    assert [m.x for m in drawn["pass@k of the last policy, %", "k"]["dpo"]] == [1, 2]
    assert [m.x for m in drawn["maj@k of the last policy, %", "k"]["dpo"]] == [1, 2]
    assert [m.y for m in drawn["tokens per answer", "iteration"]["raft"]] == [3, 3, 3]
    assert [m.margin for m in drawn["greedy, %", "iteration"]["dpo"]] == pytest.approx([9.8] * 3)
    assert drawn["kl/old, mean over the steps", "iteration"]["dpo"] == []
    assert [m.x for m in drawn["kl/old, mean over the steps", "iteration"]["ppo"]] == [1, 2]
    assert [m.y for m in drawn["training rows per problem", "iteration"]["dpo"]] == [0.75, 0.75]


class Elements(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.words = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data):
        self.words.append(data)


def test_the_page_stands_alone_and_names_do_nothing(campaigns, workspace):
    hostile = '<script>alert(1)</script>"onload=x\u202e'

    def rename(facts):
        facts["objective"] = hostile
        for row in facts["iterations"]:
            row["generations"] = {f"{hostile}/greedy": kept for kept in row["generations"].values()}
            for value in row["values"]:
                value["benchmark"] = hostile

    for name in ("dpo", "raft"):
        campaigns(name, rename)

    compared = compare(workspace, ["dpo", "raft"])

    text = compared.page.read_text(encoding="utf-8")
    page = Elements(text)
    assert not {"script", "iframe", "object", "embed", "link", "img", "form"} & set(page.tags)
    assert not [name for name, _ in page.attributes if name.startswith("on") or name in ("src", "href", "style")]
    assert ("content", "default-src 'none'; style-src 'unsafe-inline'; img-src data:") in page.attributes
    assert "\u202e" not in text
    assert "http" not in text.replace("http-equiv", "")
    assert any("<script>alert(1)</script>" in words for words in page.words)
    assert "line c0" in text
    assert "line c1" in text
    assert compared.plot.read_bytes()[:4] == b"\x89PNG"


def test_the_names_of_very_many_still_make_a_file():
    name = _file_name([f"campaign-{number}" for number in range(40)])

    assert len(name) <= 120
    assert name.startswith("campaign-0-vs-campaign-1")
    assert name != _file_name([f"campaign-{number}" for number in range(41)])
    assert _file_name(["a.b", "c"]) == "a.b-vs-c"


# --- MLflow ------------------------------------------------------------------------------------------------------


def test_a_comparison_is_a_run_of_its_own_once(finished, mlflow_client):
    workspace, made = finished
    tracker = Tracker(workspace)
    parents = [mirrored(*made[name], tracker).open() for name in ("dpo", "raft")]

    compared = compare(workspace, ["dpo", "raft"])
    addresses = {log_comparison(workspace, compared) for _ in range(2)}

    (experiment,) = mlflow_client.search_experiments(filter_string="name = 'online-dpo-r1'")
    (run,) = mlflow_client.search_runs([experiment.experiment_id], "tags.kind = 'comparison'")
    assert (run.info.run_name, run.info.status) == ("dpo vs raft", "FINISHED")
    assert run.data.tags["odr.parents"] == ", ".join(map(str, parents))
    assert run.data.metrics["last/exam/greedy/dpo"] == pytest.approx(20 / 24)
    assert run.data.metrics["against/exam/greedy/raft"] == pytest.approx(-6 / 24)
    assert 0 < run.data.metrics["p/exam/greedy/raft"] < 0.1
    files = {item.path for item in mlflow_client.list_artifacts(run.info.run_id)}
    assert files == {compared.plot.name, compared.page.name}
    assert addresses == {""}  # a file has no pages
    assert all(len(mlflow_client.get_metric_history(run.info.run_id, name)) == 1 for name in run.data.metrics)


def test_with_a_server_the_page_that_compares_the_campaigns_is_named(finished, mlflow_client, mlflow_file, monkeypatch):
    workspace, made = finished
    parents = [mirrored(*made[name], Tracker(workspace)).open() for name in ("dpo", "ppo")]
    compared = Compared(examine(workspace, ["dpo", "ppo"]), Path("x"), Path("y"))
    monkeypatch.setattr(Tracker, "file", lambda *_: True)
    monkeypatch.setattr(tracked, "Tracker", served(mlflow_file))

    address = log_comparison(workspace, compared)

    place, _, query = address.partition("?")
    asked = {name: json.loads(text) for name, (text,) in parse_qs(query).items()}
    assert place == "http://mlflow:5000/#/compare-runs"
    assert asked["runs"] == parents
    assert len(asked["experiments"]) == 1


def served(uri):
    """A tracker of this database that says its address is a server's, with a password in it."""

    def make(workspace):
        tracker = Tracker(workspace)
        assert tracker.uri == uri
        tracker.uri = "http://ann:pa55@mlflow:5000/"
        return tracker

    return make


def test_the_command_prints_json_and_nothing_else_for_scripts(finished, mlflow_client):
    command = [sys.executable, "-m", "flows.cli", "compare", "dpo", "raft", "--json"]

    done = subprocess.run(
        command, env={**os.environ, "ODR_HOME": str(finished[0].root)}, capture_output=True, text=True
    )

    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert [result["campaign"] for result in found["results"]] == ["dpo", "raft"]
    assert found["results"][1]["against"]["adjusted"] == found["results"][1]["against"]["p"]  # of one difference
    assert Path(found["page"]).is_file()
    assert Path(found["plot"]).is_file()


def test_without_mlflow_a_comparison_is_shown_all_the_same(finished, monkeypatch, caplog):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")

    assert log_comparison(finished[0], Compared(examine(finished[0], ["dpo", "raft"]), Path("x"), Path("y"))) == ""
    assert caplog.text.count("MLflow at") == 1
