"""A user's own reward: 1 for a right answer and its length for a wrong one, with a list of what it was asked."""

import os
import time
from pathlib import Path

ASKED: list[str] = []
FAIL_AT = [-1]
"""Raises once, behind so many answers; not if negative."""


def rate(grade, response):
    FAIL_AT[0] -= 1
    if FAIL_AT[0] == -1:
        raise RuntimeError("planted")
    ASKED.append(response)
    if notes := os.environ.get("COUNTED_REWARD_NOTES"):
        with Path(notes).open("a", encoding="utf-8") as file:
            file.write(f"{response}\n")
        time.sleep(0.02)
    return None if grade.correct is None else float(grade.correct or -len(response))
