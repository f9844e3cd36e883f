"""What a packed stream says of each token, against a plain forward pass of each sequence alone."""

from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForTokenClassification, LlamaConfig, Qwen2Config

from tasks.workers import attention, policy
from tasks.workers.failure import BadInput
from tasks.workers.packing import pack, padded
from tasks.workers.sequences import Sequences

ROWS = [([2, 9, 4], [5, 6, 1]), ([2], [7, 8, 9, 10, 1]), ([2, 9, 4], [1]), ([2, 2], [11, 12]), ([2, 9, 4], [3, 3])]
SMALL = {
    "vocab_size": 64, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
    "intermediate_size": 48, "max_position_embeddings": 64, "initializer_range": 0.3,
}  # fmt: skip
MODELS = {
    "tied Qwen2": Qwen2Config(**SMALL, tie_word_embeddings=True),
    "untied Qwen2": Qwen2Config(**SMALL, tie_word_embeddings=False),
    "Llama": LlamaConfig(**SMALL, tie_word_embeddings=False),
}


@pytest.fixture(scope="module", params=MODELS)
def folder(request, tmp_path_factory):
    """A random model in float64, of every family and tie."""
    folder = tmp_path_factory.mktemp("model")
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(MODELS[request.param]).double().save_pretrained(folder)
    return folder


def packed_of(rows, **options):
    return pack([np.array(prompt) for prompt, _ in rows], [np.array(completion) for _, completion in rows], **options)


def sequences_of(rows, per_row=1):
    return Sequences(
        [np.array(prompt, dtype=np.int32) for prompt, _ in rows],
        [np.array(completion, dtype=np.int32) for _, completion in rows],
        [np.zeros(len(completion), dtype=np.float32) for _, completion in rows],
        per_row,
    )


def alone(model, prompt, completion):
    """[C] from one unpacked forward pass with full logits."""
    logits = model(input_ids=torch.tensor([prompt + completion])).logits[0, len(prompt) - 1 : -1]
    return logits.log_softmax(-1).gather(1, torch.tensor(completion)[:, None])[:, 0]


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("share", [False, True])
def test_log_probabilities_and_gradients_are_those_of_each_sequence_alone(folder, share, checkpointing):
    plain = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64)
    packed = policy.load(str(folder), "policy", torch.float64).train()
    if checkpointing:
        policy.checkpoint_activations(packed)
        assert [layer.gradient_checkpointing for layer in packed.model.layers] == [True, False]
    stream = packed_of(ROWS, share=share)
    coefficients = torch.linspace(-1, 1, 25, dtype=torch.float64).reshape(5, 5)

    found_M, kl = policy.per_token(packed, "policy", stream)
    found = padded(found_M, stream.mask)
    (found * coefficients).sum().backward()

    assert kl is None
    for n, (prompt, completion) in enumerate(ROWS):
        expected = alone(plain, prompt, completion)
        torch.testing.assert_close(found[n, : len(completion)], expected, rtol=0, atol=1e-5)
        (expected * coefficients[n, : len(completion)]).sum().backward()
    for (name, ours), (other, theirs) in zip(packed.named_parameters(), plain.named_parameters(), strict=True):
        assert name == other
        # transformers normalises in float32 whatever the model is in: this is its rounding, not ours
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-4, atol=1e-4)


class Counted(TorchDispatchMode):
    """Counts the operators that run."""

    def __init__(self):
        super().__init__()
        self.counts = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.counts[func] += 1
        return func(*args, **(kwargs or {}))


def test_activations_that_are_made_again_do_not_make_attention_again(folder):
    """One kernel per answer and layer, whether or not the rest of the layer runs twice."""
    found = []
    for checkpointing in (False, True):
        model = policy.load(str(folder), "policy", torch.float64).train()
        if checkpointing:
            policy.checkpoint_activations(model)
        with Counted() as counted:
            policy.per_token(model, "policy", packed_of(ROWS))[0].sum().backward()
        found.append(counted.counts)

    assert [sum(counts[kernel] for kernel in attention.KERNELS) for counts in found] == [2 * len(ROWS)] * 2
    assert found[1].total() > found[0].total()


