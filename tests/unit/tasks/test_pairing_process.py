"""Process supervision: which tokens a step ends with, what its reward says of each token, and what is refused."""

import json
import statistics
import sys
import types
from collections import Counter
from dataclasses import replace
from itertools import accumulate
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from task_examples import a_grade, a_rollout, stored

from artifacts import Grade, Group, Rollout
from eval_math.process.steps import split
from tasks.pair import pair
from tasks.pairing import process
from tasks.pairing.advantages import advantages
from tasks.pairing.advice import NoRows
from tasks.pairing.groups import ONE_ANSWER, UNIFORM, groups_of
from tasks.pairing.process import Steps, process_advantages, steps_of
from tasks.settings import Pairing

GOLDEN = json.loads((Path(__file__).parents[2] / "golden" / "objective_vectors.json").read_text(encoding="utf-8"))
RIGHT = "Step 1: 2+3=5\nStep 2: 5*2=10\nStep 3: so \\boxed{10}"
SLIPS = "Step 1: 2+3=6\nStep 2: 6*2=12\nStep 3: so \\boxed{12}"
END = 1000
PROCESS = Pairing(advantage="process")
ANSWERS = st.lists(
    st.integers(1, 12).flatmap(
        lambda length: st.tuples(
            st.just(length),
            st.lists(st.tuples(st.integers(-1, length - 1), st.sampled_from([0.0, 0.3, 1.0])), max_size=5),
        )
    ),
    min_size=1,
    max_size=5,
)


def decode(ids):
    """One character per token."""
    return "".join("<eos>" if token == END else chr(token) for token in ids)


def answered(text, index=0, *, correct=True, reward=None):
    """An answer of one token per character and its verdict."""
    rollout = a_rollout("p0", index, text=text, ids=[*map(ord, text), END])
    return rollout, a_grade("p0", index, correct=correct, reward=float(correct) if reward is None else reward)


def in_parts(answers):
    rewards = [[reward for _, reward in steps] for _, steps in answers]
    ends = [[end for end, _ in steps] for _, steps in answers]
    return rewards, ends, [length for length, _ in answers]


# --- advantages ----------------------------------------------------------------------------------------------------


def test_the_published_advantages():
    inputs, expected = GOLDEN["grpo_process"]["inputs"], GOLDEN["grpo_process"]["expected"]
    lengths = [len(row) for row in inputs["policy_logps"]]

    found = process_advantages(inputs["step_rewards"], inputs["step_end_token_index"], lengths)

    for row, wanted in zip(found, expected["token_advantages"], strict=True):
        assert row == pytest.approx(wanted, abs=1e-9)


@given(answers=ANSWERS, ddof=st.sampled_from([0, 1]), eps=st.sampled_from([1e-4, 0.1]))
def test_a_token_has_the_sum_of_the_normalised_rewards_of_the_steps_that_end_at_or_after_it(answers, ddof, eps):
    rewards, ends, lengths = in_parts(answers)
    every = [reward for of_answer in rewards for reward in of_answer]

    found = process_advantages(rewards, ends, lengths, ddof=ddof, eps=eps)

    assert [len(row) for row in found] == lengths
    if len(set(every)) < 2:
        assert not any(map(any, found))
        return
    mean, deviation = statistics.fmean(every), (statistics.stdev if ddof else statistics.pstdev)(every)
    for row, of_answer, last in zip(found, rewards, ends, strict=True):
        steps = list(zip(of_answer, last, strict=True))
        wanted = [sum((r - mean) / (deviation + eps) for r, end in steps if end >= t) for t in range(len(row))]
        assert row == pytest.approx(wanted, abs=1e-9)


@given(answers=ANSWERS, constant=st.floats(-10, 10))
def test_a_constant_on_all_steps_changes_nothing(answers, constant):
    rewards, ends, lengths = in_parts(answers)
    raised = [[reward + constant for reward in of_answer] for of_answer in rewards]

    plain, other = (process_advantages(each, ends, lengths) for each in (rewards, raised))

    for a, b in zip(plain, other, strict=True):
        assert a == pytest.approx(b, abs=1e-6)


@given(rewards=st.lists(st.sampled_from([0.0, 0.25, 1.0]), min_size=2, max_size=8), length=st.integers(1, 9))
def test_one_step_per_answer_is_outcome_supervision(rewards, length):
    count = len(rewards)

    found = process_advantages([[r] for r in rewards], [[length - 1]] * count, [length] * count)

    outcome = advantages("standardised", rewards, [True] * count)
    assert [row[0] for row in found] == pytest.approx(outcome)
    assert all(set(row) == {row[0]} for row in found)


