"""The grading stage on real answers: right, wrong, unknown; counted; and the control that must destroy the signal."""

from collections import Counter

import pytest
from task_examples import a_prompt, a_rollout, stored

from artifacts import Grade
from tasks.grade import grade
from tasks.settings import Grading

CASES = [  # prompt, answers to it, verdicts
    ("p0", ["7"], ["so \\boxed{7}", "\\boxed{8}", "it is 7", "\\boxed{14/2}"], [True, False, False, True]),
    ("p1", ["\\frac{1}{2}"], ["\\boxed{0.5}", "", "\\boxed{}"], [True, False, False]),
    ("p2", ["\\frac{1}{"], ["\\boxed{7}", "\\boxed{\\frac{1}{2}}"], [None, None]),
    ("p3", ["3", "4"], ["\\boxed{4}", "\\boxed{5}"], [True, False]),
]


@pytest.fixture
def tables(run):
    prompts = [a_prompt(name, answers=answers) for name, answers, _, _ in CASES]
    rollouts = [
        a_rollout(name, i, text=text, ids=(5,) * (i + 1), finish="length" if text == "" else "stop")
        for name, _, texts, _ in CASES
        for i, text in enumerate(texts)
    ]
    return stored(run.workspace.store, rollouts), stored(run.workspace.store, prompts)


def grades_of(run, tables, seed=0, **options):
    ref = grade.fn(*tables, Grading(**options), seed, run)
    return ref, list(run.workspace.store.read(ref, Grade))


def test_every_rollout_gets_its_verdict_in_its_place(run, tables):
    _, rows = grades_of(run, tables)

    assert [(row.prompt_id, row.sample_index) for row in rows] == [
        (name, i) for name, _, texts, _ in CASES for i in range(len(texts))
    ]
    assert [row.correct for row in rows] == [verdict for *_, verdicts in CASES for verdict in verdicts]
    for row in rows:
        assert row.reward == (None if row.correct is None else float(row.correct))
        assert row.reason


def test_a_prompt_without_a_reference_gives_no_verdict(run):
    prompts = stored(run.workspace.store, [a_prompt("p0", answers=[])])
    rollouts = stored(run.workspace.store, [a_rollout("p0", 0)])

    _, rows = grades_of(run, (rollouts, prompts))

    assert [(row.correct, row.reward) for row in rows] == [(None, None)]


def test_the_counts_add_up(run, tables):
    ref, rows = grades_of(run, tables)

    summary = run.workspace.store.manifest(ref).summary
    assert (summary["right"], summary["wrong"], summary["unknown"]) == (4, 5, 2)
    assert summary["rollouts"] == len(rows) == 11
    assert sum(number for name, number in summary.items() if name.startswith("reason/")) == 11
    assert summary["tokens"] == sum(i + 1 for *_, verdicts in CASES for i in range(len(verdicts)))
    assert summary["truncated"] == 1


def test_another_reward_changes_the_rewards_and_not_the_verdicts(run, tables):
    _, plain = grades_of(run, tables)
    _, seeded = grades_of(run, tables, reward="seed_rule")

    assert [row.correct for row in seeded] == [row.correct for row in plain]
    assert [row.reward for row in seeded] == [1, -0.5, -1, 1, 1, -1, -1, None, None, 1, -0.5]


def test_prompts_that_were_dropped_while_sampling_are_stepped_over(run):
    prompts = stored(run.workspace.store, [a_prompt(f"p{i}", answers=[str(i)]) for i in range(4)])
    rollouts = stored(run.workspace.store, [a_rollout(f"p{i}", 0, text=f"\\boxed{{{i}}}") for i in (1, 3)])

    _, rows = grades_of(run, (rollouts, prompts))

    assert [row.correct for row in rows] == [True, True]


def test_processes_give_the_verdicts_of_one(run, tables):
    from dataclasses import replace

    from tasks.machine import Machine

    alone, _ = grades_of(run, tables)
    several, _ = grades_of(replace(run, machine=Machine(grade_workers=2)), tables)

    assert several == alone


# --- the negative control ----------------------------------------------------------------------------------------


@pytest.fixture
def many(run):
    """60 prompts, 4 answers each, right by a fixed pattern."""
    prompts = [a_prompt(f"p{i}", answers=[str(i)]) for i in range(60)]
    texts = [(f"p{i}", j, f"\\boxed{{{i if (i + j) % 3 else 999}}}") for i in range(60) for j in range(4)]
    rollouts = [a_rollout(name, j, text=text, ids=(5, j)) for name, j, text in texts]
    return stored(run.workspace.store, rollouts), stored(run.workspace.store, prompts)


def test_shuffling_keeps_all_verdicts_and_every_place_but_not_who_gets_which(run, many):
    _, plain = grades_of(run, many)
    ref, shuffled = grades_of(run, many, shuffle=True)

    def verdict(row):
        return (row.correct, row.reward, row.reason, row.answer)

    assert Counter(map(verdict, shuffled)) == Counter(map(verdict, plain))
    assert [(r.prompt_id, r.sample_index) for r in shuffled] == [(r.prompt_id, r.sample_index) for r in plain]
    moved = sum(a.answer != b.answer for a, b in zip(plain, shuffled, strict=True))
    assert moved > 200
    agree = sum(a.correct == b.correct for a, b in zip(plain, shuffled, strict=True)) / len(plain)
    share = sum(bool(row.correct) for row in plain) / len(plain)
    assert agree == pytest.approx(share**2 + (1 - share) ** 2, abs=0.12)  # what chance gives
    assert run.workspace.store.manifest(ref).summary["right"] == sum(bool(row.correct) for row in plain)


def test_the_shuffle_is_drawn_by_the_seed(run, many):
    (first, _), (again, _), (other, _) = (grades_of(run, many, seed=s, shuffle=True) for s in (1, 1, 2))

    assert first == again
    assert first.digest != other.digest