IDS = st.lists(st.integers(0, 63), min_size=1, max_size=7)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(prompts=st.lists(st.tuples(IDS, st.lists(IDS, min_size=1, max_size=3)), min_size=1, max_size=4))
def test_shared_prompts_change_nothing(folder, prompts):
    model = policy.load(str(folder), "policy", torch.float64)
    rows = [(prompt, completion) for prompt, completions in prompts for completion in completions]

    with torch.no_grad():
        shared, apart = (policy.per_token(model, "policy", packed_of(rows, share=share))[0] for share in (True, False))

    torch.testing.assert_close(shared, apart, rtol=0, atol=1e-5)


def test_the_divergence_from_a_reference_is_that_of_whole_distributions(folder):
    plain = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64)
    reference = policy.load_frozen(str(folder), "policy", "float64", torch.device("cpu"))
    model = policy.load(str(folder), "policy", torch.float64)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.1)
    moved = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64)
    moved.load_state_dict(model.state_dict())

    _, kl = policy.per_token(model, "policy", packed_of(ROWS), reference)
    kl.sum().backward()

    start = 0
    for prompt, completion in ROWS:
        p, q = (m(input_ids=torch.tensor([prompt + completion])).logits[0].log_softmax(-1) for m in (moved, plain))
        own = slice(len(prompt) - 1, len(prompt) + len(completion) - 1)
        expected = (q.exp() * (q - p)).sum(-1)[own]
        torch.testing.assert_close(kl[start : start + len(completion)], expected, rtol=1e-4, atol=1e-5)
        expected.sum().backward()
        start += len(completion)
    assert all(parameter.grad is None for parameter in reference.parameters())
    for ours, theirs in zip(model.parameters(), moved.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-4, atol=2e-4)


# --- critics and reward models -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "shift"), [("critic", -1), ("reward_model", 0)])
def test_a_critic_is_asked_before_each_token_and_a_reward_model_after(folder, tmp_path, kind, shift):
    model = policy.load(str(folder), kind, torch.float64).train()
    assert not policy.per_token(model, kind, packed_of(ROWS))[0].any()  # fresh from a policy it says 0
    torch.nn.init.normal_(model.score.weight)
    torch.nn.init.constant_(model.score.bias, 0.5)
    model.save_pretrained(tmp_path)

    again = policy.load(str(tmp_path), kind, torch.float64).train()  # training mode: there is no dropout
    found, _ = policy.per_token(again, kind, packed_of(ROWS))

    plain = AutoModelForTokenClassification.from_pretrained(tmp_path, dtype=torch.float64).eval()
    expected = []
    for prompt, completion in ROWS:
        values = plain(input_ids=torch.tensor([prompt + completion])).logits[0, :, 0]
        expected.append(values[len(prompt) + shift : len(prompt) + len(completion) + shift])
    torch.testing.assert_close(found.double(), torch.cat(expected), rtol=0, atol=1e-5)
    assert found.std() > 0.1


# --- scoring -----------------------------------------------------------------------------------------------------


def test_a_policy_is_no_reward_model(folder):
    """A head of zeros would score every answer 0 and say nothing of it."""
    with pytest.raises(BadInput, match=r"is no \w+ForTokenClassification: it lacks score\."):
        policy.load_frozen(str(folder), "reward_model", "float32", torch.device("cpu"))
    assert policy.load_frozen(str(folder), "critic", "float32", torch.device("cpu")).score.weight.abs().max() == 0


def test_a_critic_is_no_policy_unless_its_head_is_the_embedding(folder, tmp_path):
    """What is not in the folder would be drawn at random."""
    policy.load(str(folder), "critic", torch.float32).save_pretrained(tmp_path)

    if AutoConfig.from_pretrained(folder).tie_word_embeddings:
        policy.load(str(tmp_path), "policy", torch.float32)
    else:
        with pytest.raises(BadInput, match=r"is no \w+ForCausalLM: it lacks lm_head.weight"):
            policy.load(str(tmp_path), "policy", torch.float32)


