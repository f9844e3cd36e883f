"""Graded rollouts become rows: what may be learned from, what may not, and that nothing disappears uncounted."""

from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from task_examples import a_grade, a_rollout, stored

from artifacts import Accepted, Grade, Pair, Rollout
from tasks.pair import NoRows, accepted_of, pair, pairs_of, usable, why_none
from tasks.settings import Pairing


def graded(*verdicts, rewards=None, finish=None, prompt_id="p0"):
    """One prompt's rollouts with these verdicts; completion i holds the token 100 + i."""
    rows = []
    for i, correct in enumerate(verdicts):
        reward = None if correct is None else float(correct)
        reward = rewards[i] if rewards else reward
        rollout = a_rollout(prompt_id, i, ids=(100 + i, 1), finish=finish[i] if finish else "stop")
        rows.append((rollout, a_grade(prompt_id, i, correct=correct, reward=reward)))
    return rows


def indices(pairs):
    return [(pair.chosen_index, pair.rejected_index) for pair in pairs]


R, W, U = True, False, None


# --- golden cases ------------------------------------------------------------------------------------------------


def test_best_meets_worst_then_second_best_second_worst():
    rows = graded(R, W, R, W, rewards=[0.6, 0.1, 0.9, 0.3])

    made = pairs_of(rows, Pairing(pairs_per_prompt=3), Random(0))

    assert indices(made) == [(2, 1), (0, 3)]
    assert [(p.chosen_reward, p.rejected_reward) for p in made] == [(0.9, 0.1), (0.6, 0.3)]


def test_a_pair_carries_the_sampled_ids_and_log_probabilities_unchanged():
    rows = graded(W, R)

    (made,) = pairs_of(rows, Pairing(), Random(0))

    assert (made.prompt_id, made.prompt_ids) == ("p0", [2, 9])
    assert (made.chosen_ids, made.rejected_ids) == ([101, 1], [100, 1])
    assert (made.chosen_logprobs, made.rejected_logprobs) == (rows[1][0].logprobs, rows[0][0].logprobs)


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        ((R, R, R), "all right"),
        ((W, W), "all wrong"),
        ((U, U), "no verdict"),
        ((R, U), "no usable contrast"),
        ((R, W), "no usable contrast"),
    ],
)
def test_why_a_prompt_gave_no_row(verdicts, expected):
    assert why_none(graded(*verdicts)) == expected


@pytest.mark.parametrize("verdicts", [(R, R), (W, W), (R,), (W,), ()])
def test_without_contrast_there_is_no_pair(verdicts):
    assert pairs_of(graded(*verdicts), Pairing(), Random(0)) == []


def test_a_reward_that_prefers_the_wrong_answer_makes_no_pair():
    assert pairs_of(graded(R, W, rewards=[0.0, 1.0]), Pairing(), Random(0)) == []
    assert pairs_of(graded(R, W, rewards=[0.5, 0.5]), Pairing(), Random(0)) == []


def test_the_seed_rule_rejects_the_answer_without_a_box_before_the_boxed_wrong_one():
    rows = graded(R, W, W, rewards=[1.0, -0.5, -1.0])

    assert indices(pairs_of(rows, Pairing(), Random(0))) == [(0, 2)]


def test_ties_are_drawn_by_the_seed_and_not_by_position():
    rows = graded(R, R, R, R, W, W, W, W)

    drawn = Counter(indices(pairs_of(rows, Pairing(), Random(seed)))[0] for seed in range(1600))

    assert set(drawn) == {(c, r) for c in range(4) for r in range(4, 8)}
    assert max(drawn.values()) < 2 * min(drawn.values())


def test_accepted_answers_are_right_distinct_and_at_most_so_many():
    rows = graded(R, W, R, R, U, R)
    twin = (a_rollout("p0", 6, ids=rows[0][0].completion_ids), a_grade("p0", 6))

    for seed in range(20):
        kept = accepted_of([*rows, twin], Pairing(accepted_per_prompt=3, distinct=True), Random(seed))

        assert len(kept) == 3
        assert [row.sample_index for row in kept] == sorted(row.sample_index for row in kept)
        assert len({tuple(row.completion_ids) for row in kept}) == 3
        assert {row.sample_index for row in kept} <= {0, 2, 3, 5, 6}


def test_a_right_answer_that_was_sampled_twice_counts_twice_unless_only_distinct_ones_are_wanted():
    rows = graded(R, W, R)
    twin = (a_rollout("p0", 6, ids=rows[0][0].completion_ids), a_grade("p0", 6))

    as_sampled = accepted_of([*rows, twin], Pairing(accepted_per_prompt=None), Random(0))
    once = accepted_of([*rows, twin], Pairing(accepted_per_prompt=None, distinct=True), Random(0))

    assert [row.sample_index for row in as_sampled] == [0, 2, 6]
    assert len(once) == 2


