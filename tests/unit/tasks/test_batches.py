"""Which rows share a forward pass, and that no row, token or weight is lost or doubled on the way."""

import time
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from task_examples import stored

from artifacts import Accepted, Pair, PartWriter, Store
from tasks.workers.batches import MicroBatch, Rows, plan
from tasks.workers.collate import collate, stretches
from tasks.workers.dealing import Block, deal, fits
from tasks.workers.sequences import Sequences


def steps_of(made, processes):
    """Micro-batches by optimizer step."""
    size = made.accumulation * processes
    return [made.micro_batches[i : i + size] for i in range(0, len(made.micro_batches), size)]


def real_rows(micro_batches):
    return [row for micro in micro_batches if micro.weight for row in micro.rows]


def tokens_of(rows: Rows, members):
    """Tokens of a stream that holds these rows, each prompt once."""
    prompts = {rows.numbers[row]: rows.prompts[row] for row in members}
    return sum(rows.lengths[row] for row in members) + sum(prompts.values())


@st.composite
def row_sets(draw):
    """Rows of a few prompts, each prompt with one or several items of one or several rows."""
    lengths, prompts, numbers, items = [], [], [], []
    for number in range(draw(st.integers(1, 10))):
        prompt = draw(st.integers(1, 60))
        for size in draw(st.lists(st.integers(1, 5), min_size=1, max_size=4)):
            items.append(list(range(len(lengths), len(lengths) + size)))
            lengths += draw(st.lists(st.integers(1, 200), min_size=size, max_size=size))
            prompts += [prompt] * size
            numbers += [number] * size
    order = draw(st.permutations(items))
    return Rows(lengths=lengths, prompts=prompts, numbers=numbers, items=order, whole_items=draw(st.booleans()))


DEALING = {
    "rows": row_sets(),
    "batch_size": st.integers(1, 45),
    "micro_tokens": st.integers(16, 600),
    "processes": st.integers(1, 5),
    "epochs": st.integers(1, 2),
    "seed": st.integers(0, 2**32 - 1),
}