@pytest.mark.parametrize("micro_tokens", [1, 12, 1000])
def test_scoring_covers_the_rows_asked_for(model, model_folder, micro_tokens):
    frozen = policy.load_frozen(str(model_folder), "policy", "float32", torch.device("cpu"))

    scored = dict(policy.score(frozen, "policy", sequences_of(ROWS), [0, 1, 3], micro_tokens))

    assert sorted(scored) == [0, 1, 3]
    for i, found in scored.items():
        assert found.dtype == np.float32
        assert found.tolist() == pytest.approx(alone(model, *ROWS[i]).tolist(), abs=2e-5)


def test_scoring_a_pair_scores_both_answers(model, model_folder):
    frozen = policy.load_frozen(str(model_folder), "policy", "float32", torch.device("cpu"))
    rows = [ROWS[0], (ROWS[0][0], [4, 4]), ROWS[1], (ROWS[1][0], [6])]

    scored = dict(policy.score(frozen, "policy", sequences_of(rows, per_row=2), [1], 1000))

    assert sorted(scored) == [2, 3]
    for i, found in scored.items():
        assert found.tolist() == pytest.approx(alone(model, *rows[i]).tolist(), abs=2e-5)


# --- what cannot be packed ---------------------------------------------------------------------------------------


def test_a_window_shorter_than_a_sequence_is_refused(tmp_path):
    config = Qwen2Config(**SMALL, use_sliding_window=True, sliding_window=4, max_window_layers=0)
    AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path)
    model = policy.load(str(tmp_path), "policy", torch.float32)

    with pytest.raises(BadInput, match="a sequence has 6 tokens, and Qwen2Attention sees only the last 4 of them"):
        policy.per_token(model, "policy", packed_of(ROWS))
    policy.per_token(model, "policy", packed_of(ROWS[2:4]))  # no sequence has more than 4


def test_an_attention_that_does_not_get_the_layout_is_refused(model_folder):
    model = policy.load(str(model_folder), "policy", torch.float32)

    with pytest.raises(BadInput, match="Qwen2Attention does not hand keyword arguments on"):
        model(input_ids=torch.tensor([[2, 3]]))


def test_a_layer_that_does_not_attend_here_is_noticed(model_folder):
    model = policy.load(str(model_folder), "policy", torch.float32)
    model.config.num_hidden_layers += 1
    model.model.layers.append(torch.nn.Identity())
    model.model.layers[-1].forward = lambda states, **_: states
    model.config.layer_types = ["full_attention"] * 3

    with pytest.raises(BadInput, match="2 of the 3 layers of Qwen2ForCausalLM know of packing"):
        policy.per_token(model, "policy", packed_of(ROWS))


def test_a_model_that_changes_its_logits_is_refused(tmp_path):
    from transformers import CohereConfig

    config = CohereConfig(**SMALL, logit_scale=0.5)
    AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path)
    model = policy.load(str(tmp_path), "policy", torch.float32)

    with pytest.raises(BadInput, match="CohereForCausalLM changes the logits after its head"):
        policy.per_token(model, "policy", packed_of(ROWS))


def test_attention_costs_the_sum_of_its_squares(monkeypatch):
    """No tensor of a whole stream's square: 64 answers of 16 tokens to one prompt of 16."""
    seen = []
    original = attention.scaled_dot_product_attention
    monkeypatch.setattr(
        attention, "scaled_dot_product_attention",
        lambda q, k, v, **how: seen.append(q.shape[2] * k.shape[2]) or original(q, k, v, **how),
    )  # fmt: skip
    states = torch.zeros(1, 2, 16 + 64 * 16, 4)
    layout = attention.Layout((attention.Bunch(16, (16,) * 64),))

    attention.packed_attention(torch.nn.Identity(), states, states, states, None, layout=layout)

    assert sum(seen) == 64 * (16 + 16) * 16 + (16 * 16) * 2