def test_more_steps_make_larger_advantages_at_early_tokens():
    few, many = process_advantages([[1.0], [1.0, 1.0, 1.0], [0.0] * 4], [[5], [1, 3, 5], [1, 2, 3, 5]], [6, 6, 6])[:2]

    assert many[0] == pytest.approx(3 * few[0])
    assert many[-1] == few[-1]


def test_the_reward_alone_is_no_process_advantage():
    with pytest.raises(ValueError, match=r"pair\.advantage=process goes by the steps"):
        advantages("process", [1.0, 0.0], [True, False])


# --- steps and tokens ----------------------------------------------------------------------------------------------


def test_steps_are_rewarded_by_their_equations_and_the_last_by_the_verdict():
    rollout, _ = answered(SLIPS)

    made = steps_of(rollout, True, decode)

    assert made == Steps(rewards=[0.0, 1.0, 1.0], ends=[13, 28, len(rollout.completion_ids) - 1])
    assert SLIPS[13] == SLIPS[28] == "\n"


def test_a_step_with_nothing_to_check_counts_nowhere():
    rollout, _ = answered("Step 1: think.\nStep 2: 1+1=2\nStep 3: done")

    made = steps_of(rollout, False, decode)

    assert made is not None
    assert made.rewards == [1.0, 0.0]


def test_an_answer_whose_text_is_not_that_of_its_tokens_has_no_steps():
    rollout, _ = answered(RIGHT)

    assert steps_of(replace(rollout, text="Another " + RIGHT), True, decode) is None
    assert steps_of(replace(rollout, completion_ids=[]), True, decode) is None


@given(pieces=st.lists(st.sampled_from(["Step 1: ", "2+2=4", "\n\n", "\n", "so ", "3=3\n\n5", "é", " x"]), max_size=20))
def test_a_token_belongs_to_the_step_that_holds_its_last_character(pieces):
    text, vocabulary = "".join(pieces), sorted({*pieces, "<eos>"})
    ids = [vocabulary.index(piece) for piece in [*pieces, "<eos>"]]
    rollout = a_rollout("p0", 0, text=text, ids=ids)

    made = steps_of(rollout, True, lambda some: "".join(vocabulary[token] for token in some))

    assert made is not None
    edges = [end for _, end in split(text)][:-1]
    last_characters = list(accumulate(len(piece) for piece in pieces))
    possible = {sum(last <= edge for last in last_characters) - 1 for edge in edges}
    assert set(made.ends[:-1]) <= possible
    assert made.ends[-1] == len(ids) - 1
    assert made.ends == sorted(made.ends)


def test_a_real_tokenizer_ends_steps_where_they_end(tokenizer):
    text = "2+3=5\n\n5+5=10\n\n10"
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    if tokenizer.decode(ids, skip_special_tokens=False) != text:
        pytest.skip("the tests' tokenizer does not spell this text")
    rollout = a_rollout("p0", 0, text=text, ids=ids, finish="length")

    made = steps_of(rollout, True, lambda some: str(tokenizer.decode(some, skip_special_tokens=False)))

    assert made is not None
    assert made.rewards == [1.0, 1.0, 1.0]
    for end, edge in zip(made.ends, [step_end for _, step_end in split(text)], strict=True):
        assert len(tokenizer.decode(ids[: end + 1])) <= edge
        assert end == len(ids) - 1 or len(tokenizer.decode(ids[: end + 2])) > edge


# --- planted mistakes ----------------------------------------------------------------------------------------------

MISTAKES = [
    ("(reward - mean) / scale", "reward / scale"),
    ("(reward - mean) / scale", "(reward - mean)"),
    ("(len(every) - ddof)", "len(every)"),
    ("+ eps", ""),
    ("ending[end] +=", "ending[end] ="),
    ("accumulate(reversed(ending)))[::-1]", "accumulate(ending))"),
    ("if end >= 0:", "if end >= -1:"),
    ("len(decode(ids[:middle])) <= characters", "len(decode(ids[:middle])) < characters"),
    ("within - 1", "within"),
    ("[len(ids) - 1]", "[len(ids) - 2]"),
    ("float(step.value or 0.0)", "1.0"),
    ("[float(correct)]", "[1.0]"),
    ("if step.value is not None", ""),
]


@pytest.mark.parametrize(("old", "new"), MISTAKES)
def test_a_planted_mistake_is_seen(old, new):
    source = Path(process.__file__).read_text(encoding="utf-8")
    assert old in source
    mutated = types.ModuleType("tasks.pairing.process_mutated")
    sys.modules[mutated.__name__] = mutated
    exec(compile(source.replace(old, new), "process.py", "exec"), mutated.__dict__)
    ends, rewards = [[-1, 2, 2], [0, 3]], [[0.5, 1.0, 0.0], [0.0, 0.25]]
    rollout, _ = answered("Step 1: 1+1=3\nStep 2: look\nStep 3: 1+1=2\nStep 4: so")

    same = mutated.process_advantages(rewards, ends, [3, 4]) == process_advantages(rewards, ends, [3, 4])
    made, other = mutated.steps_of(rollout, False, decode), steps_of(rollout, False, decode)

    assert not same or (made.rewards, made.ends) != (other.rewards, other.ends)
    del sys.modules[mutated.__name__]


