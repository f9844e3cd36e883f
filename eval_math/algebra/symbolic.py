"""The child in which sympy runs: reads pairs of trees from stdin, writes [true], [false] or [null] (unknown) to stdout.

It never sees text: the trees are this package's own, and become sympy objects by constructors
(`eval_math.algebra.construct`). Its memory and the processor time of each question are capped by the kernel, and its
parent kills it when a question takes too long. It ends when its parent does: a thread waits for the end of stdin,
which comes however the parent ended; only one long C call can put that off, until the cap on processor time.
"""

from __future__ import annotations

import os
import sys
import threading
from queue import SimpleQueue
from typing import Any

from eval_math.children.limits import ALGEBRA_BYTES, OUT_OF_MEMORY_STATUS, limit_memory, limit_time
from eval_math.children.wire import READY, from_json, receive, send


def main() -> None:
    """Answer questions [answer, gold, seconds] until stdin ends."""
    limit_memory(ALGEBRA_BYTES)
    questions: SimpleQueue[Any] = SimpleQueue()
    threading.Thread(target=_listen, args=(questions,), daemon=True).start()
    # A missing sympy ends the process before it is ready, which tells the parent that there is none.
    from eval_math.algebra.equivalence import equivalent

    sink = sys.stdout.buffer
    send(sink, READY)
    while True:
        answer, gold, seconds = questions.get()
        limit_time(seconds)
        try:
            send(sink, [equivalent(from_json(answer), from_json(gold))])
        except MemoryError:
            os._exit(OUT_OF_MEMORY_STATUS)


def _listen(questions: SimpleQueue[Any]) -> None:
    while (question := receive(sys.stdin.buffer)) is not None:
        questions.put(question)
    os._exit(0)


if __name__ == "__main__":
    main()
