"""How a question becomes tokens, and which tokens end an answer."""

import copy

import pytest
from transformers import GenerationConfig

from tasks.settings import Template
from tasks.workers import template
from tasks.workers.failure import BadInput

ASSISTANT = "<|im_start|>assistant\n"


@pytest.fixture
def own(tokenizer):
    """A copy that a test may change."""
    return copy.deepcopy(tokenizer)


def test_a_question_has_the_ids_it_always_had(tokenizer):
    ids = template.prompt_ids(tokenizer, "7+5?", Template())

    user, assistant = tokenizer.convert_tokens_to_ids(["user", "assistant"])
    assert ids == [2, user, 201, 25, 13, 23, 33, 1, 201, 2, assistant, 201]


def test_a_finished_answer_has_the_ids_it_always_had(tokenizer):
    ids = template.completion_ids(tokenizer, "7+5=12\n")

    assert ids == [25, 13, 23, 31, 19, 20, 201, 1]


def test_the_ids_read_as_chatml(tokenizer):
    ids = template.prompt_ids(tokenizer, "Solve 3x = 6.", Template())

    assert tokenizer.decode(ids) == f"<|im_start|>user\nSolve 3x = 6.<|im_end|>\n{ASSISTANT}"


def test_system_message_and_suffix_stand_where_they_belong(tokenizer):
    ids = template.prompt_ids(tokenizer, "1 + 1?", Template(system="Think.", suffix=" Box it."))

    assert tokenizer.decode(ids) == (
        f"<|im_start|>system\nThink.<|im_end|>\n<|im_start|>user\n1 + 1? Box it.<|im_end|>\n{ASSISTANT}"
    )


def test_an_empty_system_message_is_a_message(tokenizer):
    ids = template.prompt_ids(tokenizer, "1?", Template(system=""))

    assert tokenizer.decode(ids).startswith("<|im_start|>system\n<|im_end|>")


def test_a_template_that_writes_its_own_first_token_does_not_get_a_second(own):
    own.chat_template = "{{ bos_token }}" + own.chat_template
    own.bos_token = "<|endoftext|>"
    own.add_bos_token = True

    ids = template.prompt_ids(own, "1?", Template())

    assert ids.count(own.bos_token_id) == 1


def test_prompt_and_completion_together_are_the_rendered_conversation(tokenizer):
    question, answer = "What is 12 + 7?", "12+7=19\n\\boxed{19}"
    messages = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    rendered = tokenizer(tokenizer.apply_chat_template(messages, tokenize=False), add_special_tokens=False)["input_ids"]

    found = template.prompt_ids(tokenizer, question, Template()) + template.completion_ids(tokenizer, answer)

    assert found == rendered[: len(found)]
    assert tokenizer.decode(rendered[len(found) :]) == "\n"  # what the template writes between turns


def test_the_end_of_turn_is_the_templates_not_the_tokenizers(own):
    own.add_special_tokens({"extra_special_tokens": ["<|im_start|>", "<|im_end|>"]})  # as Qwen2.5's base models do
    own.eos_token = "<|endoftext|>"

    assert own.eos_token_id == 0
    assert template.end_of_turn(own) == own.convert_tokens_to_ids("<|im_end|>") == 1
    assert template.completion_ids(own, "7")[-1] == 1


def test_an_end_token_that_is_special_without_being_named_counts(own):
    own.eos_token = "<|endoftext|>"  # <|im_end|> stays marked special but has no role, as <|eot_id|> in Llama 3

    assert own.added_tokens_decoder[1].special
    assert 1 not in own.all_special_ids
    assert template.end_of_turn(own) == own.convert_tokens_to_ids("<|im_end|>") == 1
    assert template.completion_ids(own, "7")[-1] == 1


def test_a_template_without_an_end_token_falls_back_to_the_tokenizers(own):
    own.chat_template = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}"

    assert template.end_of_turn(own) == own.eos_token_id


def test_all_declared_end_tokens_stop_an_answer(own):
    own.add_special_tokens({"extra_special_tokens": ["<|im_start|>", "<|im_end|>"]})
    own.eos_token = "<|endoftext|>"
    generation = GenerationConfig(eos_token_id=[19, 20])

    stops = template.stop_ids(own, generation, Template(stop=("<|im_start|>",)))

    assert stops == sorted({0, 1, 2, 19, 20})  # tokenizer, template, config, model


@pytest.mark.parametrize("generation", [None, GenerationConfig(), GenerationConfig(eos_token_id=1)])
def test_one_end_token_is_listed_once(tokenizer, generation):
    assert template.stop_ids(tokenizer, generation, Template()) == [1]


def test_a_stop_token_that_is_none_is_refused(tokenizer):
    with pytest.raises(BadInput) as caught:
        template.stop_ids(tokenizer, None, Template(stop=("<|eot_id|>",)))

    assert "<|eot_id|>" in caught.value.message
    assert "no token of this model" in caught.value.message


def test_a_tokenizer_without_a_chat_template_is_refused(own, tmp_path):
    own.chat_template = None
    own.save_pretrained(tmp_path)

    with pytest.raises(BadInput) as caught:
        template.load_tokenizer(str(tmp_path))

    assert str(tmp_path) in caught.value.message
    assert "no chat template" in caught.value.message
    assert "chat_template.jinja" in caught.value.fix


def test_a_saved_tokenizer_renders_the_same_ids(tokenizer, model_folder):
    loaded = template.load_tokenizer(str(model_folder))

    for question in ("What is 12 + 7?", "Ann has 3 nuts — ∞ é", ""):
        assert template.prompt_ids(loaded, question, Template()) == template.prompt_ids(tokenizer, question, Template())
