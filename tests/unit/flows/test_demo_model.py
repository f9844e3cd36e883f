"""The demo's tokenizer and model, as transformers loads them from disk."""

import json
import re
from string import printable

import pytest

from flows.demo import DemoFiles, build

CHAT = [{"role": "user", "content": "What is 47 + 38?"}]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> DemoFiles:
    return build(tmp_path_factory.mktemp("demo") / "seed0")


@pytest.fixture(scope="module")
def tokenizer(files: DemoFiles):
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(files.model)


@pytest.mark.parametrize("part", ["warmup", "train", "heldout"])
def test_every_generated_text_survives_encoding(files: DemoFiles, tokenizer, part: str):
    rows = [json.loads(line) for line in getattr(files, part).read_text().splitlines()]
    texts = [text for row in rows for column, text in row.items() if column != "answer"]

    encoded = tokenizer(texts)["input_ids"]

    assert tokenizer.batch_decode(encoded) == texts


@pytest.mark.parametrize("text", [printable, "  two  spaces ", "un mot inattendu: été, 数学", "5+7=12\n"])
def test_any_other_text_survives_encoding_too(tokenizer, text: str):
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


def test_digits_are_single_tokens(tokenizer):
    ids = tokenizer("Solve 12x + 345 = 6789.")["input_ids"]

    assert [token for token in map(tokenizer.decode, ids) if re.search(r"\d", token)] == list("123456789")


def test_the_prompt_is_chatml_with_these_tokens(tokenizer):
    text = tokenizer.apply_chat_template(CHAT, tokenize=False, add_generation_prompt=True)
    ids = tokenizer.apply_chat_template(CHAT, add_generation_prompt=True)["input_ids"]

    assert text == "<|im_start|>user\nWhat is 47 + 38?<|im_end|>\n<|im_start|>assistant\n"
    assert [tokenizer.decode([i]) for i in ids] == [
        *("<|im_start|>", "user", "\n", "What is ", "4", "7", " + ", "3", "8", "?"),
        *("<|im_end|>", "\n", "<|im_start|>", "assistant", "\n"),
    ]
    assert ids == [2, 295, 201, 352, 22, 25, 323, 21, 26, 33, 1, 201, 2, 322, 201]


def test_a_system_message_goes_first(tokenizer):
    chat = [{"role": "system", "content": "Be careful."}, *CHAT, {"role": "assistant", "content": "\\boxed{85}"}]

    text = tokenizer.apply_chat_template(chat, tokenize=False)

    assert text == (
        "<|im_start|>system\nBe careful.<|im_end|>\n<|im_start|>user\nWhat is 47 + 38?<|im_end|>\n"
        "<|im_start|>assistant\n\\boxed{85}<|im_end|>\n"
    )


def test_the_model_is_a_small_qwen2_that_ends_where_the_tokenizer_ends(files: DemoFiles, tokenizer):
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(files.model)
    ids = torch.tensor([tokenizer.apply_chat_template(CHAT, add_generation_prompt=True)["input_ids"]])

    assert type(model).__name__ == "Qwen2ForCausalLM"
    assert model.dtype == torch.float32
    assert 500_000 < model.num_parameters() < 1_000_000
    assert model.config.tie_word_embeddings
    assert model.config.vocab_size == len(tokenizer)
    assert model.config.max_position_embeddings == 256
    assert tokenizer.decode([model.generation_config.eos_token_id]) == tokenizer.eos_token == "<|im_end|>"
    assert model.generation_config.pad_token_id == tokenizer.pad_token_id != tokenizer.eos_token_id
    assert model(ids).logits.shape == (1, ids.shape[1], len(tokenizer))


def test_building_a_model_leaves_the_random_state_alone(tokenizer):
    import torch

    from flows.demo.model import build_model

    torch.manual_seed(7)
    expected = torch.rand(1)
    torch.manual_seed(7)

    build_model(tokenizer, seed=0)

    assert torch.rand(1) == expected
