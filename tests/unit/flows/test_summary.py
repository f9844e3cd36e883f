"""The page of an iteration in Prefect: figures worked out by hand, and names of others that are only text."""

import json
import re

import pytest
from data_roots import finished
from flow_examples import small

from artifacts import Checkpoint, Grade, Pair, Rollout, Score
from flows import summary
from flows.mirror.campaign import Mirror
from flows.steps import Steps
from flows.summary import Done, markdown
from tasks.tracking import Tracker

EVIL = "<script>alert(1)</script>|[x](javascript:y)"


def rollout(name, index, text="7"):
    return Rollout(
        prompt_id=name, sample_index=index, prompt_ids=[1], completion_ids=[2], logprobs=[-0.5],
        finish_reason="stop", seed=index, text=text,
    )  # fmt: skip


def grade(name, index, correct):
    return Grade(prompt_id=name, sample_index=index, correct=correct, reward=1.0, reason="same_text", answer="7")


def stored(workspace, rows, row_type, summary=(), **options):
    with workspace.store.writer(row_type, **options) as writer:
        writer.write_many(rows)
        writer.summary.update(dict(summary))
    return writer.ref


def checkpoint(folder, letter, curve=()):
    place = folder / f"policy-{letter}"
    place.mkdir()
    (place / "training.jsonl").write_text("".join(json.dumps(point) + "\n" for point in curve))
    return Checkpoint(str(place), letter * 64, 1)


def evaluated(workspace, policy, right, bench=EVIL):
    """Scores of a policy that answers these of ten problems right."""
    names = [f"q{i}" for i in range(10)]
    texts = [rollout(name, 0, text=f"{policy.digest[0]} {name in right}") for name in names]
    answers = stored(workspace, texts, Rollout, producer={"policy": policy.digest})
    verdicts = stored(workspace, [grade(n, 0, i in right) for i, n in enumerate(names)], Grade, parents=[policy.digest])
    kept = {f"{bench}/greedy": {"rollouts": answers.to_json(), "grades": verdicts.to_json()}}

    def score(metric, value, error=None):
        return Score(
            benchmark=bench, metric=metric, value=value, standard_error=error, num_problems=10, num_samples=1
        )  # fmt: skip

    share = len(right) / 10
    rows = [score("greedy", share, (share * (1 - share) / 9) ** 0.5), score("truncated/greedy", 0.2)]
    return stored(workspace, rows, Score, {"generations": kept})


@pytest.fixture
def steps(tmp_path, workspace, model_folder):
    return Steps.of(small(tmp_path, model_folder, f"model={EVIL}"), workspace)


@pytest.fixture
def done(workspace, tmp_path):
    """Iteration 1: three problems, of which 4, 1 and 0 of 4 answers are right; two answers were cut."""
    rights = {"a": 4, "b": 1, "c": 0}
    answers = [rollout(name, i) for name in rights for i in range(4)]
    verdicts = [grade(name, i, i < right) for name, right in rights.items() for i in range(4)]
    start = checkpoint(tmp_path, "a")
    curve = [{"step": step, "loss": 1.0, "kl/old": step / 100, "sampler_gap_mean": 1e-6} for step in range(1, 21)]
    policy = checkpoint(tmp_path, "b", curve)
    counts = {"rollouts": 12, "right": 5, "wrong": 7, "unknown": 0, "truncated": 2}
    pair = Pair(
        prompt_id="b", prompt_ids=[1], chosen_index=0, rejected_index=1, chosen_ids=[2], rejected_ids=[3],
        chosen_logprobs=[-0.5], rejected_logprobs=[-0.5], chosen_reward=1.0, rejected_reward=0.0,
    )  # fmt: skip
    return Done(
        1,
        start,
        stored(workspace, answers, Rollout),
        stored(workspace, verdicts, Grade, counts),
        stored(workspace, [pair], Pair, {"prompts": 3, "all right": 1, EVIL: 1}),
        policy,
        evaluated(workspace, policy, right={0, 1, 2, 3, 4}),
    )


def before(workspace, policy, right):
    """The base policy's evaluation, as the campaign has recorded it."""
    scores = evaluated(workspace, policy, right)
    finished(workspace, "small", "base evaluate", {"stage": "evaluate", "answers": scores.digest}, scores)


