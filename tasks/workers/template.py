"""The one place where a chat template is rendered: sampling, warm-up and evaluation all come here."""

from typing import Any

from transformers import GenerationConfig, PreTrainedTokenizerBase

from tasks.settings import Template
from tasks.workers.failure import BadInput

NO_CODE: dict[str, Any] = {"trust_remote_code": False, "use_safetensors": True}
"""How weights are loaded: a pickled file that lies beside others would run what it holds."""
_MARK = "odr-assistant-turn"


def load_tokenizer(model: str) -> PreTrainedTokenizerBase:
    """Load the tokenizer of a model folder.

    Raises:
        BadInput: it has no chat template.
    """
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model, trust_remote_code=False)
    if not tokenizer.chat_template:
        raise BadInput(
            f"the tokenizer of {model} has no chat template",
            "put a chat_template.jinja into the model folder (a base model can use its chat sibling's)",
        )
    return tokenizer


def prompt_ids(tokenizer: PreTrainedTokenizerBase, question: str, template: Template) -> list[int]:
    """Token ids up to where the assistant begins to answer."""
    messages = [{"role": "user", "content": question + template.suffix}]
    if template.system is not None:
        messages.insert(0, {"role": "system", "content": template.system})
    text = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    # The template writes every special token itself; adding them again would double the first one.
    return tokenizer(str(text), add_special_tokens=False)["input_ids"]  # type: ignore[return-value]


def completion_ids(tokenizer: PreTrainedTokenizerBase, solution: str) -> list[int]:
    """Token ids of a finished answer: the text and the template's end of turn."""
    ids: list[int] = tokenizer(solution, add_special_tokens=False)["input_ids"]  # type: ignore[assignment]
    return [*ids, end_of_turn(tokenizer)]


def end_of_turn(tokenizer: PreTrainedTokenizerBase) -> int:
    """The token that the template puts behind the assistant's words (`<|im_end|>` in ChatML).

    Base models often have another end-of-sequence token, so asking the template is the only safe way.
    """
    messages = [{"role": "user", "content": "?"}, {"role": "assistant", "content": _MARK}]
    text = str(tokenizer.apply_chat_template(messages, tokenize=False))
    after: list[int] = tokenizer(text.split(_MARK)[-1], add_special_tokens=False)["input_ids"]  # type: ignore[assignment]
    if after and (after[0] in tokenizer.all_special_ids or _is_special(tokenizer, after[0])):
        return after[0]
    return int(tokenizer.eos_token_id)  # type: ignore[arg-type]


def _is_special(tokenizer: PreTrainedTokenizerBase, token: int) -> bool:
    """Whether a token is special without having a role, as many templates' end of turn is."""
    added = tokenizer.added_tokens_decoder.get(token)
    return added is not None and added.special


def stop_ids(tokenizer: PreTrainedTokenizerBase, generation: GenerationConfig | None, template: Template) -> list[int]:
    """All tokens that end an answer: the tokenizer's, the model's, the template's and the config's.

    Raises:
        BadInput: a token named in the config is not in the vocabulary.
    """
    stops = {end_of_turn(tokenizer)}
    declared = [tokenizer.eos_token_id, generation.eos_token_id if generation else None]
    for ids in declared:
        stops.update(ids if isinstance(ids, list) else [] if ids is None else [ids])
    vocabulary = tokenizer.get_vocab()
    for token in template.stop:
        if token not in vocabulary:
            raise BadInput(f"template.stop names {token!r}, which is no token of this model", "remove or correct it")
        stops.add(vocabulary[token])
    return sorted(stops)
