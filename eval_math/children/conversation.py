"""A child process that is asked one question at a time, and killed when it does not reply in time."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Sequence
from typing import Any

from eval_math.children import start
from eval_math.children.wire import pack, unpack


class Silent(Exception):
    """The child ended, or said nothing in time."""


class Conversation:
    """A running child."""

    def __init__(self, command: Sequence[str]) -> None:
        """Start it; it may speak first."""
        # Not in a group of its own: whoever kills this process' group, as `grade_many` does, kills it too.
        self.process = start.start(command, own_group=False)
        self.num_questions = 0

    def ask(self, message: object, seconds: float) -> Any:
        """The reply to a message of less than 64 KiB; raises Silent."""
        assert self.process.stdin is not None
        data = pack(message)
        # Past the stream's own buffer: a fork between two writes would inherit what is left in it.
        while data:
            try:
                data = data[os.write(self.process.stdin.fileno(), data) :]
            except BrokenPipeError as error:
                raise Silent from error
        self.num_questions += 1
        return self.reply(seconds)

    def reply(self, seconds: float) -> Any:
        """The next message in so many seconds of wall time; raises Silent."""
        assert self.process.stdout is not None
        until, source = time.monotonic() + seconds, self.process.stdout.fileno()
        # poll, unlike select, works on descriptors above 1023.
        poll = select.poll()
        poll.register(source, select.POLLIN)
        buffer = bytearray()
        while (message := unpack(buffer)) is None:
            if not poll.poll(max(0.0, until - time.monotonic()) * 1000) or not (data := os.read(source, 1 << 16)):
                raise Silent
            buffer += data
        return message

    def end(self) -> None:
        """Kill it, wait for its end and close the pipes."""
        start.kill(self.process)

    def end_abruptly(self) -> None:
        """Kill it and wait for its end, while another thread may be waiting for its reply."""
        self.process.kill()
        self.process.wait()

    def forget(self) -> None:
        """Let go of it without a word, in a fork: the child is the other process' to ask and to end."""
        # A pipe that stays open here would hide the end of the other process from the child. The streams keep
        # their numbers, so that closing them later closes nobody else's file.
        self.process.returncode = 0
        nowhere = os.open(os.devnull, os.O_RDWR)
        for stream in (self.process.stdin, self.process.stdout):
            assert stream is not None
            os.dup2(nowhere, stream.fileno(), inheritable=False)
        os.close(nowhere)