@given(**DEALING)
def test_every_epoch_visits_every_row_once_and_no_item_is_split_over_steps(rows, batch_size, epochs, processes, **how):
    made = plan(rows, batch_size=batch_size, epochs=epochs, processes=processes, **how)

    steps = steps_of(made, processes)
    per_epoch = -(-len(rows.items) // batch_size)
    assert len(steps) == made.num_steps == per_epoch * epochs
    assert len(made.micro_batches) == made.num_steps * made.accumulation * processes
    for epoch in range(epochs):
        visited = [row for step in steps[epoch * per_epoch : (epoch + 1) * per_epoch] for row in real_rows(step)]
        assert sorted(visited) == list(range(len(rows.lengths)))
    for step in steps:
        taken = set(real_rows(step))
        members = [item for item in rows.items if taken & set(item)]
        assert all(taken >= set(item) for item in members)
        assert {micro.num_items for micro in step} == {len(members)}
        assert {micro.num_rows for micro in step} == {len(taken)}
        assert {micro.num_tokens for micro in step} == {sum(rows.lengths[row] for row in taken)}


@given(**DEALING)
def test_a_forward_pass_keeps_to_its_tokens_and_an_item_that_fits_is_not_split(rows, micro_tokens, processes, **how):
    made = plan(rows, micro_tokens=micro_tokens, processes=processes, **how)

    for step in steps_of(made, processes):
        for micro in step:
            whole = [item for item in rows.items if set(item) <= set(micro.rows)]
            allowed = len(micro.rows) == 1 or (
                rows.whole_items and len(whole) == 1 and len(whole[0]) == len(micro.rows)
            )
            assert tokens_of(rows, micro.rows) <= micro_tokens or allowed
        for item in rows.items:
            holders = [micro for micro in step if micro.weight and set(item) & set(micro.rows)]
            if len(holders) > 1:
                assert not rows.whole_items
                assert tokens_of(rows, item) > micro_tokens


@given(**DEALING)
def test_fillers_stand_only_where_a_step_has_too_little_to_deal(rows, processes, **how):
    made = plan(rows, processes=processes, **how)

    for step in steps_of(made, processes):
        fillers = [micro for micro in step if not micro.weight]
        costly = max(tokens_of(rows, micro.rows) for micro in step)
        assert len(fillers) < len(step)
        assert all(tokens_of(rows, micro.rows) <= costly for micro in fillers)
        assert all(set(micro.rows) <= set(real_rows(step)) for micro in fillers)


@given(**{name: DEALING[name] for name in ("rows", "batch_size", "micro_tokens", "seed")})
def test_one_two_or_eight_processes_take_the_same_optimizer_steps(rows, **how):
    composition = [
        [sorted(real_rows(step)) for step in steps_of(plan(rows, processes=n, epochs=2, **how), n)] for n in (1, 2, 8)
    ]

    assert composition[0] == composition[1] == composition[2]


@given(
    costs=st.lists(st.integers(1, 100), min_size=1, max_size=40),
    budget=st.integers(1, 300),
    processes=st.integers(1, 4),
)
def test_no_step_uses_more_forward_passes_than_its_dealing_needs(costs, budget, processes):
    made = plan(costs, batch_size=len(costs), micro_tokens=budget, processes=processes, epochs=1, seed=0)

    blocks = sorted((Block((row,), cost) for row, cost in enumerate(costs)), key=lambda block: -block.cost)
    fewer = (made.accumulation - 1) * processes
    assert fits(deal(blocks, made.accumulation * processes), budget)
    assert fewer == 0 or not fits(deal(blocks, fewer), budget)


@given(costs=st.lists(st.integers(1, 100), min_size=1, max_size=40), parts=st.integers(1, 9))
def test_the_tokens_of_a_step_are_dealt_evenly(costs, parts):
    blocks = [Block((row,), cost) for row, cost in enumerate(sorted(costs, reverse=True))]

    dealt = deal(blocks, parts)

    loads = [sum(block.cost for block in part) for part in dealt]
    assert sorted(row for part in dealt for block in part for row in block.rows) == list(range(len(costs)))
    for part, load in zip(dealt, loads, strict=True):
        assert not part or load - part[-1].cost <= min(loads)  # its last block came when it had the fewest


def test_rows_of_one_prompt_share_a_forward_pass():
    numbers = [i % 4 for i in range(16)]
    rows = Rows(lengths=[10] * 16, prompts=[100] * 16, numbers=numbers)

    made = plan(rows, batch_size=16, micro_tokens=140, processes=1, epochs=1, seed=0)

    assert sorted([numbers[row] for row in micro.rows] for micro in made.micro_batches) == [[n] * 4 for n in range(4)]


def test_a_row_that_is_too_long_has_a_forward_pass_of_its_own():
    made = plan([500, 10, 10, 10], batch_size=4, micro_tokens=100, processes=1, epochs=1, seed=0)

    assert [sorted(micro.rows) for micro in made.micro_batches] == [[0], [1, 2, 3]]


def test_the_plan_is_repeatable_and_the_seed_and_the_epoch_change_it():
    options = {"batch_size": 8, "micro_tokens": 64, "processes": 2, "epochs": 2}
    lengths = list(range(1, 33))

    first, again, other = (plan(lengths, seed=seed, **options) for seed in (5, 5, 6))
    first_epoch, second_epoch = steps_of(first, 2)[:4], steps_of(first, 2)[4:]

    assert first == again
    assert first != other
    assert [sorted(real_rows(s)) for s in first_epoch] != [sorted(real_rows(s)) for s in second_epoch]


def test_planning_many_rows_takes_seconds():
    count = 50_000
    lengths = np.random.default_rng(0).integers(10, 2000, count).tolist()
    rows = Rows(lengths=lengths, prompts=[100] * count, numbers=[i // 8 for i in range(count)])
    started = time.process_time()

    for batch_size in (64, count):
        plan(rows, batch_size=batch_size, micro_tokens=8192, processes=8, epochs=1, seed=0)

    assert time.process_time() - started < 20  # two seconds; hours, if it were quadratic


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


@given(rows=st.lists(st.tuples(TOKENS, TOKENS), min_size=1, max_size=6), share=st.booleans())
def test_the_model_sees_exactly_the_ids_of_the_table(rows, share):
    sequences = sequences_of(rows + rows[:1])
    reference = [np.array([-0.1 * (j + 1) for j in range(len(c))], np.float32) for c in sequences.completions]
    sequences.columns["ref_logprobs"] = reference
    everything = [*rows, rows[0]]

    batch = collate(sequences, MicroBatch(tuple(range(len(everything))), 1.0, len(everything), 99), share=share)

    packed, mask = batch["packed"], batch["mask"].bool()
    stream, positions = packed.input_ids[0], packed.position_ids[0]
    assert packed.labels.tolist() == [token for _, completion in everything for token in completion]
    assert stream[packed.at].tolist() == packed.labels.tolist()
    prompts = [tuple(prompt) for prompt, _ in everything]
    expected = sum(map(len, set(prompts) if share else prompts)) + len(packed.labels)
    assert len(stream) == len(positions) == expected
    ends = np.cumsum([len(completion) for _, completion in everything])
    for n, (prompt, completion) in enumerate(everything):
        own = slice(ends[n] - len(completion), ends[n])
        before, at = packed.before[own], packed.at[own]
        assert positions[at].tolist() == list(range(len(prompt), len(prompt) + len(completion)))
        assert before[1:].tolist() == at[:-1].tolist()
        assert stream[before[0] - len(prompt) + 1 : before[0] + 1].tolist() == prompt
        assert positions[before[0] - len(prompt) + 1 : before[0] + 1].tolist() == list(range(len(prompt)))
        assert mask[n].tolist() == [t < len(completion) for t in range(mask.shape[1])]
        assert batch["sampler_logprobs"][n, mask[n]].tolist() == pytest.approx(
            [-0.5 * (j + 1) for j in range(len(completion))]
        )
        assert batch["ref_logprobs"][n, mask[n]].tolist() == pytest.approx(reference[n].tolist())
        assert not batch["ref_logprobs"][n, ~mask[n]].any()
    assert mask.shape[1] == max(len(completion) for _, completion in everything)


def test_a_filler_carries_weight_zero_and_the_counts_of_its_step():
    batch = collate(sequences_of([([2], [5, 1])] * 4, per_row=2), MicroBatch((1,), 0.0, 7, 40))

    assert batch["weights"].tolist() == [0.0, 0.0]
    assert (batch["num_items"], batch["num_tokens"], batch["rows"]) == (7.0, 40.0, (1,))


def test_demonstrations_have_no_sampler_log_probabilities():
    batch = collate(sequences_of([([2], [5, 1])], sampled=False), MicroBatch((0,), 1.0, 1, 2))

    assert not batch["sampler_logprobs"].any()
    assert batch["mask"].sum() == 2


@given(rows=st.lists(st.tuples(TOKENS, TOKENS), min_size=1, max_size=12), micro_tokens=st.integers(1, 40))
def test_scoring_takes_every_row_once_within_its_tokens_the_costliest_first(rows, micro_tokens):
    sequences = sequences_of(rows)
    wanted = list(range(len(rows)))[::2]

    found = list(stretches(sequences, wanted, micro_tokens))

    cost = [sum(len(rows[row][0]) + len(rows[row][1]) for row in members) for members in found]
    assert sorted(row for members in found for row in members) == wanted
    assert all(tokens <= micro_tokens or len(members) == 1 for tokens, members in zip(cost, found, strict=True))


def test_a_plan_of_real_pairs_trains_on_every_completion_token_once(tmp_path):
    rows = pairs(23)
    sequences = Sequences.of(Store(tmp_path).table(stored(Store(tmp_path), rows)))
    lengths = [sequences.completion_tokens(row) for row in range(len(sequences))]
    made = plan(lengths, batch_size=10, micro_tokens=16, processes=3, epochs=1, seed=1)

    seen: Counter[int] = Counter()
    for step in steps_of(made, 3):
        batches = [collate(sequences, micro) for micro in step]
        tokens = sum(float((b["mask"].sum(-1) * b["weights"]).sum()) for b in batches)
        assert tokens == step[0].num_tokens
        seen.update(real_rows(step))
        for batch in batches:
            assert len(batch["mask"]) == 2 * len(batch["rows"])  # a pair is never split
            expected = [ids for row in batch["rows"] for ids in (rows[row].chosen_ids, rows[row].rejected_ids)]
            parts = batch["packed"].labels.split([len(ids) for ids in expected])
            assert [part.tolist() for part in parts] == expected
    assert seen == Counter(range(23))
    assert torch.get_default_dtype() == torch.float32