def test_null_keeps_every_right_answer():
    rows = graded(R, W, R, R)

    kept = accepted_of(rows, Pairing(accepted_per_prompt=None), Random(0))

    assert [row.sample_index for row in kept] == [0, 2, 3]
    assert [row.completion_ids for row in kept] == [[100, 1], [102, 1], [103, 1]]
    assert kept[0].logprobs == rows[0][0].logprobs


# --- properties --------------------------------------------------------------------------------------------------

REWARDS = st.sampled_from([1.0, -0.5, -1.0, 0.0, 0.25])
ANSWER = st.tuples(
    st.sampled_from([R, W, U]), st.none() | REWARDS, st.sampled_from(["stop", "length"]), st.integers(0, 3)
)
PAIRINGS = st.builds(
    Pairing,
    pairs_per_prompt=st.integers(1, 4),
    accepted_per_prompt=st.none() | st.integers(1, 4),
    drop_truncated=st.booleans(),
    distinct=st.booleans(),
)


def group(answers, prompt_id="p0"):
    return [
        (
            a_rollout(prompt_id, i, ids=(100 + content, 1), finish=finish),
            a_grade(prompt_id, i, correct=correct, reward=reward),
        )
        for i, (correct, reward, finish, content) in enumerate(answers)
    ]


@given(answers=st.lists(ANSWER, max_size=10), pairing=PAIRINGS, seed=st.integers())
def test_whatever_the_rewards_say_a_pair_is_right_over_wrong(answers, pairing, seed):
    rows, counts = group(answers), Counter()
    known = {rollout.sample_index: (rollout, grade) for rollout, grade in rows}

    made = pairs_of(usable(rows, pairing, counts), pairing, Random(seed))

    used = [index for each in made for index in (each.chosen_index, each.rejected_index)]
    assert len(used) == len(set(used))  # no answer twice
    assert len(made) <= pairing.pairs_per_prompt
    for each in made:
        (chosen, good), (rejected, bad) = known[each.chosen_index], known[each.rejected_index]
        assert good.correct is True
        assert bad.correct is False
        assert each.chosen_reward == good.reward > bad.reward == each.rejected_reward
        assert each.chosen_ids == chosen.completion_ids
        assert each.rejected_ids == rejected.completion_ids
        if pairing.drop_truncated:
            assert chosen.finish_reason == rejected.finish_reason == "stop"


@given(answers=st.lists(ANSWER, max_size=10), pairing=PAIRINGS)
def test_an_answer_is_usable_or_counted_never_both(answers, pairing):
    rows, counts = group(answers), Counter()

    kept = usable(rows, pairing, counts)

    assert len(kept) + sum(counts.values()) == len(rows)
    assert counts["answers: no verdict"] == sum(1 for _, g in rows if g.correct is None or g.reward is None)
    if not pairing.drop_truncated:
        assert "answers: truncated" not in counts


@given(answers=st.lists(ANSWER, max_size=10), pairing=PAIRINGS, seed=st.integers())
def test_accepted_answers_are_always_right_and_as_many_as_asked_for(answers, pairing, seed):
    rows, counts = group(answers), Counter()
    candidates = usable(rows, pairing, counts)

    kept = accepted_of(candidates, pairing, Random(seed))

    right = [tuple(r.completion_ids) for r, g in candidates if g.correct]
    right = list(dict.fromkeys(right)) if pairing.distinct else right
    texts = [tuple(row.completion_ids) for row in kept]
    assert len(texts) == min(len(right), pairing.accepted_per_prompt or len(right))
    assert not Counter(texts) - Counter(right)


@given(answers=st.lists(ANSWER, max_size=10), pairing=PAIRINGS, seed=st.integers())
def test_the_same_seed_makes_the_same_rows(answers, pairing, seed):
    rows = usable(group(answers), pairing, Counter())

    for build in (pairs_of, accepted_of):
        assert build(rows, pairing, Random(seed)) == build(list(rows), pairing, Random(seed))


# --- the stage ---------------------------------------------------------------------------------------------------


def tables(run, *groups):
    rows = [row for group in groups for row in group]
    store = run.workspace.store
    return stored(store, [r for r, _ in rows], Rollout), stored(store, [g for _, g in rows], Grade)


def made(run, groups, pairing=None, rows="pairs", seed=0):
    rollouts, grades = tables(run, *groups)
    return pair.fn(rollouts, grades, pairing or Pairing(), rows, seed, run)


