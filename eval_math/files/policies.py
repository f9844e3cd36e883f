"""A policy by the name a person types: `reward`, `benchmark`, or `benchmark:math500`."""

from __future__ import annotations

from eval_math import benchmarks
from eval_math.files.messages import BadInput, nearest, shown
from eval_math.policy import Policy

_KIND = "benchmark"


def policy_named(text: str) -> Policy:
    """The policy of this name.

    Raises:
        BadInput: no such policy or benchmark; the message names the nearest.
    """
    kind, colon, name = text.partition(":")
    if text == "reward":
        return Policy.reward()
    if text == _KIND:
        return Policy.benchmark()
    known = benchmarks.names()
    if kind == _KIND and colon:
        if name in known:
            return Policy.benchmark(name)
        raise BadInput(
            f"unknown benchmark {shown(name)!r}{nearest(name, known)} Known: {', '.join(known)}; "
            "`--policy benchmark` alone scores any other with no tolerance"
        )
    every = ["reward", _KIND, *(f"{_KIND}:{each}" for each in known)]
    hint = f"; did you mean 'benchmark:{text}'?" if text in known else nearest(text, every)
    raise BadInput(f"unknown policy {shown(text)!r}{hint} Known: {', '.join(every)}")
