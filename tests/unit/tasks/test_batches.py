"""Which rows share a forward pass, and that no row, token or weight is lost or doubled on the way."""

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from task_examples import stored

from artifacts import Accepted, Pair, PartWriter, Store
from tasks.workers.batches import MicroBatch, Sequences, collate, plan


def steps_of(made, processes):
    """Micro-batches by optimizer step."""
    size = made.accumulation * processes
    return [made.micro_batches[i : i + size] for i in range(0, len(made.micro_batches), size)]


def real_rows(micro_batches):
    return [row for micro in micro_batches if micro.weight for row in micro.rows]


SHAPES = {
    "lengths": st.lists(st.integers(1, 400), min_size=1, max_size=60),
    "batch_size": st.integers(1, 70),
    "micro_batch": st.integers(1, 9),
    "processes": st.integers(1, 8),
    "epochs": st.integers(1, 3),
    "seed": st.integers(0, 2**32 - 1),
}


@given(**SHAPES)
def test_every_epoch_visits_every_row_once(lengths, batch_size, micro_batch, processes, epochs, seed):
    made = plan(
        lengths, batch_size=batch_size, micro_batch=micro_batch, processes=processes, epochs=epochs, seed=seed
    )  # fmt: skip

    steps = steps_of(made, processes)
    per_epoch = -(-len(lengths) // batch_size)
    assert len(steps) == made.num_steps == per_epoch * epochs
    assert len(made.micro_batches) == made.num_steps * made.accumulation * processes
    for epoch in range(epochs):
        visited = [row for step in steps[epoch * per_epoch : (epoch + 1) * per_epoch] for row in real_rows(step)]
        assert sorted(visited) == list(range(len(lengths)))


@given(**SHAPES)
def test_a_forward_pass_holds_at_most_micro_batch_rows_and_knows_its_step(
    lengths, batch_size, micro_batch, processes, epochs, seed
):
    made = plan(
        lengths, batch_size=batch_size, micro_batch=micro_batch, processes=processes, epochs=epochs, seed=seed
    )  # fmt: skip

    for step in steps_of(made, processes):
        rows = real_rows(step)
        assert 1 <= len(rows) <= batch_size
        for micro in step:
            assert 1 <= len(micro.rows) <= micro_batch
            assert micro.weight in (0.0, 1.0)
            assert len(micro.rows) == 1 or micro.weight == 1  # a filler costs one row
            assert micro.num_items == len(rows)
            assert micro.num_tokens == sum(lengths[row] for row in rows)


@given(
    lengths=SHAPES["lengths"], batch_size=SHAPES["batch_size"], micro_batch=SHAPES["micro_batch"], seed=SHAPES["seed"]
)
def test_one_two_or_eight_processes_take_the_same_optimizer_steps(lengths, batch_size, micro_batch, seed):
    options = {"batch_size": batch_size, "micro_batch": micro_batch, "epochs": 2, "seed": seed}

    composition = [
        [sorted(real_rows(step)) for step in steps_of(plan(lengths, processes=n, **options), n)] for n in (1, 2, 8)
    ]

    assert composition[0] == composition[1] == composition[2]


def test_no_step_uses_more_forward_passes_than_its_rows_need():
    made = plan([1] * 100, batch_size=32, micro_batch=8, processes=2, epochs=1, seed=0)

    assert made.accumulation == 2
    assert made.num_steps == 4


def test_the_plan_is_repeatable_and_the_seed_and_the_epoch_change_it():
    options = {"batch_size": 8, "micro_batch": 2, "processes": 2, "epochs": 2}
    lengths = list(range(1, 33))

    first, again, other = (plan(lengths, seed=seed, **options) for seed in (5, 5, 6))
    first_epoch, second_epoch = steps_of(first, 2)[:4], steps_of(first, 2)[4:]

    assert first == again
    assert first != other
    assert [sorted(real_rows(s)) for s in first_epoch] != [sorted(real_rows(s)) for s in second_epoch]


def test_rows_of_similar_length_share_a_forward_pass():
    lengths = [100 * (i % 2) + 1 for i in range(16)]

    made = plan(lengths, batch_size=16, micro_batch=8, processes=1, epochs=1, seed=0)

    assert [{lengths[row] for row in micro.rows} for micro in made.micro_batches] == [{1}, {101}]


# --- tables to sequences -----------------------------------------------------------------------------------------


def pairs(count: int) -> list[Pair]:
    return [
        Pair(
            prompt_id=f"p{i}",
            prompt_ids=[2] * (1 + i % 3),
            chosen_index=0,
            rejected_index=1,
            chosen_ids=[10 + i] * (1 + i % 4) + [1],
            rejected_ids=[20 + i] * (2 + i % 2),  # cut off: no end token
            chosen_logprobs=[-0.25] * (2 + i % 4),
            rejected_logprobs=[-0.75] * (2 + i % 2),
            chosen_reward=1.0,
            rejected_reward=0.0,
        )
        for i in range(count)
    ]


def accepted(count: int, *, sampled: bool = True) -> list[Accepted]:
    return [
        Accepted(
            prompt_id=f"p{i}",
            sample_index=i,
            prompt_ids=[2, 7 + i],
            completion_ids=[30 + i] * (1 + i % 3) + [1],
            logprobs=[-0.5] * (2 + i % 3) if sampled else [],
        )
        for i in range(count)
    ]


def assert_same(arrays, lists):
    assert [array.tolist() for array in arrays] == lists


def test_a_pair_gives_two_sequences_in_the_order_chosen_rejected(tmp_path):
    rows = pairs(5)

    sequences = Sequences.of(Store(tmp_path).table(stored(Store(tmp_path), rows)))

    assert (len(sequences), sequences.per_row) == (5, 2)
    assert_same(sequences.prompts, [row.prompt_ids for row in rows for _ in range(2)])
    assert_same(sequences.completions, [ids for row in rows for ids in (row.chosen_ids, row.rejected_ids)])
    assert_same(
        sequences.sampler_logprobs, [logp for row in rows for logp in (row.chosen_logprobs, row.rejected_logprobs)]
    )
    assert list(sequences.of_row(3)) == [6, 7]
    assert sequences.completion_tokens(3) == len(rows[3].chosen_ids) + len(rows[3].rejected_ids)
    assert sequences.longest(3) == len(rows[3].prompt_ids) + max(len(rows[3].chosen_ids), len(rows[3].rejected_ids))


def test_an_accepted_answer_gives_one_sequence(tmp_path):
    rows = accepted(4)

    sequences = Sequences.of(Store(tmp_path).table(stored(Store(tmp_path), rows)))

    assert (len(sequences), sequences.per_row) == (4, 1)
    assert_same(sequences.prompts, [row.prompt_ids for row in rows])
    assert_same(sequences.completions, [row.completion_ids for row in rows])


@pytest.mark.parametrize("make", [pairs, accepted])
def test_a_table_of_several_parts_and_slices_gives_the_same_sequences(tmp_path, make):
    rows, store = make(30), Store(tmp_path / "store")
    with store.writer(type(rows[0])) as writer:
        for start in range(0, 30, 7):
            with PartWriter(tmp_path / f"{start}.parquet", type(rows[0])) as part:
                part.write_many(rows[start : start + 7])
            writer.adopt(tmp_path / f"{start}.parquet")
    whole = Sequences.of(store.table(stored(store, rows)))

    several = store.table(writer.ref)
    sliced = pa.concat_tables([several.slice(0, 3), several.slice(3, 0), several.slice(3, 11), several.slice(14)])

    assert several.column("prompt_ids").num_chunks > 1
    for table in (several, sliced):
        found = Sequences.of(table)
        assert_same(found.completions, [array.tolist() for array in whole.completions])
        assert_same(found.prompts, [array.tolist() for array in whole.prompts])
        assert_same(found.sampler_logprobs, [array.tolist() for array in whole.sampler_logprobs])


def test_taking_rows_keeps_pairs_together_and_the_order_asked_for(tmp_path):
    rows = pairs(5)
    sequences = Sequences.of(Store(tmp_path).table(stored(Store(tmp_path), rows)))

    taken = sequences.take([4, 1])

    assert len(taken) == 2
    assert_same(taken.completions, [rows[4].chosen_ids, rows[4].rejected_ids, rows[1].chosen_ids, rows[1].rejected_ids])
    assert_same(taken.prompts, [rows[4].prompt_ids] * 2 + [rows[1].prompt_ids] * 2)
    assert len(taken.sampler_logprobs[0]) == len(rows[4].chosen_logprobs)


# --- sequences to tensors ----------------------------------------------------------------------------------------

TOKENS = st.lists(st.integers(0, 350), min_size=1, max_size=9)


def sequences_of(rows, *, per_row=1, sampled=True):
    """From (prompt, completion) lists."""
    return Sequences(
        [np.array(prompt, dtype=np.int32) for prompt, _ in rows],
        [np.array(completion, dtype=np.int32) for _, completion in rows],
        [np.array([-0.5 * (j + 1) for j in range(len(c))] if sampled else [], dtype=np.float32) for _, c in rows],
        per_row,
    )


@given(rows=st.lists(st.tuples(TOKENS, TOKENS), min_size=1, max_size=6), pad=st.integers(0, 5))
def test_the_model_sees_exactly_the_ids_of_the_table(rows, pad):
    sequences = sequences_of(rows)
    reference = [np.array([-0.1 * (j + 1) for j in range(len(c))], dtype=np.float32) for _, c in rows]

    batch = collate(sequences, MicroBatch(tuple(range(len(rows))), 1.0, len(rows), 99), reference, pad)

    ids, attention, mask = batch["input_ids"], batch["attention_mask"], batch["mask"]
    width = mask.shape[1]
    labels = ids[:, ids.shape[1] - width :]
    for n, (prompt, completion) in enumerate(rows):
        assert ids[n, attention[n].bool()].tolist() == prompt + completion  # nothing added, also no end token
        assert (ids[n, ~attention[n].bool()] == pad).all()
        assert labels[n, mask[n].bool()].tolist() == completion
        assert mask[n].sum() == len(completion)
        assert batch["sampler_logprobs"][n, mask[n].bool()].tolist() == pytest.approx(
            [-0.5 * (j + 1) for j in range(len(completion))]
        )
        assert batch["ref_logprobs"][n, mask[n].bool()].tolist() == pytest.approx(reference[n].tolist())
        assert not batch["ref_logprobs"][n, ~mask[n].bool()].any()
    assert width == ids.shape[1] - min(len(prompt) for prompt, _ in rows)


def test_a_filler_carries_weight_zero_and_the_counts_of_its_step():
    batch = collate(sequences_of([([2], [5, 1])] * 4, per_row=2), MicroBatch((1,), 0.0, 7, 40), None, 0)

    assert batch["weights"].tolist() == [0.0, 0.0]
    assert (batch["num_items"], batch["num_tokens"], batch["rows"]) == (7.0, 40.0, (1,))


def test_demonstrations_have_no_sampler_log_probabilities():
    batch = collate(sequences_of([([2], [5, 1])], sampled=False), MicroBatch((0,), 1.0, 1, 2), None, 0)

    assert not batch["sampler_logprobs"].any()
    assert batch["mask"].sum() == 2


def test_a_plan_of_real_pairs_trains_on_every_completion_token_once(tmp_path):
    rows = pairs(23)
    sequences = Sequences.of(Store(tmp_path).table(stored(Store(tmp_path), rows)))
    lengths = [sequences.completion_tokens(row) for row in range(len(sequences))]
    made = plan(lengths, batch_size=10, micro_batch=2, processes=3, epochs=1, seed=1)

    seen: Counter[int] = Counter()
    for step in steps_of(made, 3):
        batches = [collate(sequences, micro, None, 0) for micro in step]
        tokens = sum(float((b["mask"].sum(-1) * b["weights"]).sum()) for b in batches)
        assert tokens == step[0].num_tokens
        seen.update(real_rows(step))
        for batch in batches:
            assert len(batch["input_ids"]) == 2 * len(batch["rows"])  # a pair is never split
            for place, row in enumerate(batch["rows"]):
                ids = batch["input_ids"][2 * place]
                assert ids[batch["attention_mask"][2 * place].bool()].tolist() == (
                    rows[row].prompt_ids + rows[row].chosen_ids
                )
    assert seen == Counter(range(23))
    assert torch.get_default_dtype() == torch.float32