def a_campaign():
    """Ten prompts of every kind."""
    kinds = ["RWW", "RRR", "WWW", "UUU", "RWU", "RUU", "WRR", "WWU", "RRW", "RWR"]
    meaning = {"R": R, "W": W, "U": U}
    return [graded(*(meaning[letter] for letter in kind), prompt_id=f"p{i}") for i, kind in enumerate(kinds)]


@pytest.mark.parametrize("rows", ["pairs", "accepted"])
def test_prompts_with_and_without_rows_add_up(run, rows):
    ref = made(run, a_campaign(), rows=rows)

    summary = run.workspace.store.manifest(ref).summary
    with_rows = len({row.prompt_id for row in run.workspace.store.read(ref, Pair if rows == "pairs" else Accepted)})
    without = sum(summary.get(why, 0) for why in ("all right", "all wrong", "no verdict", "no usable contrast"))
    assert with_rows + without == summary["prompts"] == 10
    assert with_rows == {"pairs": 5, "accepted": 7}[rows]
    assert summary["answers: no verdict"] == 7


def test_the_table_depends_on_the_seed_and_on_nothing_else(run):
    groups = [graded(R, R, R, W, W, W, prompt_id=f"p{i}") for i in range(20)]

    first, again, other = (made(run, groups, seed=seed) for seed in (1, 1, 2))

    assert first == again
    assert first.digest != other.digest


def test_one_prompts_draw_does_not_depend_on_the_others(run):
    groups = [graded(R, R, R, W, W, W, prompt_id=f"p{i}") for i in range(20)]

    every, some = (list(run.workspace.store.read(made(run, part), Pair)) for part in (groups, groups[10:]))

    assert every[10:] == some


def test_prompts_do_not_share_one_draw(run):
    groups = [graded(R, R, R, R, W, W, W, W, prompt_id=f"p{i}") for i in range(30)]

    pairs = list(run.workspace.store.read(made(run, groups), Pair))

    assert len(set(indices(pairs))) > 8


def test_truncated_answers_become_rows_only_when_asked_for(run):
    groups = [graded(R, W, finish=["stop", "length"]), graded(R, W, prompt_id="p1")]

    strict = list(run.workspace.store.read(made(run, groups), Pair))
    lenient = list(run.workspace.store.read(made(run, groups, Pairing(drop_truncated=False)), Pair))

    assert [row.prompt_id for row in strict] == ["p1"]
    assert [row.prompt_id for row in lenient] == ["p0", "p1"]
    assert lenient[0].rejected_ids == [101, 1]  # exactly as sampled


def test_rows_remember_where_they_come_from(run):
    rollouts, grades = tables(run, *a_campaign())

    ref = pair.fn(rollouts, grades, Pairing(pairs_per_prompt=2), "pairs", 5, run)

    manifest = run.workspace.store.manifest(ref)
    assert set(manifest.parents) == {rollouts.digest, grades.digest}
    assert manifest.producer["pairing"]["pairs_per_prompt"] == 2
    assert manifest.producer["seed"] == 5


@pytest.mark.parametrize(
    ("verdicts", "change"),
    [((R, R), "too easy: use harder ones, or raise sample.temperature"), ((W, W), "too hard or the answer format")],
)
def test_an_empty_table_is_an_error_that_says_what_to_change(run, verdicts, change):
    groups = [graded(*verdicts, prompt_id=f"p{i}") for i in range(3)]
    rollouts, grades = tables(run, *groups)

    with pytest.raises(NoRows) as caught:
        pair.fn(rollouts, grades, Pairing(), "pairs", 0, run)

    assert "no pairs from 3 prompts" in str(caught.value)
    assert change in str(caught.value)
    assert rollouts.path in str(caught.value)


def test_answers_that_are_all_cut_off_ask_for_more_tokens(run):
    with pytest.raises(NoRows, match=r"answers: truncated 2.*raise sample\.max_tokens"):
        made(run, [graded(R, W, finish=["length", "length"])])


def test_verdicts_that_are_all_unknown_point_to_the_references(run):
    with pytest.raises(NoRows, match=r"no verdict 1\).*check the reference answers"):
        made(run, [graded(U, U)])


def test_grades_of_other_rollouts_are_refused(run):
    rollouts, _ = tables(run, graded(R, W), graded(R, W, prompt_id="p1"))
    _, grades = tables(run, graded(W, R, prompt_id="q0"), graded(W, R, prompt_id="q1"))

    with pytest.raises(ValueError, match="grade"):
        pair.fn(rollouts, grades, Pairing(), "pairs", 0, run)
