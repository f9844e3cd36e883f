"""A Qwen2 tokenizer whose vocabulary is the text of the demo's questions.

It is the class that `AutoTokenizer` insists on for every Qwen2 model. Each fixed phrase of a question
template is one token, for two reasons: a CPU pays for every token, and a phrase right before a number tells a
small model what the number is for. Digits are single, as it must see them to calculate; any other text
falls back to bytes.
"""

from string import Formatter
from typing import TYPE_CHECKING

from flows.demo.families import FAMILIES, ITEMS, NAMES

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

PAD, START, END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
MAX_TOKENS = 256
"""Longest sequence the model takes, prompt and completion together."""

WORDS = ["system", "user", "assistant", *NAMES, *(f" {item}" for item in ITEMS)]
"""Become one token each."""

CHAT_TEMPLATE = """\
{%- for message in messages -%}
{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{ '<|im_start|>assistant\\n' }}
{%- endif -%}
"""


def build_tokenizer() -> "PreTrainedTokenizerFast":
    """The tokenizer with its ChatML template; the same for every seed."""
    from transformers import Qwen2Tokenizer

    untrained = Qwen2Tokenizer(
        pad_token=PAD,
        eos_token=END,
        unk_token=PAD,
        additional_special_tokens=[START],
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
        model_max_length=MAX_TOKENS,
    )
    # More room than the words need: training stops when each of them is one token.
    tokenizer = untrained.train_new_from_iterator(WORDS, vocab_size=2048, show_progress=False)
    tokenizer.add_tokens(phrases())
    return tokenizer


def phrases() -> list[str]:
    """The fixed texts between the fields of the question templates, and the opening of the box."""
    fixed = {text for family in FAMILIES.values() for text, *_ in Formatter().parse(family.template)}
    return sorted(text for text in {*fixed, "\\boxed{"} if len(text) > 1)
