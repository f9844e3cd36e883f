"""The graders that are compared: ours, math-verify and string match, each as a function from a case to a verdict.

math-verify is used as its documentation says: both texts parsed with the default settings, its own time limits on,
the gold between dollars. String match reads the answer with our extractor, so only the comparison differs.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import NamedTuple

from eval_math import extract, grade
from tests.bench.answer_sets import Case


class Answer(NamedTuple):
    """What a grader said; stage and reason are known of ours only."""

    correct: bool | None
    stage: int = 0
    reason: str = ""


Peer = Callable[[Case], Answer]


def ours(case: Case) -> Answer:
    found = grade(case.response, case.gold, case.policy)
    return Answer(found.correct, found.stage, found.reason.value)


def string_match(case: Case) -> Answer:
    found = extract(case.response, case.policy.style)
    return Answer(found is not None and found.text.strip() in case.gold)


def math_verify() -> Peer:
    """The peer, imported late: only those who compare need it."""
    import logging

    from math_verify import parse, verify

    # It logs every time limit it hits; what it answers is what counts here.
    logging.disable(logging.CRITICAL)

    def judge(case: Case) -> Answer:
        answer = parse(case.response)
        return Answer(any(verify(parse(f"${gold}$"), answer) for gold in case.gold))

    return judge


def peers(names: list[str]) -> dict[str, Peer]:
    """The peers by name, ours first."""
    known: dict[str, Callable[[], Peer]] = {
        "ours": lambda: ours,
        "math-verify": math_verify,
        "string-match": lambda: string_match,
    }
    return {name: known[name]() for name in known if name == "ours" or name in names}


def clear_caches() -> None:
    """Forget every gold that was read, ours and sympy's, so that each repetition does the same work.

    A cache of one entry is a constant that was made late (the numeric context), not a memory of golds.
    """
    for name, module in list(sys.modules.items()):
        if name.split(".")[0] == "eval_math":
            for value in list(vars(module).values()):
                if hasattr(value, "cache_clear") and value.cache_parameters()["maxsize"] != 1:
                    value.cache_clear()
    if "sympy" in sys.modules:
        from sympy.core.cache import clear_cache

        clear_cache()