def table(page, title):
    """Cells of the table under a heading, without its head."""
    section = page.split(f"## {title}\n", 1)[1].split("\n## ", 1)[0]
    rows = [line for line in section.splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


def test_accuracy_stands_beside_that_of_the_policy_before(steps, done, workspace):
    before(workspace, done.start, right={0, 1, 2})

    (row,) = table(markdown(steps, done, None), "Accuracy")

    # Of ten problems two are new: the differences are 1, 1 and eight times 0, their mean 0.2 and its error 0.1333.
    assert row[1:] == ["greedy", "10", "30.0 ± 15.3", "50.0 ± 16.7", "+20.0 ± 13.3, within noise", "20.0"]


def test_a_policy_that_was_not_evaluated_here_is_not_compared_with(steps, done, workspace, tmp_path):
    before(workspace, checkpoint(tmp_path, "c"), right={0, 1, 2})  # an earlier recipe of the same name

    page = markdown(steps, done, None)

    assert table(page, "Accuracy")[0][3:6] == ["", "50.0 ± 16.7", ""]
    assert "The policy before this iteration was not evaluated here." in page


def test_rows_pass_rates_drift_and_time(steps, done):
    steps.run.events.append(
        {"label": "iteration 1", "stage": "train", "cached": False, "seconds": 130.0, "children": [{"start_up": 7.25}]}
    )
    steps.run.events.append({"label": "iteration 1", "stage": "pair", "cached": True, "seconds": 0.1, "children": []})

    page = markdown(steps, done, "http://mlflow.example/#/experiments/1/runs/2")

    assert "3 problems, 12 answers: 5 right (41.7 %), 7 wrong (58.3 %), 0 no verdict (0.0 %), 2 cut" in page
    assert "1 pairs, 0.33 for each problem; not used: all right 1, " in page
    assert [row[:2] for row in table(page, "Rows")] == [["0", "1"], ["1", "1"], ["2", "0"], ["3", "0"], ["4", "1"]]
    assert table(page, "Drift") == [["kl/old", "0.01", "0.195"], ["sampler&#95;gap&#95;mean", "1e-06", "1e-06"]]
    assert table(page, "Time") == [
        ["iteration 1 · train", "2 min", "7.2 s"],
        ["iteration 1 · pair", "cached", "0.0 s"],
    ]
    assert "[the run of this iteration](http://mlflow.example/#/experiments/1/runs/2)" in page


def test_names_of_models_benchmarks_and_reasons_are_text(steps, done):
    page = markdown(steps, done, None)

    assert page.count("alert&#40;1&#41;") == 3  # the model, the benchmark, the reason
    assert not re.search(r"[<>]|javascript:|\]\(", page)


@pytest.fixture
def mirror(steps, workspace, monkeypatch):
    """To a tracking server that is away, which is no reason for anything."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    return Mirror(steps, Tracker(workspace))


def test_without_a_flow_run_nothing_is_worked_out(steps, done, mirror, monkeypatch):
    monkeypatch.setattr(summary, "markdown", lambda *_: pytest.fail("a page was made"))

    summary.publish(steps, done, mirror)


@pytest.mark.usefixtures("prefect_server")
def test_the_page_is_published_for_its_flow_and_a_failure_of_it_is_a_line(steps, done, mirror, monkeypatch, caplog):
    from prefect import flow
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey

    monkeypatch.setattr(summary.log, "handlers", [caplog.handler])

    @flow
    def iteration():
        summary.publish(steps, done, mirror)
        monkeypatch.setattr(summary, "_rows", lambda *_: 1 / 0)
        summary.publish(steps, done, mirror)

    iteration()

    wanted = ArtifactFilter(key=ArtifactFilterKey(any_=["small-iteration-1"]))
    with get_client(sync_client=True) as client:
        (kept,) = client.read_artifacts(artifact_filter=wanted)
    assert (kept.type, kept.description) == ("markdown", "small · iteration 1")
    assert kept.flow_run_id is not None
    assert str(kept.data).startswith("# small · iteration 1\n")
    assert "iteration 1 of small has no page in Prefect: division by zero" in caplog.text
