"""Rewards: one function each from a verdict and its response to a number, or None without a verdict.

A reward function never turns an unknown verdict into a number: None is dropped and counted by the caller.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable
from typing import cast

from eval_math.extract import extract
from eval_math.verdict import Grade

Reward = Callable[[Grade, str], "float | None"]


def boxed_correct(grade: Grade, response: str) -> float | None:
    """1 for a right answer, else 0; whether a box is demanded is the policy's business."""
    del response
    return None if grade.correct is None else float(grade.correct)


def seed_rule(grade: Grade, response: str) -> float | None:
    """+1 for a right answer, -0.5 for a wrong one in a box, -1 for no boxed answer: Online-DPO-R1's rule."""
    if grade.correct is None:
        return None
    if grade.correct:
        return 1.0
    boxed = extract(response, "strict")
    return -0.5 if boxed is not None and boxed.text.strip() else -1.0


_REGISTERED: dict[str, Reward] = {"boxed_correct": boxed_correct, "seed_rule": seed_rule}


def names() -> list[str]:
    """The registered names, sorted."""
    return sorted(_REGISTERED)


def load(name: str) -> Reward:
    """The reward function of a registered name or of "module:function".

    Raises:
        ValueError: unknown name (with the nearest one), module not found, or no such function in it.
    """
    if name in _REGISTERED:
        return _REGISTERED[name]
    if ":" not in name:
        near = difflib.get_close_matches(name, names(), n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"unknown reward {name!r}{hint} Known: {', '.join(names())}, or 'module:function'")
    module_name, _, function_name = name.partition(":")
    try:
        module = importlib.import_module(module_name)
    except (ImportError, ValueError) as error:
        raise ValueError(f"reward {name!r}: cannot import module {module_name!r} ({error})") from error
    function = getattr(module, function_name, None)
    if not callable(function):
        known = [each for each in vars(module) if not each.startswith("_") and callable(vars(module)[each])]
        near = difflib.get_close_matches(function_name, known, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"reward {name!r}: module {module_name!r} has no function {function_name!r}{hint}")
    return cast(Reward, function)
