"""The Parquet files of verl, as its own scripts write them.

    problems   data_source, prompt, ability, reward_model {style, ground_truth}, extra_info
               (docs/preparation/prepare_data.rst, examples/data_preprocess/gsm8k.py)
    accepted   messages (examples/data_preprocess/gsm8k_multiturn_sft.py)

verl chooses its reward by `data_source`, and knows none of ours: set `custom_reward_function.path` to a file with
`compute_score = eval_math.adapters.verl.as_verl(...)`. `ground_truth` has one answer; all of them, and the question
without the template's suffix, stand in `extra_info`, which a reward function is given too.
"""

from typing import Any

import pyarrow as pa

from flows.exchange.examples import Completion, Problem
from flows.exchange.layout import MESSAGES, layout, replied

Row = dict[str, Any]
_REWARD = pa.struct([("style", pa.string()), ("ground_truth", pa.string())])
_EXTRA = pa.struct(
    [("split", pa.string()), ("index", pa.string()), ("question", pa.string()), ("answers", pa.list_(pa.string()))]
)


def _problem(example: Problem) -> Row:
    return {
        "data_source": example.source,
        "prompt": example.messages,
        "ability": "math",
        "reward_model": {"style": "rule", "ground_truth": example.answers[0]},
        "extra_info": {
            "split": "train",
            "index": example.prompt_id,
            "question": example.question,
            "answers": example.answers,
        },
    }


def _chat(example: Completion) -> Row:
    return {"messages": replied(example.problem.messages, example.text)}


LAYOUTS = {
    "problems": layout(
        _problem, data_source=pa.string(), prompt=MESSAGES, ability=pa.string(), reward_model=_REWARD, extra_info=_EXTRA
    ),
    "accepted": layout(_chat, messages=MESSAGES),
}
"""By kind of rows."""
