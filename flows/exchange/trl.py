r"""The data sets of TRL: "Dataset formats and types", https://huggingface.co/docs/trl/dataset_formats.

    preference           prompt, chosen, rejected     DPOTrainer and its kin
    prompt-completion    prompt, completion           SFTTrainer
    unpaired preference  prompt, completion, label    KTOTrainer
    prompt-only          prompt, solution             GRPOTrainer; `accuracy_reward` reads `solution`

Conversational: each text is a list of messages, and TRL applies the model's chat template. Plain: the prompt is the
rendered template with its special tokens, and TRL applies none; only the tokenizer that sampled gives it the same ids.
"""

from typing import Any

import pyarrow as pa

from flows.exchange.examples import Completion, Message, Preference, Problem
from flows.exchange.layout import MESSAGES, Layout, layout, reply

Row = dict[str, Any]


def _preference(example: Preference) -> Row:
    return {
        "prompt": example.problem.messages,
        "chosen": [reply(example.chosen)],
        "rejected": [reply(example.rejected)],
    }


def _completion(example: Completion) -> Row:
    return {"prompt": example.problem.messages, "completion": [reply(example.text)]}


def _labelled(example: Completion) -> Row:
    return {**_completion(example), "label": example.correct}


def _problem(example: Problem) -> Row:
    # math-verify, which `accuracy_reward` calls, finds LaTeX in a box or between dollars only.
    return {"prompt": example.messages, "solution": rf"\boxed{{{example.answers[0]}}}"}


_LABELLED = layout(_labelled, prompt=MESSAGES, completion=MESSAGES, label=pa.bool_())
LAYOUTS = {
    "pairs": layout(_preference, prompt=MESSAGES, chosen=MESSAGES, rejected=MESSAGES),
    "accepted": layout(_completion, prompt=MESSAGES, completion=MESSAGES),
    "groups": _LABELLED,
    "rollouts": _LABELLED,
    "problems": layout(_problem, prompt=MESSAGES, solution=pa.string()),
}
"""By kind of rows."""


def plain(table: Layout, render: Any) -> Layout:
    """The same table with texts in place of chats; `render` gives the text of an example's prompt."""

    def row(example: Preference | Completion) -> Row:
        texts = {name: _said(value) for name, value in table.row(example).items()}
        return {**texts, "prompt": render(example.problem)}

    kinds = {field.name: pa.string() if field.type == MESSAGES else field.type for field in table.columns}
    return layout(row, **kinds)


def _said(value: list[Message] | bool) -> str | bool:
    return value if isinstance(value, bool) else value[-1]["content"]
