"""Benchmark scores against a brute-force count over hand-made answers."""

import json
import math
from itertools import combinations
from statistics import mean, stdev

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from task_examples import a_prompt, a_rollout, stored

from artifacts import Grade, Ref, Rollout, Score
from tasks.evaluate import evaluate
from tasks.settings import Benchmark, Decoding, Evaluation, Sampling

GOLD = "7"
UNREADABLE = "\\frac{1}{"


def answers_of(rows):
    """Rollouts of {problem: [(answer, finish reason), ...]}; the answer is boxed."""
    return [
        a_rollout(name, i, text=f"\\boxed{{{answer}}}", ids=(5,) * (i + 1), finish=finish)
        for name, answers in rows.items()
        for i, (answer, finish) in enumerate(answers)
    ]


def scored(run, rows, *, samples, problems=None, golds=None, greedy=False):
    """Scores by metric, the reference of the scores, and the kept grades."""
    problems = problems or list(rows)
    store = run.workspace.store
    prompts = stored(store, [a_prompt(name, answers=[(golds or {}).get(name, GOLD)]) for name in problems])
    rollouts = stored(store, answers_of(rows), Rollout)
    decoding = Decoding(benchmark="exam", samples=samples, greedy=greedy)
    ref = evaluate.fn({decoding.key: rollouts}, {"exam": prompts}, [decoding], run)
    kept = store.manifest(ref).summary["generations"][decoding.key]
    grades = list(store.read(Ref.from_json(kept["grades"]), Grade))
    return {row.metric: row for row in store.read(ref, Score)}, grades, kept


def done(*answers):
    return [(answer, "stop") for answer in answers]


def brute_pass(rights, k):
    """Over all choices of k samples of each problem: the share with a right one."""
    return mean(mean(any(choice) for choice in combinations(right, k)) for right in rights)


def test_scores_are_what_counting_gives(run):
    rows = {
        "p0": done("7", "7", "8", "7"),
        "p1": done("8", "9", "8", "7"),
        "p2": done("1", "1", "2", "2"),
        "p3": done("7", "7", "7", "7"),
    }
    rights = [[answer == GOLD for answer, _ in answers] for answers in rows.values()]

    scores, _, _ = scored(run, rows, samples=4)

    shares = [mean(right) for right in rights]
    assert scores["mean@4"].value == pytest.approx(mean(shares))
    assert scores["mean@4"].standard_error == pytest.approx(stdev(shares) / 2)
    assert scores["pass@2"].value == pytest.approx(brute_pass(rights, 2))
    assert scores["pass@4"].value == pytest.approx(3 / 4)
    assert scores["maj@4"].value == pytest.approx(2 / 4)  # p1 votes 8, p2 is wrong either way
    # Over the pairs of samples: 7 7 three times and 7 8 three times; one right answer in three ties; none; all.
    assert scores["maj@2"].value == pytest.approx(mean([3 / 4, 1 / 4, 0, 1]))
    assert scores["mean_tokens"].value == pytest.approx(2.5)
    assert {name: scores[name].value for name in ("truncated", "no_verdict", "too_long")} == {
        "truncated": 0, "no_verdict": 0, "too_long": 0,
    }  # fmt: skip
    assert {(row.num_problems, row.num_samples, row.benchmark) for row in scores.values()} == {(4, 4, "exam")}


VERDICTS = st.lists(st.lists(st.booleans(), min_size=4, max_size=4), min_size=2, max_size=6)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rights=VERDICTS)
def test_any_pattern_of_right_and_wrong_gives_the_counted_scores(run, rights):
    rows = {f"p{i}": done(*(GOLD if right else "8" for right in row)) for i, row in enumerate(rights)}

    scores, _, _ = scored(run, rows, samples=4)

    assert scores["mean@4"].value == pytest.approx(mean(mean(row) for row in rights))
    for k in (2, 4):
        assert scores[f"pass@{k}"].value == pytest.approx(brute_pass(rights, k))
        votes = [
            mean(mean([sum(drawn) * 2 > k, sum(drawn) * 2 >= k]) for drawn in combinations(row, k))  # a tie is half
            for row in rights
        ]
        assert scores[f"maj@{k}"].value == pytest.approx(mean(votes))


def test_a_truncated_answer_is_wrong_although_its_box_is_right(run):
    rows = {"p0": [("7", "length"), ("7", "stop")], "p1": [("7", "length"), ("7", "length")]}

    scores, grades, _ = scored(run, rows, samples=2)

    assert scores["mean@2"].value == pytest.approx(1 / 4)
    assert scores["pass@2"].value == pytest.approx(1 / 2)
    assert scores["maj@2"].value == pytest.approx(1 / 2)
    assert scores["truncated"].value == pytest.approx(3 / 4)
    assert [(g.correct, g.answer) for g in grades] == [(False, None), (True, "7"), (False, None), (False, None)]
    assert grades[0].reward == 0


def test_problems_that_got_no_answer_count_as_not_solved(run):
    rows = {"p1": done("7", "7")}

    scores, _, _ = scored(run, rows, samples=2, problems=["p0", "p1", "p2", "p3"])

    assert scores["mean@2"].value == pytest.approx(1 / 4)
    assert scores["pass@2"].value == pytest.approx(1 / 4)
    assert scores["maj@2"].value == pytest.approx(1 / 4)
    assert scores["too_long"].value == 3
    assert scores["mean@2"].num_problems == 4


