"""The transformers engine on a tiny random model: reproducible answers with honest log-probabilities."""

from pathlib import Path

import pytest
import torch

from tasks.machine import Machine
from tasks.settings import Sampling, Template
from tasks.workers.engines import Ask, load
from tasks.workers.hf_engine import TransformersEngine
from tasks.workers.jobs import SampleJob, SampleRequest
from tasks.workers.template import prompt_ids

QUESTIONS = ["1+2?", "What is 12 + 7?", "Solve 3x = 6.", "9?"]
STOP = [1, 18, 19, 20, 21]  # the end of turn, and some digits so that the random model stops now and then


def an_engine(model_folder, **options) -> TransformersEngine:
    machine = Machine(max_num_seqs=options.pop("max_num_seqs", 64))
    sampling = Sampling(engine="transformers", dtype="float32", **options)
    request = SampleRequest(
        store="", prompts={}, num_prompts=1, sampling=sampling, seed=0, shards=Path(), claims=Path()
    )
    job = SampleJob(
        store="", model=str(model_folder), requests=(request,), template=Template(), machine=machine,
        progress=Path(), failure=Path(),
    )  # fmt: skip
    engine = load(job)
    assert isinstance(engine, TransformersEngine)
    return engine


@pytest.fixture(scope="module")
def engine(model_folder):
    return an_engine(model_folder)


def asks(tokenizer, *, max_tokens=12, **sampling):
    settings = Sampling(engine="transformers", max_tokens=max_tokens, **{"samples_per_prompt": 3, **sampling})
    return [
        Ask(i, prompt_ids(tokenizer, question, Template()), settings, max_tokens, seed=1000 * i)
        for i, question in enumerate(QUESTIONS)
    ]


def answers(engine, wanted):
    return {ask.key: completions for ask, completions in engine.generate(wanted, STOP)}


def reference_logprobs(model, ask, ids, *, temperature=1.0, top_p=1.0):
    """Plain forward over the whole sequence; the distribution is cut by an explicit loop."""
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([ask.prompt_ids + ids])).logits[0].double()
    found = []
    for t, token in enumerate(ids):
        probabilities = (logits[len(ask.prompt_ids) + t - 1] / temperature).softmax(-1).tolist()
        kept, mass = set(), 0.0
        for index in sorted(range(len(probabilities)), key=lambda i: -probabilities[i]):
            if mass >= top_p:
                break
            kept.add(index)
            mass += probabilities[index]
        assert token in kept
        found.append(torch.tensor(probabilities[token] / sum(probabilities[i] for i in kept)).log().item())
    return found


def test_an_answer_is_the_same_alone_and_in_a_batch(engine, tokenizer):
    wanted = asks(tokenizer)

    together = answers(engine, wanted)
    alone = {ask.key: answers(engine, [ask])[ask.key] for ask in wanted}
    backwards = answers(engine, list(reversed(wanted)))

    for key, completions in together.items():
        for other in (alone[key], backwards[key]):
            assert [c.ids for c in other] == [c.ids for c in completions]
            assert [c.finish_reason for c in other] == [c.finish_reason for c in completions]
            for mine, theirs in zip(completions, other, strict=True):
                assert theirs.logprobs == pytest.approx(mine.logprobs, abs=1e-4)


def test_an_answer_does_not_depend_on_how_many_run_at_once(model_folder, engine, tokenizer):
    wanted = asks(tokenizer)

    narrow = answers(an_engine(model_folder, max_num_seqs=1), wanted)

    assert {key: [c.ids for c in found] for key, found in narrow.items()} == {
        key: [c.ids for c in found] for key, found in answers(engine, wanted).items()
    }


def test_sample_j_is_the_stream_of_seed_plus_j(engine, tokenizer):
    three = asks(tokenizer)[1]
    single = Ask(0, three.prompt_ids, Sampling(engine="transformers", samples_per_prompt=1), 12, three.seed + 2)

    assert answers(engine, [single])[0][0].ids == answers(engine, [three])[1][2].ids


def test_samples_of_one_prompt_differ(engine, tokenizer):
    found = answers(engine, asks(tokenizer, samples_per_prompt=6))

    assert all(len({tuple(c.ids) for c in completions}) > 1 for completions in found.values())


@pytest.mark.parametrize(
    "options", [{}, {"temperature": 0.7}, {"top_p": 0.6}, {"temperature": 1.3, "top_p": 0.8}], ids=str
)
def test_log_probabilities_are_those_of_the_distribution_that_was_sampled(engine, model, tokenizer, options):
    wanted = asks(tokenizer, **options)

    for ask, completions in engine.generate(wanted, STOP):
        for completion in completions:
            assert len(completion.logprobs) == len(completion.ids)
            assert completion.logprobs == pytest.approx(
                reference_logprobs(model, ask, completion.ids, **options), abs=1e-4
            )


def test_greedy_takes_the_most_likely_token_every_time(engine, model, tokenizer):
    for ask, completions in engine.generate(asks(tokenizer, temperature=0.0, samples_per_prompt=1), STOP):
        ids: list[int] = []
        while len(ids) < 12 and not (ids and ids[-1] in STOP):
            with torch.no_grad():
                logits = model(input_ids=torch.tensor([ask.prompt_ids + ids])).logits[0, -1]
            ids.append(int(logits.argmax()))

        assert completions[0].ids == ids


def test_an_answer_ends_at_its_first_stop_token_which_it_keeps_or_at_its_limit(engine, tokenizer):
    reasons = set()

    for ask, completions in engine.generate(asks(tokenizer, samples_per_prompt=8), STOP):
        for completion in completions:
            reasons.add(completion.finish_reason)
            body, last = completion.ids[:-1], completion.ids[-1]
            assert not set(body) & set(STOP)
            if completion.finish_reason == "stop":
                assert last in STOP
                assert len(completion.ids) <= ask.max_tokens
            else:
                assert completion.finish_reason == "length"
                assert len(completion.ids) == ask.max_tokens
                assert last not in STOP

    assert reasons == {"stop", "length"}


def test_prompts_with_different_limits_share_a_batch(engine, tokenizer):
    from dataclasses import replace

    wanted = [replace(ask, max_tokens=2 + 3 * i) for i, ask in enumerate(asks(tokenizer))]

    for ask, completions in engine.generate(wanted, [1]):
        assert all(len(c.ids) == ask.max_tokens or c.finish_reason == "stop" for c in completions)


def test_the_context_is_the_models_unless_the_config_says_less(model_folder, engine, model):
    assert engine.max_model_len == model.config.max_position_embeddings == 128
    assert an_engine(model_folder, max_model_len=50).max_model_len == 50


def test_frequencies_follow_the_probabilities(engine, model, tokenizer):
    """One token drawn 2000 times from the first position: a total-variation distance no biased draw would reach."""
    ask = asks(tokenizer, samples_per_prompt=2000, temperature=0.5)[0]
    ask = Ask(0, ask.prompt_ids, ask.sampling, 1, seed=12345)
    with torch.no_grad():
        expected = (model(input_ids=torch.tensor([ask.prompt_ids])).logits[0, -1] / 0.5).softmax(-1)

    drawn = torch.bincount(torch.tensor([c.ids[0] for c in answers(engine, [ask])[0]]), minlength=len(expected)) / 2000

    top = expected.topk(5).indices
    assert (drawn[top] - expected[top]).abs().max() < 4 * (0.25 / 2000) ** 0.5