# --- groups --------------------------------------------------------------------------------------------------------


def test_a_group_has_an_advantage_on_every_token():
    rows = groups_of([answered(RIGHT), answered(SLIPS, 1, correct=False)], PROCESS, decode=decode)

    assert not isinstance(rows, str)
    mean, deviation = 4 / 6, statistics.stdev([1, 1, 1, 0, 1, 0]) + 1e-4
    high, low = (1 - mean) / deviation, -mean / deviation
    assert [len(row.advantages) for row in rows] == [len(row.completion_ids) for row in rows]
    assert rows[0].advantages[0] == pytest.approx(3 * high)
    assert rows[0].advantages[-1] == pytest.approx(high)
    assert rows[1].advantages[0] == pytest.approx(2 * low + high)
    assert rows[1].advantages[14] == pytest.approx(low + high)
    assert rows[1].advantages[-1] == pytest.approx(low)


def test_without_a_tokenizer_there_are_no_step_rewards():
    with pytest.raises(ValueError, match=r"process needs the rewards of the steps.*give the task `pair` the model"):
        groups_of([answered(RIGHT), answered(SLIPS, 1)], PROCESS)


def test_equal_steps_are_uniform_even_if_the_rewards_differ():
    graded = [answered(RIGHT), answered(RIGHT + ".", 1, reward=0.5)]

    dropped = groups_of(graded, PROCESS.model_copy(update={"uniform_groups": "drop"}), decode=decode)
    kept = groups_of(graded, PROCESS, counts := Counter(), decode=decode)

    assert dropped == UNIFORM
    assert not isinstance(kept, str)
    assert not any(any(row.advantages) for row in kept)
    assert counts["kept: groups of equal rewards"] == 1


def test_steps_tell_answers_apart_that_are_all_right():
    rows = groups_of([answered(RIGHT), answered(SLIPS, 1)], PROCESS, decode=decode)

    assert not isinstance(rows, str)
    assert rows[0].advantages[0] > 0 > rows[1].advantages[0]


def test_an_answer_that_cannot_be_mapped_is_left_out_and_counted():
    bad, verdict = answered(RIGHT, 2)
    graded = [answered(RIGHT), answered(SLIPS, 1, correct=False), (replace(bad, text="?"), verdict)]

    rows = groups_of(graded, PROCESS, counts := Counter(), decode=decode)

    assert [row.sample_index for row in rows if not isinstance(row, str)] == [0, 1]
    assert counts["answers: text is not that of the tokens"] == 1
    assert groups_of([graded[0], graded[2]], PROCESS, decode=decode) == ONE_ANSWER


# --- the stage -----------------------------------------------------------------------------------------------------


def test_the_stage_decodes_with_the_tokenizer_of_a_model(run, base, tokenizer):
    texts = ["2+3=5\n\n5", "2+3=6\n\n6"]
    rollouts, grades = [], []
    for index, text in enumerate(texts):
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        text = str(tokenizer.decode(ids, skip_special_tokens=False))
        rollouts.append(a_rollout("p0", index, text=text, ids=ids, finish="stop"))
        grades.append(a_grade("p0", index, correct=index == 0, reward=1.0 - index))
    store = run.workspace.store
    refs = stored(store, rollouts, Rollout), stored(store, grades, Grade)

    made = list(store.read(pair.fn(*refs, PROCESS, "groups", 0, run, base), Group))

    assert [row.completion_ids for row in made] == [rollout.completion_ids for rollout in rollouts]
    assert made[0].advantages[-1] > 0 > made[1].advantages[-1]
    with pytest.raises(ValueError, match="no tokenizer"):
        pair.fn(*refs, PROCESS, "groups", 0, run)


def test_a_tokenizer_that_did_not_sample_the_answers_is_named(run, base):
    store = run.workspace.store
    rollouts = [a_rollout("p0", index, text="not what the tokens say") for index in range(2)]
    refs = stored(store, rollouts), stored(store, [a_grade("p0", index) for index in range(2)])

    with pytest.raises(NoRows, match=r"text is not that of the tokens 2.*the tokenizer is not the one"):
        pair.fn(*refs, PROCESS, "groups", 0, run, base)


def test_the_tokenizer_is_part_of_the_key(run, base):
    def key(tokenizer):
        refs = dict.fromkeys(("rollouts", "grades"), "x")
        return pair.key(**refs, pairing=PROCESS, rows="groups", seed=0, run=run, tokenizer=tokenizer).digest

    assert key(None) != key(base)
