"""Groups on their way to the trainer: never split over optimizer steps, and normalised exactly however dealt."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from task_examples import stored
from textbook import HYPERPARAMETERS

from artifacts import Accepted, Group, Pair, Store
from tasks import objectives
from tasks.objectives import Batch
from tasks.workers.batches import MicroBatch, Rows, collate, plan
from tasks.workers.failure import BadInput
from tasks.workers.prepare import rows_of, with_final_advantages
from tasks.workers.sequences import Sequences


def steps_of(made, processes):
    size = made.accumulation * processes
    return [made.micro_batches[i : i + size] for i in range(0, len(made.micro_batches), size)]


def real_rows(micro_batches):
    return [row for micro in micro_batches if micro.weight for row in micro.rows]


SIZES = st.lists(st.integers(1, 9), min_size=1, max_size=12)
DEALING = {
    "sizes": SIZES, "batch_size": st.integers(1, 14), "micro_batch": st.integers(1, 5),
    "processes": st.integers(1, 4), "epochs": st.integers(1, 2), "seed": st.integers(0, 2**32 - 1),
}  # fmt: skip


def items_of(sizes):
    ends = np.cumsum(sizes).tolist()
    return [list(range(end - size, end)) for size, end in zip(sizes, ends, strict=True)]


@pytest.mark.parametrize("whole", [False, True])
@given(**DEALING)
def test_a_group_is_never_split_over_optimizer_steps(whole, sizes, batch_size, micro_batch, processes, epochs, seed):
    items, lengths = items_of(sizes), [1 + i % 7 for i in range(sum(sizes))]
    rows = Rows(lengths=lengths, items=items, whole_items=whole)

    made = plan(
        rows, batch_size=batch_size, micro_batch=micro_batch, processes=processes, epochs=epochs, seed=seed
    )  # fmt: skip

    steps = steps_of(made, processes)
    assert made.num_steps == len(steps) == epochs * -(-len(sizes) // batch_size)
    assert Counter(row for step in steps for row in real_rows(step)) == Counter(list(range(sum(sizes))) * epochs)
    for step in steps:
        taken = set(real_rows(step))
        members = [item for item in items if taken & set(item)]
        assert all(taken >= set(item) for item in members)
        assert {micro.num_items for micro in step} == {len(members)}
        assert {micro.num_rows for micro in step} == {len(taken)}
        assert {micro.num_tokens for micro in step} == {sum(lengths[row] for row in taken)}
        for micro in step:
            blocks = [item for item in items if set(item) & set(micro.rows)]
            assert (len(blocks) if whole else len(micro.rows)) <= micro_batch
            assert not whole or all(set(item) <= set(micro.rows) for item in blocks)


@given(**DEALING)
def test_the_easy_prompts_come_first_if_asked_for(sizes, batch_size, micro_batch, processes, epochs, seed):
    ranks = [float(i % 3) for i in range(len(sizes))]
    rows = Rows(lengths=[1] * sum(sizes), items=items_of(sizes), ranks=ranks)

    made = plan(
        rows, batch_size=batch_size, micro_batch=micro_batch, processes=processes, epochs=epochs, seed=seed
    )  # fmt: skip

    group_of = [i for i, size in enumerate(sizes) for _ in range(size)]
    steps = [{ranks[group_of[row]] for row in real_rows(step)} for step in steps_of(made, processes)]
    per_epoch = made.num_steps // epochs
    for start in range(0, len(steps), per_epoch):
        epoch = steps[start : start + per_epoch]
        assert all(max(a) <= min(b) for a, b in pairwise(epoch))


# --- from a table to the loss ------------------------------------------------------------------------------------


def groups(sizes, seed=0):
    rng = np.random.default_rng(seed)
    rows = []
    for g, size in enumerate(sizes):
        for i in range(size):
            tokens = int(rng.integers(1, 7))
            rows.append(
                Group(
                    prompt_id=f"p{g}", sample_index=i, prompt_ids=[2] * (1 + g % 3),
                    completion_ids=rng.integers(5, 300, tokens).tolist(), logprobs=(-rng.random(tokens)).tolist(),
                    reward=float(i % 2), correct=i % 2 == 1, advantages=[float(rng.normal())] * tokens,
                    pass_rate=0.5 if g % 2 else 0.25,
                )
            )  # fmt: skip
    return rows


def table_of(tmp_path, rows):
    store = Store(tmp_path)
    return Sequences.of(store.table(stored(store, rows)))


def test_groups_give_their_answers_with_all_that_stands_beside_them(tmp_path):
    rows = groups([3, 2])

    sequences = table_of(tmp_path, rows)

    assert (len(sequences), sequences.per_row) == (5, 1)
    assert sequences.items() == [[0, 1, 2], [3, 4]]
    assert sequences.right.tolist() == [row.correct for row in rows]
    assert sequences.rewards.tolist() == [row.reward for row in rows]
    assert sequences.pass_rates.tolist() == [row.pass_rate for row in rows]
    for found, row in zip(sequences.advantages, rows, strict=True):
        assert found.tolist() == pytest.approx(row.advantages)
    taken = sequences.take([4, 1, 0])
    assert taken.items() == [[0], [1, 2]]
    assert [ids.tolist() for ids in taken.completions] == [rows[i].completion_ids for i in (4, 1, 0)]
    assert taken.rewards.tolist() == [rows[i].reward for i in (4, 1, 0)]


def batch_from(collated, policy):
    """The loss's view of a micro-batch; `policy` has a log-probability for every token id."""
    logprobs = policy[collated["input_ids"][:, -collated["mask"].shape[1] :]] * collated["mask"]
    names = ("mask", "weights", "num_items", "num_sequences", "num_tokens", "num_chosen_tokens", "ref_logprobs",
             "old_logprobs", "advantages", "rewards", "groups")  # fmt: skip
    return Batch(logprobs=logprobs, **{name: collated[name] for name in names})


