"""The data sets of open-instruct, as its open_instruct/dataset_transformation.py reads them.

    accepted   messages                         the whole chat (`sft_tulu_tokenize_and_truncate_v1`)
    pairs      chosen, rejected                 two whole chats (`preference_tulu_tokenize_and_truncate_v1`)
    problems   messages, ground_truth, dataset  a chat without a reply (`rlvr_tokenize_v3`)

`dataset` names the verifier; `math` looks for a box and compares with `ground_truth`. Several answers of which any is
right cannot be said there: the first one stands.
"""

from typing import Any

import pyarrow as pa

from flows.exchange.examples import Completion, Preference, Problem
from flows.exchange.layout import MESSAGES, layout, replied

Row = dict[str, Any]
VERIFIER = "math"


def _chat(example: Completion) -> Row:
    return {"messages": replied(example.problem.messages, example.text)}


def _preference(example: Preference) -> Row:
    asked = example.problem.messages
    return {"chosen": replied(asked, example.chosen), "rejected": replied(asked, example.rejected)}


def _problem(example: Problem) -> Row:
    return {"messages": example.messages, "ground_truth": example.answers[0], "dataset": VERIFIER}


LAYOUTS = {
    "accepted": layout(_chat, messages=MESSAGES),
    "pairs": layout(_preference, chosen=MESSAGES, rejected=MESSAGES),
    "problems": layout(_problem, messages=MESSAGES, ground_truth=pa.string(), dataset=pa.string()),
}
"""By kind of rows."""
