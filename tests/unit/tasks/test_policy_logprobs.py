"""The trainer's log-probabilities against plain `log_softmax` over the full vocabulary of every position."""

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks.workers import policy
from tasks.workers.batches import MicroBatch, Sequences, collate

ROWS = [([2, 9, 4], [5, 6, 1]), ([2], [7, 8, 9, 10, 1]), ([2, 3, 4, 5, 6, 7], [1]), ([2, 2], [11, 12])]


def sequences_of(rows):
    return Sequences(
        [np.array(prompt, dtype=np.int32) for prompt, _ in rows],
        [np.array(completion, dtype=np.int32) for _, completion in rows],
        [np.zeros(len(completion), dtype=np.float32) for _, completion in rows],
        1,
    )


def plain_logprobs(model, prompt, completion):
    """One unpadded forward pass, full logits, one token at a time."""
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([prompt + completion])).logits[0].double()
    first = len(prompt)
    return [float(logits[first + t - 1].log_softmax(-1)[token]) for t, token in enumerate(completion)]


def batched(model, rows):
    batch = collate(sequences_of(rows), MicroBatch(tuple(range(len(rows))), 1.0, len(rows), 1), None, 0)
    found = policy.token_logprobs(model, batch["input_ids"], batch["attention_mask"], batch["mask"].shape[1])
    return found, batch["mask"]


def test_padded_rows_have_the_log_probabilities_of_each_row_alone(model):
    found, mask = batched(model, ROWS)

    assert found.shape == mask.shape
    for n, (prompt, completion) in enumerate(ROWS):
        assert found[n, mask[n].bool()].tolist() == pytest.approx(plain_logprobs(model, prompt, completion), abs=2e-5)


IDS = st.lists(st.integers(0, 340), min_size=1, max_size=7)


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.tuples(IDS, IDS), min_size=1, max_size=5))
def test_any_rows_have_the_log_probabilities_of_a_plain_forward_pass(model, rows):
    found, mask = batched(model, rows)

    for n, (prompt, completion) in enumerate(rows):
        assert found[n, mask[n].bool()].tolist() == pytest.approx(plain_logprobs(model, prompt, completion), abs=5e-5)


@pytest.mark.parametrize("rows_at_once", [1, 2, 3])
def test_the_softmax_in_chunks_equals_the_whole_one_with_its_gradients(model, monkeypatch, rows_at_once):
    coefficients = torch.linspace(-1, 1, 40).reshape(4, -1)

    def value_and_gradients():
        model.zero_grad()
        found, mask = batched(model, ROWS)
        (found * mask * coefficients[:, : mask.shape[1]]).sum().backward()
        return found.detach(), [p.grad.clone() for p in model.parameters()]

    whole, whole_gradients = value_and_gradients()
    width, vocabulary = whole.shape[1], model.config.vocab_size
    calls = []
    original = policy._gather
    monkeypatch.setattr(policy, "LOGIT_BUDGET", rows_at_once * width * vocabulary)
    monkeypatch.setattr(policy, "_gather", lambda *parts: calls.append(len(parts[0])) or original(*parts))

    chunked, chunked_gradients = value_and_gradients()
    model.zero_grad()

    assert max(calls) == rows_at_once  # the budget is kept
    torch.testing.assert_close(chunked, whole)
    assert any(gradient.abs().max() > 1e-3 for gradient in whole_gradients)
    for found, expected in zip(chunked_gradients, whole_gradients, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_scoring_covers_the_rows_asked_for_longest_first(model):
    sequences = sequences_of(ROWS)

    scored = list(policy.score(model, sequences, [0, 1, 3], micro_batch=2, pad_id=0))

    lengths = [len(ROWS[i][0]) + len(ROWS[i][1]) for i, _ in scored]
    assert sorted(i for i, _ in scored) == [0, 1, 3]
    assert lengths == sorted(lengths, reverse=True)
    for i, found in scored:
        assert found.tolist() == pytest.approx(plain_logprobs(model, *ROWS[i]), abs=2e-5)


def test_scoring_a_pair_scores_both_answers(model):
    sequences = sequences_of(ROWS)
    paired = Sequences(sequences.prompts, sequences.completions, sequences.sampler_logprobs, 2)

    scored = dict(policy.score(model, paired, [1], micro_batch=1, pad_id=0))

    assert sorted(scored) == [2, 3]
    for i, found in scored.items():
        assert found.tolist() == pytest.approx(plain_logprobs(model, *ROWS[i]), abs=2e-5)
