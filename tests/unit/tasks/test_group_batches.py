"""Groups on their way to the trainer: never split over optimizer steps, and normalised exactly however dealt."""

from dataclasses import replace
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
from tasks.objectives import SCORED, Batch
from tasks.workers.batches import MicroBatch, Rows, plan
from tasks.workers.collate import collate
from tasks.workers.failure import BadInput
from tasks.workers.packing import padded
from tasks.workers.prepare import rows_of, short_enough, with_final_columns, with_recorded_reference, with_scores
from tasks.workers.sequences import Sequences
from tasks.workers.trainer import READ


def steps_of(made, processes):
    size = made.accumulation * processes
    return [made.micro_batches[i : i + size] for i in range(0, len(made.micro_batches), size)]


def real_rows(micro_batches):
    return [row for micro in micro_batches if micro.weight for row in micro.rows]


SIZES = st.lists(st.integers(1, 9), min_size=1, max_size=12)
DEALING = {
    "sizes": SIZES, "batch_size": st.integers(1, 14), "micro_tokens": st.integers(16, 60),
    "processes": st.integers(1, 4), "epochs": st.integers(1, 2), "seed": st.integers(0, 2**32 - 1),
}  # fmt: skip


def items_of(sizes):
    ends = np.cumsum(sizes).tolist()
    return [list(range(end - size, end)) for size, end in zip(sizes, ends, strict=True)]


@given(**DEALING)
def test_the_easy_prompts_come_first_if_asked_for(sizes, batch_size, micro_tokens, processes, epochs, seed):
    ranks = [float(i % 3) for i in range(len(sizes))]
    rows = Rows(lengths=[1] * sum(sizes), items=items_of(sizes), ranks=ranks)

    made = plan(
        rows, batch_size=batch_size, micro_tokens=micro_tokens, processes=processes, epochs=epochs, seed=seed
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
    for found, row in zip(sequences.columns["advantages"], rows, strict=True):
        assert found.tolist() == pytest.approx(row.advantages)
    taken = sequences.take([4, 1, 0])
    assert taken.items() == [[0], [1, 2]]
    assert [ids.tolist() for ids in taken.completions] == [rows[i].completion_ids for i in (4, 1, 0)]
    assert taken.rewards.tolist() == [rows[i].reward for i in (4, 1, 0)]


def batch_from(collated, objective, policy):
    """The loss's view of a micro-batch; `policy` has a number for every token id, whatever is trained."""
    found = padded(policy[collated["packed"].labels], collated["mask"])
    trains_policy = objective.trains == "policy"
    names = ("mask", "weights", "num_items", "num_sequences", "num_tokens", "num_chosen_tokens", "groups",
             *(name for name in objective.columns if name in READ))  # fmt: skip
    return Batch(
        logprobs=found if trains_policy else torch.zeros_like(found),
        predicted=None if trains_policy else found,
        ref_kl=found**2 if "ref_kl" in objective.columns else None,
        **{name: collated[name] for name in names},
    )


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
@given(micro_tokens=st.integers(16, 60), processes=st.integers(1, 3), batch_size=st.sampled_from([4, 9]))
def test_a_step_has_one_loss_and_gradient_however_it_is_dealt(
    tmp_path_factory, name, micro_tokens, processes, batch_size
):
    objective = objectives.load(name, **HYPERPARAMETERS[name][0])
    sequences = table_of(tmp_path_factory.mktemp("store"), TABLES[objective.rows])
    rng = np.random.default_rng(1)
    for column in (*SCORED, "returns"):
        sequences.columns[column] = [-rng.random(len(ids)).astype(np.float32) for ids in sequences.completions]
    policy = torch.tensor(-rng.random(400), requires_grad=True)
    options = {"batch_size": batch_size, "epochs": 1, "seed": 3}

    def of_first_step(micro, world):
        rows = rows_of(sequences, objective, "shuffled")
        step = steps_of(plan(rows, micro_tokens=micro, processes=world, **options), world)[0]
        return sum(objective.loss(batch_from(collate(sequences, m), objective, policy)).value for m in step)

    whole, dealt = of_first_step(10_000, 1), of_first_step(micro_tokens, processes)

    torch.testing.assert_close(dealt, whole, rtol=1e-5, atol=1e-6)
    found, expected = (torch.autograd.grad(value, policy)[0] for value in (dealt, whole))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)


