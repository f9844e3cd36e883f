r"""Rewards: one function each from a verdict and its response to a number, or None without a verdict.

A reward function never turns an unknown verdict into a number: None is dropped and counted by the caller. Further
parameters are keyword-only, have defaults, and are set by name in a config:

    grade: {reward: correct_with_length_budget, reward_options: {budget_chars: 6000}}

A reward sees text and no tokens, so lengths are counted in characters, thinking included. Mathematical English
with TeX has about 3 characters per token.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, cast

from eval_math.extraction.extract import extract, finished_part
from eval_math.process.steps import check_steps
from eval_math.verdict import Grade, Reason

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
    return -0.5 if _has_box(response) else -1.0


def format_reward(grade: Grade, response: str, *, think: bool = False) -> float | None:
    """1 for an answer in a box behind finished thinking, right or wrong, else 0: a format reward as in DeepSeek-R1.

    With `think`, a `</think>` is demanded; the opening tag may be part of the prompt. Twice the same tag is no
    format. (arXiv:2501.12948, section 2.2.2; its first format tags the answer, here it is boxed.)
    """
    if grade.correct is None:
        return None
    opened, closed = response.count("<think>"), response.count("</think>")
    thought = opened <= closed <= 1 and (closed == 1 or not think) and not finished_part(response)[2]
    in_order = not opened or response.find("<think>") < response.find("</think>")
    return float(thought and in_order and _has_box(response))


def length_penalty(grade: Grade, response: str, *, max_chars: int = 12_288, cache_chars: int = 3072) -> float | None:
    """0 up to max_chars - cache_chars, then linearly down to -1 at max_chars and beyond, right or wrong.

    DAPO's soft overlong punishment (arXiv:2503.14476, equation 13) in characters:
    0 if n <= L_max - L_cache; ((L_max - L_cache) - n) / L_cache if n <= L_max; else -1.

    Raises:
        ValueError: not 0 <= cache_chars <= max_chars.
    """
    if not (_is_number(max_chars) and _is_number(cache_chars) and 0 <= cache_chars <= max_chars):
        raise ValueError(
            f"length_penalty: max_chars is {max_chars!r} and cache_chars {cache_chars!r}; "
            "expected numbers with 0 <= cache_chars <= max_chars"
        )
    if grade.correct is None:
        return None
    over = len(response) - (max_chars - cache_chars)
    if over <= 0:
        return 0.0
    return -1.0 if len(response) > max_chars else -over / cache_chars


def correct_with_length_budget(
    grade: Grade, response: str, *, budget_chars: int = 12_288, slope: float = 1e-4, at_budget: float = 0.5
) -> float | None:
    """0 for a wrong answer; for a right one more the shorter it is: clip(slope * (budget - n) + at_budget, 0, 1).

    LCPO-Max of L1 (arXiv:2503.04697, equation 2), whose alpha of 0.0003 per token is 0.0001 per character.

    Raises:
        ValueError: a negative budget or slope, or `at_budget` outside [0, 1].
    """
    known = all(map(_is_number, (budget_chars, slope, at_budget)))
    if not known or budget_chars < 0 or slope < 0 or not 0 <= at_budget <= 1:
        raise ValueError(
            f"correct_with_length_budget: budget_chars {budget_chars!r}, slope {slope!r}, at_budget {at_budget!r}; "
            "expected budget_chars >= 0, slope >= 0 and at_budget in [0, 1]"
        )
    if grade.correct is None:
        return None
    return min(1.0, max(0.0, slope * (budget_chars - len(response)) + at_budget)) if grade.correct else 0.0


def step_rewards(grade: Grade, response: str, *, penalty: float = 0.5) -> float | None:
    """0 for a wrong answer, 1 for a right one, less `penalty` when an equation in one of its steps fails.

    The process rewards of `steps.grade_steps` as one number: a solution is worth its worst step, as in Math-Shepherd
    (arXiv:2312.08935, section 3.4). Neither right answers nor true equations can be padded to make up for a false one.

    Raises:
        ValueError: `penalty` outside [0, 1].
    """
    if not _is_number(penalty) or not 0 <= penalty <= 1:
        raise ValueError(f"step_rewards: penalty is {penalty!r}; expected a number in [0, 1]")
    if not grade.correct:
        return None if grade.correct is None else 0.0
    return 1.0 - penalty if any(step.value == 0.0 for step in check_steps(response)) else 1.0


_REGISTERED: dict[str, Reward] = {
    "boxed_correct": boxed_correct,
    "seed_rule": seed_rule,
    "format": format_reward,
    "length_penalty": length_penalty,
    "correct_with_length_budget": correct_with_length_budget,
    "step_rewards": step_rewards,
}


def names() -> list[str]:
    """The registered names, sorted."""
    return sorted(_REGISTERED)


def load(name: str, options: Mapping[str, Any] | None = None) -> Reward:
    """The reward function of a registered name or of "module:function", with its options set.

    Raises:
        ValueError: unknown name or option (with the nearest one), module not found, no such function in it, or a
        value that the reward refuses.
    """
    function = _REGISTERED[name] if name in _REGISTERED else _imported(name)
    _check_options(name, function, options or {})
    reward = partial(function, **options) if options else function
    if name in _REGISTERED:
        reward(Grade(False, Reason.NO_ANSWER, 0), "")  # a bad value is refused here, not after hours of sampling
    return reward


def _check_options(name: str, function: Reward, options: Mapping[str, Any]) -> None:
    """Refuse what the function has no keyword for, and a keyword without a value."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        parameters = []  # a callable written in C says nothing about itself
    if any(each.kind is inspect.Parameter.VAR_KEYWORD for each in parameters):
        return
    keywords = {each.name: each for each in parameters if each.kind is inspect.Parameter.KEYWORD_ONLY}
    keywords |= {each.name: each for each in parameters[2:] if each.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD}
    for option in options:
        if option not in keywords:
            near = difflib.get_close_matches(option, keywords, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ";"
            raise ValueError(f"reward {name!r} has no option {option!r}{hint} Known: {', '.join(keywords) or 'none'}")
    for each in keywords.values():
        if each.default is inspect.Parameter.empty and each.name not in options:
            raise ValueError(f"reward {name!r} needs the option {each.name!r}; set it in reward_options")


def _imported(name: str) -> Reward:
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


def _has_box(response: str) -> bool:
    boxed = extract(response, "strict")
    return boxed is not None and bool(boxed.text.strip())


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
