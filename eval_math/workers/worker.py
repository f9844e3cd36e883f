"""The killable half of `grade_many`: reads batches from stdin, writes one verdict per answer to stdout.

Messages are those of `eval_math.children.wire`. First comes {"policy": ..., "deadline": ...}, which is answered by
READY once everything is imported; then batches [[number, answer, [gold, ...], answer type], ...]. Each item is
answered by [number, grade] as soon as it is known, so that the parent sees which item a silent worker is stuck on.
STARTING in between says that the computer algebra starts, which takes longer than any answer may, and READY that it
is there. The end of stdin ends the worker.
"""

from __future__ import annotations

import os
import sys

from eval_math.algebra.fallback import announce_starts
from eval_math.children.limits import OUT_OF_MEMORY_STATUS, WORKER_BYTES, limit_memory, limit_time
from eval_math.children.wire import READY, STARTING, receive, send
from eval_math.grade import grade_answer
from eval_math.judging.gold import Gold
from eval_math.judging.numeric import context
from eval_math.policy import Policy
from eval_math.verdict import Grade, Reason


def main() -> None:
    """Grade until stdin ends."""
    limit_memory(WORKER_BYTES)
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    settings = receive(source)
    if settings is None:
        return
    policy = Policy(**settings["policy"])
    announce_starts(lambda: send(sink, STARTING), lambda: send(sink, READY))
    context()
    send(sink, READY)
    while (batch := receive(source)) is not None:
        for number, answer, texts, answer_type in batch:
            limit_time(2 * settings["deadline"])
            send(sink, [number, _graded(answer, Gold(tuple(texts), answer_type), policy).to_json()])


def _graded(answer: str, gold: Gold, policy: Policy) -> Grade:
    try:
        verdict = grade_answer(answer, gold, policy)
    except MemoryError:
        verdict = None
    if verdict is None or verdict.reason is Reason.OUT_OF_MEMORY:
        # What is left of the memory may be in pieces; and whose fault it was, a fresh process has to find out.
        os._exit(OUT_OF_MEMORY_STATUS)
    return verdict


if __name__ == "__main__":
    main()