def test_log_probabilities_that_were_recomputed_take_the_samplers_place_in_the_ratio_only(tmp_path):
    sequences = table_of(tmp_path, groups([2]))
    ours = [np.full(len(ids), -0.125, np.float32) for ids in sequences.completions]

    batch = collate(with_scores(sequences, {"old_logprobs": ours}), MicroBatch((0, 1), 1.0, 1, 9, 2))

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
    plain = table_of(tmp_path, groups([3, 3]))
    sequences = with_scores(plain, {"ref_logprobs": [each - np.float32(1) for each in plain.sampler_logprobs]})

    changed = with_final_columns(objectives.load("rloo", kl_coef=0.5), sequences).columns["advantages"]
    without_kl = with_final_columns(objectives.load("rloo", kl_coef=0.0), plain).columns["advantages"]
    of_grpo = with_final_columns(objectives.load("grpo"), sequences).columns["advantages"]

    lengths = np.array([len(ids) for ids in plain.completions])
    shaped = plain.rewards - 0.5 * lengths
    assert changed[0][0] == pytest.approx(shaped[0] - shaped[1:3].mean(), abs=1e-5)
    for untouched in (without_kl, of_grpo):
        assert all(map(np.array_equal, untouched, plain.columns["advantages"]))


def test_a_critic_gets_its_returns_before_the_first_step(tmp_path):
    plain = table_of(tmp_path, groups([3, 3]))
    sequences = with_scores(plain, {"values": [np.zeros(len(ids), np.float32) for ids in plain.completions]})

    returns = with_final_columns(objectives.load("ppo_critic", kl_coef=0.0, lam=1.0), sequences).columns["returns"]

    for found, reward in zip(returns, plain.rewards, strict=True):
        assert found.tolist() == pytest.approx([reward] * len(found))


def test_a_column_that_nobody_brings_is_named(tmp_path):
    with pytest.raises(BadInput) as caught:
        with_final_columns(objectives.load("grpo"), table_of(tmp_path, groups([2])))

    assert caught.value.message == "grpo needs reference log-probabilities, and the job brings none"


def test_scores_stay_with_their_answers_when_long_rows_are_dropped(tmp_path):
    plain = table_of(tmp_path, pairs(9))
    marks = [np.full(len(ids), i, np.float32) for i, ids in enumerate(plain.completions)]

    kept, dropped = short_enough(with_scores(plain, {"ref_logprobs": marks}), 6)

    assert dropped
    for ids, found, name in zip(
        kept.completions, kept.columns["ref_logprobs"], [n for n in kept.names for _ in range(2)], strict=True
    ):
        assert len(ids) == len(found)
        assert name == f"p{int(found[0]) // 2}[0, 1]"


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda scores: scores[:-1], "values scores 5 answers, the rows hold 6"),
        (lambda scores: [*scores[:4], scores[4][:0], scores[5]], "values has 0 numbers for the "),
    ],
)
def test_scores_of_other_rows_are_refused(tmp_path, spoil, message):
    plain = table_of(tmp_path, pairs(3))

    with pytest.raises(BadInput) as caught:
        with_scores(plain, {"values": spoil([np.zeros(len(ids), np.float32) for ids in plain.completions])})

    assert caught.value.message.startswith(message)
    assert len(message) > 30 or caught.value.message.endswith("tokens of p2[0, 1]")


def test_where_the_reference_sampled_what_it_recorded_serves(tmp_path):
    plain, objective = table_of(tmp_path, pairs(3)), objectives.load("dpo")

    recorded = with_recorded_reference(objective, plain, "recorded")

    assert recorded.columns["ref_logprobs"] is plain.sampler_logprobs
    assert with_recorded_reference(objective, plain, "recompute") is plain
    assert with_recorded_reference(objectives.load("simpo"), plain, "recorded") is plain
    scored = with_scores(plain, {"ref_logprobs": [each * 2 for each in plain.sampler_logprobs]})
    assert with_recorded_reference(objective, scored, "recorded") is scored


def test_demonstrations_have_nothing_recorded(tmp_path):
    rows = [replace(row, chosen_logprobs=[]) for row in pairs(2)]

    with pytest.raises(BadInput, match="nobody sampled the rows"):
        with_recorded_reference(objectives.load("dpo"), table_of(tmp_path, rows), "recorded")
