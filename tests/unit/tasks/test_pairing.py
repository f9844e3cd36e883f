"""Graded rollouts become rows: what may be learned from, what may not, and that nothing disappears uncounted."""

import json
from collections import Counter
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from task_examples import a_grade, a_rollout, stored

from artifacts import Accepted, Grade, Group, Pair, Rollout
from tasks.pair import pair
from tasks.pairing.accepted import accepted_of
from tasks.pairing.advice import NoRows
from tasks.pairing.answers import OUT_OF_BAND, usable, why_none
from tasks.pairing.groups import ONE_ANSWER, UNIFORM, groups_of
from tasks.pairing.pairs import pairs_of
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
GOLDEN = json.loads((Path(__file__).parents[2] / "golden" / "objective_vectors.json").read_text(encoding="utf-8"))


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


def test_the_rules_reject_the_worst_any_or_the_hardest():
    rows = graded(R, W, W, W, rewards=[1.0, -1.0, -0.5, 0.5])

    def rejected(rule):
        return {indices(pairs_of(rows, Pairing(rule=rule), Random(seed)))[0] for seed in range(60)}

    assert rejected("max_min") == {(0, 1)}
    assert rejected("max_max") == {(0, 3)}
    assert rejected("max_random") == {(0, 1), (0, 2), (0, 3)}


def test_a_price_on_length_prefers_the_short_right_and_rejects_the_long_wrong_answer():
    rows = [
        (a_rollout("p0", i, ids=[7] * tokens), a_grade("p0", i, correct=right, reward=float(right)))
        for i, (right, tokens) in enumerate([(R, 9), (R, 3), (W, 4), (W, 12)])
    ]
    pairing = Pairing(rule="max_min_length", length_penalty=0.01, pairs_per_prompt=2)

    assert indices(pairs_of(rows, pairing, Random(0))) == [(1, 3), (0, 2)]


def test_a_margin_drops_pairs_that_are_hardly_apart_and_counts_them():
    rows, counts = graded(R, R, W, W, rewards=[1.0, 0.6, 0.5, 0.0]), Counter()

    made = pairs_of(rows, Pairing(pairs_per_prompt=2, min_margin=0.5), Random(0), counts)

    assert indices(made) == [(0, 3)]
    assert counts == {"pairs: margin below min_margin": 1}


def test_the_guard_can_be_taken_off_and_the_reward_then_decides():
    vector = GOLDEN["iterative_dpo_pairs"]
    pairing = Pairing(right_over_wrong=False)
    made, dropped = [], []

    for prompt in vector["inputs"]["rows"]:
        rows = graded(*[W] * len(prompt["rewards"]), rewards=prompt["rewards"], prompt_id=prompt["prompt"])
        found = pairs_of(rows, pairing, Random(0))
        made += [(p.prompt_id, p.chosen_reward - p.rejected_reward) for p in found]
        dropped += [] if found else [prompt["prompt"]]

    assert made == [(pair["prompt"], pair["margin"]) for pair in vector["expected"]["pairs"]]
    assert dropped == vector["expected"]["dropped_prompts"]


def test_without_the_guard_no_answer_is_used_twice():
    rows = graded(W, W, W, W, W, rewards=[0.1, 0.2, 0.3, 0.4, 0.5])

    made = pairs_of(rows, Pairing(right_over_wrong=False, pairs_per_prompt=4), Random(0))

    assert indices(made) == [(4, 0), (3, 1)]


def test_repeats_are_dropped_as_in_the_published_filter():
    vector = GOLDEN["rft_filter"]
    texts = sorted({row["text"] for row in vector["inputs"]["rows"]})
    kept = []
    for prompt in ("p", "q"):
        rows = [
            (
                a_rollout(prompt, row["id"], ids=[texts.index(row["text"])]),
                a_grade(prompt, row["id"], correct=row["reward"] == 1),
            )
            for row in vector["inputs"]["rows"]
            if row["prompt"] == prompt
        ]
        found = accepted_of(rows, Pairing(accepted_per_prompt=None, distinct=True), Random(0))
        kept += [rows[[r.sample_index for r, _ in rows].index(a.sample_index)][0].completion_ids for a in found]

    expected = [texts.index(vector["inputs"]["rows"][i]["text"]) for i in vector["expected"]["accepted_ids"]]
    assert sorted(ids[0] for ids in kept) == sorted(expected)