def test_a_problem_without_a_verdict_is_left_out_and_counted(run):
    rows = {"p0": done("7", "7"), "p1": done("7", "8"), "p2": done("7", "7")}

    scores, grades, _ = scored(run, rows, samples=2, golds={"p2": UNREADABLE})

    assert [g.correct for g in grades][-2:] == [None, None]
    assert scores["mean@2"].value == pytest.approx(3 / 4)
    assert scores["pass@2"].value == pytest.approx(1)
    assert scores["no_verdict"].value == 2


def test_a_score_says_over_how_many_problems_it_averages(run):
    rows = {"p0": done("7", "7"), "p1": done("7", "8"), "p2": done("7", "7")}

    scores, _, _ = scored(run, rows, samples=2, golds={"p2": UNREADABLE})

    assert scores["mean@2"].num_problems == 2


def test_greedy_scores_have_their_own_names_and_no_votes(run):
    scores, _, _ = scored(run, {"p0": done("7"), "p1": done("8")}, samples=1, greedy=True)

    assert scores["greedy"].value == 0.5
    assert set(scores) == {"greedy", "mean_tokens/greedy", "truncated/greedy", "no_verdict/greedy", "too_long/greedy"}


def test_one_problem_has_no_standard_error(run):
    scores, _, _ = scored(run, {"p0": done("7", "8")}, samples=2)

    assert scores["mean@2"].standard_error is None


def test_several_decodings_go_into_one_table_with_their_answers_kept(run):
    store = run.workspace.store
    prompts = stored(store, [a_prompt("p0", answers=[GOLD])])
    decodings = [Decoding(benchmark="exam", samples=n, greedy=n == 1) for n in (1, 2)]
    answers = {
        "exam/greedy": stored(store, answers_of({"p0": done("7")})),
        "exam/sampled": stored(store, answers_of({"p0": done("8", "8")})),
    }

    ref = evaluate.fn(answers, {"exam": prompts}, decodings, run)

    values = {row.metric: row.value for row in store.read(ref, Score)}
    kept = store.manifest(ref).summary["generations"]
    assert (values["greedy"], values["mean@2"]) == (1, 0)
    assert {key: Ref.from_json(kept[key]["rollouts"]) for key in kept} == answers
    assert all(math.isfinite(value) for value in values.values())
    json.dumps(kept)


def test_curves_run_over_powers_of_two_and_all_samples(run):
    scores, _, _ = scored(run, {"p0": done(*"777777"), "p1": done(*"888888")}, samples=6)

    assert [name for name in scores if name.startswith(("pass@", "maj@"))] == [
        "pass@2", "maj@2", "pass@4", "maj@4", "pass@6", "maj@6",
    ]  # fmt: skip


def test_a_tolerance_of_ones_own_reaches_the_verdicts(run):
    store = run.workspace.store
    prompts = stored(store, [a_prompt("p0", answers=["10.5"])])
    rollouts = stored(store, answers_of({"p0": done("10.8")}), Rollout)

    def score(tolerance):
        decoding = Decoding(benchmark="exam", samples=1, greedy=True, relative_tolerance=tolerance)
        ref = evaluate.fn({decoding.key: rollouts}, {"exam": prompts}, [decoding], run)
        return {row.metric: row.value for row in store.read(ref, Score)}["greedy"]

    assert (score(None), score(0.05)) == (0, 1)


# --- which decodings an evaluation asks for ----------------------------------------------------------------------


def test_decodings_differ_from_training_samples_only_in_what_the_benchmark_says():
    sampling = Sampling(temperature=1.2, top_p=0.9, max_tokens=100, dtype="float32", shard_prompts=5)
    evaluation = Evaluation(
        benchmarks=(
            Benchmark(name="a", samples=4, temperature=0.6, top_p=0.95),
            Benchmark(name="b", samples=2, greedy=False),
        )
    )

    found = {decoding.key: (decoding, settings) for decoding, settings in evaluation.decodings(sampling)}

    assert set(found) == {"a/greedy", "a/sampled", "b/sampled"}
    common = {"max_tokens": 100, "overlong_prompts": "drop", "dtype": "float32", "shard_prompts": 5}
    expected = {
        "a/greedy": {"samples_per_prompt": 1, "temperature": 0.0, "top_p": 1.0},
        "a/sampled": {"samples_per_prompt": 4, "temperature": 0.6, "top_p": 0.95},
        "b/sampled": {"samples_per_prompt": 2, "temperature": 1.0, "top_p": 1.0},
    }
    for key, (decoding, made) in found.items():
        assert made == Sampling(**common, **expected[key])
        assert decoding.samples == expected[key]["samples_per_prompt"]


def test_an_evaluation_may_allow_longer_answers_than_training():
    ((_, made),) = Evaluation(benchmarks=(Benchmark(name="a"),), max_tokens=999).decodings(Sampling(max_tokens=10))

    assert made.max_tokens == 999


def test_a_benchmark_of_ones_own_stands_in_one_place():
    with pytest.raises(ValueError, match="give either `source` or `data_dir`, not both"):
        Benchmark(name="mine", source={"path": "mine.jsonl"}, data_dir="here")


def test_the_tolerance_of_a_benchmark_goes_with_its_decodings():
    evaluation = Evaluation(benchmarks=(Benchmark(name="a", samples=2, relative_tolerance=0.01),))

    assert [made.relative_tolerance for made, _ in evaluation.decodings(Sampling())] == [0.01, 0.01]
