"""The head in slices of vocabulary against plain `log_softmax`, with gradients; shapes: M tokens, E hidden, V words."""

import pytest
import torch
from torch import nn

from tasks.workers import head
from tasks.workers.failure import BadInput
from tasks.workers.head import TokenHead, _TokenLogprob, token_head

M, E, V = 7, 5, 23


@pytest.fixture(params=[(1, 0), (1, 9 * M), (4, V * M), (10_000, 0), (10_000, V * M)], ids=str)
def width(request, monkeypatch):
    """Words of a slice, and how many logits stay between the passes."""
    words, kept = request.param
    monkeypatch.setattr(head, "CPU_SLICE", words * M)
    monkeypatch.setattr(head, "KEPT", kept)


def tensors(dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)

    def drawn(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)

    labels = torch.randint(V, (M,), generator=generator)
    return drawn(M, E).requires_grad_(), drawn(V, E).requires_grad_(), labels, drawn(M, E), drawn(V, E)


def plainly(hidden, weight, labels, ref_hidden, ref_weight):
    logp, ref = (hidden @ weight.T).log_softmax(-1), (ref_hidden @ ref_weight.T).log_softmax(-1)
    return logp.gather(1, labels[:, None])[:, 0], (ref.exp() * (ref - logp)).sum(-1)


def test_log_probabilities_and_divergences_are_those_of_whole_logits(width):
    torch.testing.assert_close(_TokenLogprob.apply(*tensors()), plainly(*tensors()))


def test_their_gradients_are_right_with_and_without_a_reference(width):
    hidden, weight, labels, ref_hidden, ref_weight = tensors()

    assert torch.autograd.gradcheck(
        lambda h, w: _TokenLogprob.apply(h, w, labels, ref_hidden, ref_weight), (hidden, weight)
    )
    assert torch.autograd.gradcheck(lambda h, w: _TokenLogprob.apply(h, w, labels, None, None)[0], (hidden, weight))


def test_a_frozen_weight_gets_no_gradient(width):
    hidden, weight, labels, *_ = tensors()
    weight.requires_grad_(False)

    _TokenLogprob.apply(hidden, weight, labels, None, None)[0].sum().backward()

    assert weight.grad is None
    assert hidden.grad is not None


def test_in_bfloat16_the_sums_are_in_float32(width):
    hidden, weight, labels, *_ = tensors(torch.bfloat16)

    found, _ = _TokenLogprob.apply(hidden, weight, labels, None, None)
    found.sum().backward()

    exact = [each.detach().double().requires_grad_() for each in (hidden, weight)]
    expected = (exact[0] @ exact[1].T).log_softmax(-1).gather(1, labels[:, None])[:, 0]
    expected.sum().backward()
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), expected, rtol=0.02, atol=0.03)
    for low, high in zip((hidden, weight), exact, strict=True):
        assert low.grad.dtype == torch.bfloat16
        torch.testing.assert_close(low.grad.double(), high.grad, rtol=0.03, atol=0.05)


@pytest.mark.parametrize(("kept", "made_again"), [(0, 6), (4 * M, 5), (9 * M, 4), (V * M, 0)])
def test_slices_that_are_not_kept_are_made_again(monkeypatch, kept, made_again):
    monkeypatch.setattr(head, "CPU_SLICE", 4 * M)
    monkeypatch.setattr(head, "KEPT", kept)
    seen = []
    original = head._logits
    monkeypatch.setattr(head, "_logits", lambda *parts: seen.append(original(*parts).numel()) or original(*parts))
    hidden, weight, labels, *_ = tensors()

    _TokenLogprob.apply(hidden, weight, labels, None, None)[0].sum().backward()

    assert max(seen) == 4 * M
    assert len(seen) == 6 + made_again


@pytest.mark.parametrize(("width", "widths"), [(4, [4] * 64), (64, [64] * 4), (150, [128, 128]), (256, [256])])
def test_slices_cover_the_vocabulary_in_widths_that_processors_like(monkeypatch, width, widths):
    monkeypatch.setattr(head, "CPU_SLICE", width * M)

    slices = list(head._slices(torch.empty(M, E), torch.empty(256, E)))

    assert [part.stop - part.start for part in slices] == widths
    assert [part.start for part in slices[1:]] == [part.stop for part in slices[:-1]]
    assert (slices[0].start, slices[-1].stop) == (0, 256)


def test_the_models_own_head_becomes_one_and_keeps_its_name_and_tie(model, tmp_path):
    import copy

    ours = copy.deepcopy(model)

    found = token_head(ours)

    assert isinstance(found, TokenHead)
    assert token_head(ours) is found
    assert ours.state_dict().keys() == model.state_dict().keys()
    assert found.weight is ours.get_input_embeddings().weight
    ours.save_pretrained(tmp_path)
    again = type(model).from_pretrained(tmp_path)
    assert type(again.lm_head) is nn.Linear
    assert all(torch.equal(a, b) for a, b in zip(again.parameters(), model.parameters(), strict=True))


def test_a_head_with_a_bias_is_refused():
    class Biased(nn.Module):
        def get_output_embeddings(self):
            return nn.Linear(E, V)

    with pytest.raises(BadInput, match="the head of Biased is not a matrix alone"):
        token_head(Biased())