def pairs(count):
    return [
        Pair(
            prompt_id=f"p{i}", prompt_ids=[2] * (1 + i % 3), chosen_index=0, rejected_index=1,
            chosen_ids=[10 + i] * (1 + i % 4), rejected_ids=[40 + i] * (1 + i % 5),
            chosen_logprobs=[-0.5] * (1 + i % 4), rejected_logprobs=[-0.7] * (1 + i % 5),
            chosen_reward=1.0, rejected_reward=0.0,
        )
        for i in range(count)
    ]  # fmt: skip


def accepted(count):
    return [
        Accepted(
            prompt_id=f"p{i}", sample_index=0, prompt_ids=[2, 3], completion_ids=[7 + i] * (1 + i % 5), logprobs=[]
        )
        for i in range(count)
    ]


TABLES = {"pairs": pairs(9), "accepted": accepted(9), "groups": groups([3, 4, 2, 3, 1, 4, 2, 2, 3])}


@pytest.mark.parametrize("name", objectives.available())
@settings(max_examples=10, deadline=None)
@given(micro_batch=st.integers(1, 5), processes=st.integers(1, 3), batch_size=st.sampled_from([4, 9]))
def test_a_step_has_one_loss_and_gradient_however_it_is_dealt(
    tmp_path_factory, name, micro_batch, processes, batch_size
):
    objective = objectives.load(name, **HYPERPARAMETERS[name][0])
    sequences = table_of(tmp_path_factory.mktemp("store"), TABLES[objective.rows])
    rng = np.random.default_rng(1)
    reference = [-rng.random(len(ids)).astype(np.float32) for ids in sequences.completions]
    policy = torch.tensor(-rng.random(400), requires_grad=True)
    options = {"batch_size": batch_size, "epochs": 1, "seed": 3}

    def of_first_step(micro, world):
        rows = rows_of(sequences, objective, "shuffled")
        step = steps_of(plan(rows, micro_batch=micro, processes=world, **options), world)[0]
        return sum(objective.loss(batch_from(collate(sequences, m, reference, 0), policy)).value for m in step)

    whole, dealt = of_first_step(1000, 1), of_first_step(micro_batch, processes)

    torch.testing.assert_close(dealt, whole, rtol=1e-5, atol=1e-6)
    found, expected = (torch.autograd.grad(value, policy)[0] for value in (dealt, whole))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)


def test_log_probabilities_that_were_recomputed_take_the_samplers_place_in_the_ratio_only(tmp_path):
    sequences = table_of(tmp_path, groups([2]))
    ours = [np.full(len(ids), -0.125, np.float32) for ids in sequences.completions]

    batch = collate(sequences, MicroBatch((0, 1), 1.0, 1, 9, 2), None, 0, ours)

    assert set(batch["old_logprobs"][batch["mask"].bool()].tolist()) == {-0.125}
    sampled = batch["sampler_logprobs"][batch["mask"].bool()].tolist()
    assert sampled == pytest.approx([value for row in groups([2]) for value in row.logprobs])


# --- before the first step ---------------------------------------------------------------------------------------


def test_the_order_by_difficulty_goes_by_the_pass_rate(tmp_path):
    sequences, objective = table_of(tmp_path, groups([2, 2, 2])), objectives.load("grpo")

    assert rows_of(sequences, objective, "shuffled").ranks is None
    assert rows_of(sequences, objective, "easy_first").ranks == [-0.25, -0.5, -0.25]
    assert rows_of(sequences, objective, "hard_first").ranks == [0.25, 0.5, 0.25]


def test_demonstrations_have_no_difficulty_to_go_by(tmp_path):
    with pytest.raises(BadInput) as caught:
        rows_of(table_of(tmp_path, accepted(3)), objectives.load("sft"), "easy_first")

    assert "the rows carry no pass rate, which train.order=easy_first goes by" in caught.value.message


def test_the_kl_in_the_reward_is_settled_with_the_reference_at_hand(tmp_path):
    sequences = table_of(tmp_path, groups([3, 3]))
    far = [each - np.float32(1) for each in sequences.sampler_logprobs]

    changed = with_final_advantages(objectives.load("rloo", kl_coef=0.5), sequences, far, None)
    untouched = with_final_advantages(objectives.load("rloo", kl_coef=0.0), sequences, None, None)
    of_grpo = with_final_advantages(objectives.load("grpo"), sequences, far, None)

    lengths = np.array([len(ids) for ids in sequences.completions])
    shaped = sequences.rewards - 0.5 * lengths
    assert changed.advantages[0][0] == pytest.approx(shaped[0] - shaped[1:3].mean(), abs=1e-5)
    assert untouched is sequences
    assert of_grpo is sequences