def test_the_best_by_reward_is_accepted_and_ties_are_drawn():
    vector = GOLDEN["raft_select"]
    rewards = vector["inputs"]["rewards"]["p0"]
    rows = graded(*[R] * len(rewards), rewards=rewards)

    drawn = {accepted_of(rows, Pairing(accept="best"), Random(seed))[0].sample_index for seed in range(40)}

    assert drawn == {1, 2}  # both have the highest reward; the first alone would be a bias by position


def test_what_accepting_leaves_out_is_counted():
    counts = Counter()

    accepted_of(graded(R, R, R, W), Pairing(accepted_per_prompt=1), Random(0), counts)

    assert +counts == {"answers: right, beyond accepted_per_prompt": 2}


# --- groups ------------------------------------------------------------------------------------------------------


def grouped(rows, counts=None, **options):
    return groups_of(rows, Pairing(**{"advantage": "standardised", **options}), counts)


def test_a_group_keeps_every_answer_as_sampled_with_its_advantage_on_every_token():
    rows = graded(R, W, W, rewards=[1.0, 0.0, 0.0])

    made = grouped(rows)

    assert [row.sample_index for row in made] == [0, 1, 2]
    assert [row.completion_ids for row in made] == [rollout.completion_ids for rollout, _ in rows]
    assert [row.logprobs for row in made] == [rollout.logprobs for rollout, _ in rows]
    assert [(row.correct, row.reward) for row in made] == [(True, 1.0), (False, 0.0), (False, 0.0)]
    assert made[0].advantages == pytest.approx([1.154500573] * 2)
    assert {row.pass_rate for row in made} == {1 / 3}


def test_groups_of_equal_rewards_are_kept_and_counted_or_dropped():
    counts = Counter()

    kept, dropped = (grouped(graded(W, W), counts, uniform_groups=which) for which in ("keep", "drop"))

    assert [row.advantages for row in kept] == [[0.0, 0.0]] * 2
    assert dropped == UNIFORM
    assert counts == {"kept: groups of equal rewards": 1}


def test_one_answer_alone_is_no_group_where_answers_are_compared():
    assert grouped(graded(R)) == ONE_ANSWER
    assert len(grouped(graded(R), advantage="positive")) == 1


def test_groups_without_a_recipe_are_refused():
    with pytest.raises(ValueError, match=r"pair\.advantage is not set"):
        groups_of(graded(R, W), Pairing())


# --- properties --------------------------------------------------------------------------------------------------

