"""The killable half of `grade_many`: reads batches from stdin, writes one verdict per answer to stdout.

Messages are JSON with a four-byte big-endian length before them. First comes {"policy": ..., "deadline": ...}, which
is answered by "ready" once everything is imported; then batches [[number, answer, [gold, ...]], ...]. Each item is
answered by [number, grade] as soon as it is known, so that the parent sees which item a silent worker is stuck on.
The end of stdin ends the worker.
"""

from __future__ import annotations

import contextlib
import json
import math
import struct
import sys
from typing import IO, Any

from eval_math.grade import grade_answer
from eval_math.numeric import context
from eval_math.policy import Policy

MEMORY_BYTES = 1 << 30
READY = "ready"


def send(stream: IO[bytes], message: object) -> None:
    """Write one message."""
    body = json.dumps(message).encode()
    stream.write(struct.pack(">I", len(body)) + body)
    stream.flush()


def receive(stream: IO[bytes]) -> Any:
    """The next message, or None at the end of the stream."""
    head = stream.read(4)
    if len(head) < 4:
        return None
    (length,) = struct.unpack(">I", head)
    return json.loads(stream.read(length))


def limit_memory() -> None:
    """Let an allocation beyond the cap fail here instead of filling the machine."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))


def limit_time(seconds: float) -> None:
    """End this process when the next answer burns this much CPU: the parent may be gone by then."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        usage = resource.getrusage(resource.RUSAGE_SELF)
        ceiling = math.ceil(usage.ru_utime + usage.ru_stime + seconds) + 1
        resource.setrlimit(resource.RLIMIT_CPU, (ceiling, resource.getrlimit(resource.RLIMIT_CPU)[1]))


def main() -> None:
    """Grade until stdin ends."""
    limit_memory()
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    settings = receive(source)
    if settings is None:
        return
    policy = Policy(**settings["policy"])
    context()
    send(sink, READY)
    while (batch := receive(source)) is not None:
        for number, answer, golds in batch:
            limit_time(2 * settings["deadline"])
            send(sink, [number, grade_answer(answer, golds, policy).to_json()])


if __name__ == "__main__":
    main()
