"""What the adapters to TRL and verl share: reading references and rewards that come from the other library.

    trainer = GRPOTrainer(reward_funcs=[as_trl(rewards.load("seed_rule"))], ...)          # trl_adapter
    reward = from_trl(trl.rewards.think_format_reward)                                     # a reward of this package
    compute_score = as_verl(rewards.load("boxed_correct"))                                 # verl_adapter

Neither library is imported here. The adapters are plain objects that can be sent to other processes, as the async
trainers of TRL do.
"""

from __future__ import annotations

import math
from typing import Any

from eval_math.extraction.extract import extract
from eval_math.verdict import Grade, Reason


class AdapterError(ValueError):
    """The other library handed over, or wants, something this side has no counterpart for."""


def gold_of(value: Any) -> str | list[str]:
    """The accepted answers in a cell of a dataset: a text, a number, or a list of them; a box is opened."""
    value = value.tolist() if hasattr(value, "tolist") else value  # of numpy, in which verl keeps its columns
    return [_gold_text(each) for each in value] if isinstance(value, list | tuple) else _gold_text(value)


def _gold_text(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = "" if value is None else str(value)
    boxed = extract(text, "strict")
    return boxed.text if boxed and boxed.text.strip() else text


def reference_of(graded: Grade) -> str | None:
    """The reference that decided, in its normalised spelling; None where there was no answer to compare it with."""
    return graded.answer if graded.reason is Reason.SAME_TEXT else graded.gold_form


def reward_of(value: Any, function: object) -> float | None:
    """A reward as a float; None and not-a-number are no reward."""
    try:
        number = None if value is None else float(value)
    except (TypeError, ValueError) as error:
        raise AdapterError(f"{name_of(function)} returned {value!r:.80}; expected a number or None") from error
    return None if number is None or math.isnan(number) else number


def name_of(function: Any) -> str:
    """What a reward is called in logs and errors."""
    inner = getattr(function, "func", function)  # of functools.partial
    return getattr(inner, "__name__", type(inner).__name__)