REWARDS = st.sampled_from([1.0, -0.5, -1.0, 0.0, 0.25])
ANSWER = st.tuples(
    st.sampled_from([R, W, U]), st.none() | REWARDS, st.sampled_from(["stop", "length"]), st.integers(0, 3)
)
PAIRINGS = st.builds(
    Pairing,
    rule=st.sampled_from(["max_min", "max_random", "max_max", "max_min_length"]),
    length_penalty=st.sampled_from([0.0, 0.01]),
    min_margin=st.sampled_from([0.0, 0.3]),
    accept=st.sampled_from(["drawn", "best"]),
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


REASONS = ("all right", "all wrong", "no verdict", "no usable contrast", OUT_OF_BAND, UNIFORM, ONE_ANSWER)


@pytest.mark.parametrize(
    ("rows", "options", "expected"),
    [
        ("pairs", {}, 5),
        ("pairs", {"min_pass_rate": 0.5, "max_pass_rate": 0.6}, 1),
        ("accepted", {}, 7),
        ("groups", {"advantage": "centred"}, 8),
        ("groups", {"advantage": "centred", "uniform_groups": "drop"}, 5),
        ("groups", {"advantage": "whitened"}, 9),
    ],
)
def test_prompts_with_and_without_rows_add_up(run, rows, options, expected):
    ref = made(run, a_campaign(), Pairing(**options), rows=rows)

    summary = run.workspace.store.manifest(ref).summary
    kind = {"pairs": Pair, "accepted": Accepted, "groups": Group}[rows]
    with_rows = len({row.prompt_id for row in run.workspace.store.read(ref, kind)})
    without = sum(summary.get(why, 0) for why in REASONS)
    assert with_rows + without == summary["prompts"] == 10
    assert with_rows == expected
    assert summary["answers: no verdict"] == 7


def test_the_published_band_of_pass_rates_keeps_the_published_prompts(run):
    vector = GOLDEN["light_r1_filters"]
    rates = {row["id"]: round(row["pass"] * 8) for row in vector["inputs"]["rows"]}
    groups = [graded(*[R] * n, *[W] * (8 - n), prompt_id=name) for name, n in rates.items()]
    pairing = Pairing(advantage="standardised", min_pass_rate=0.2, max_pass_rate=0.625)

    kept = run.workspace.store.read(made(run, groups, pairing, "groups"), Group)

    assert sorted({row.prompt_id for row in kept}) == vector["expected"]["grpo_ids"]


def test_whitened_advantages_are_of_all_tokens_of_the_table(run):
    groups = [graded(R, W, W, prompt_id="p0"), graded(R, R, W, W, prompt_id="p1")]

    rows = list(run.workspace.store.read(made(run, groups, Pairing(advantage="whitened"), "groups"), Group))

    values = [value for row in rows for value in row.advantages]
    assert sum(values) == pytest.approx(0, abs=1e-5)
    assert sum(value**2 for value in values) / len(values) == pytest.approx(1, abs=1e-5)
    assert {row.prompt_id for row in rows} == {"p0", "p1"}


@pytest.mark.parametrize("rows", ["pairs", "accepted", "groups"])
def test_rows_know_how_often_their_prompt_is_solved(run, rows):
    groups = [graded(R, W, W, U, finish=["stop", "stop", "length", "stop"])]

    ref = made(run, groups, Pairing(advantage="reward"), rows)

    kind = {"pairs": Pair, "accepted": Accepted, "groups": Group}[rows]
    assert {row.pass_rate for row in run.workspace.store.read(ref, kind)} == {1 / 3}


@pytest.mark.parametrize("reward", [float("nan"), float("inf")])
@pytest.mark.parametrize("rows", ["pairs", "accepted", "groups"])
def test_a_reward_that_is_no_number_is_refused(run, rows, reward):
    groups = [graded(R, W, rewards=[1.0, reward])]

    with pytest.raises(
        ValueError, match=r"the reward of prompt p0, sample 1 is (nan|inf): a reward is a finite number"
    ):
        made(run, groups, Pairing(advantage="reward"), rows)


@pytest.mark.parametrize(
    ("options", "advice"),
    [
        ({"min_pass_rate": 0.9}, "pass rate outside the band 3.*widen pair.min_pass_rate"),
        ({"min_margin": 5.0}, "margin below min_margin 3.*lower pair.min_margin"),
    ],
)
def test_filters_that_leave_nothing_are_named_with_their_counts(run, options, advice):
    groups = [graded(R, W, prompt_id=f"p{i}") for i in range(3)]

    with pytest.raises(NoRows, match=advice):
        made(run, groups, Pairing(**options))


def test_uniform_groups_that_leave_nothing_are_named(run):
    groups = [graded(W, W, prompt_id=f"p{i}") for i in range(2)]

    with pytest.raises(NoRows, match=r"no groups from 2 prompts \(dropped: equal rewards 2\).*uniform_groups=keep"):
        made(run, groups, Pairing(advantage="centred", uniform_groups="drop"), "groups")


def test_a_band_without_width_below_zero_is_refused():
    with pytest.raises(ValueError, match=r"min_pass_rate 0\.8 is above pair\.max_pass_rate 0\.2"):
        Pairing(min_pass_rate=0.8, max_pass_rate=0.2)


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
