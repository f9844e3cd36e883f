"""Computer algebra for the few pairs that nothing cheaper decides: asked of a child process that can be killed.

Each process has at most one child, started when first needed and used by one thread at a time. It is killed when a
question takes too long, replaced after it, after a crash, and after every MAX_QUESTIONS questions, and ends with
its parent.
"""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Callable
from typing import Any

from eval_math.algebra import symbolic
from eval_math.children.conversation import Conversation, Silent
from eval_math.children.start import command_of
from eval_math.children.wire import READY, pack, to_json
from eval_math.reading.tree import Call, Node, Num, Quantity, walk

START_SECONDS = 20.0
"""Until sympy is imported, on a busy machine."""
MAX_QUESTIONS = 500
"""After so many the child is replaced: sympy's caches only grow."""
MAX_FAILED_STARTS = 2
"""So many failed starts in a row mean that there is no sympy here."""
MAX_NODES, MAX_DEPTH, MAX_BITS = 300, 60, 8192
"""Size of a tree and of its numbers; beyond that no answer would come in time."""
MAX_BYTES = 60_000
"""A question stays below a pipe's 64 KiB, so that writing it never blocks."""


class _Algebra:
    """This process' child, its lock, and whether it is any use to start one."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.child: Conversation | None = None
        self.num_failed_starts = 0
        self.on_start: tuple[Callable[[], None], Callable[[], None]] | None = None

    def ask(self, question: list[Any], seconds: float) -> bool | None:
        with self.lock:
            child = self._started()
            if child is None:
                return None
            try:
                # The child's own cap on processor time only counts when nobody is left to kill it.
                (verdict,) = child.ask([*question, seconds], seconds)
            except Silent:
                verdict = None
                self._end()
            except BaseException:
                # Interrupted while a reply is on its way: the next question must not be given that one.
                self._end()
                raise
            if child.num_questions >= MAX_QUESTIONS:
                self._end()
            return verdict if isinstance(verdict, bool) else None

    def _started(self) -> Conversation | None:
        if self.child is None and self.num_failed_starts < MAX_FAILED_STARTS:
            before, after = self.on_start or (lambda: None, lambda: None)
            before()
            try:
                self.child = Conversation(command_of(symbolic.__name__))
                if self.child.reply(START_SECONDS) != READY:
                    raise Silent
                self.num_failed_starts = 0
            except (Silent, OSError):
                self.num_failed_starts += 1
                self._end()
            except BaseException:
                self._end()
                raise
            after()
        return self.child

    def _end(self) -> None:
        child, self.child = self.child, None
        if child is not None:
            child.end()

    def close(self) -> None:
        with self.lock:
            self._end()

    def kill(self) -> None:
        """At exit: without the lock, as nobody waits for a question that some other thread has asked."""
        child = self.child
        if child is not None:
            child.end_abruptly()


_algebra = _Algebra()


def ask(answer: Node, gold: Node, seconds: float = 2.0) -> bool | None:
    """Whether the two mean the same by computer algebra; None when it is not known, for whatever reason.

    Callable from any thread and after a fork. `seconds` is wall time for the question; starting the child, which
    happens now and then and takes up to START_SECONDS, comes on top.
    """
    if not (_is_small(answer) and _is_small(gold)):
        return None
    question = [to_json(answer), to_json(gold)]
    if len(pack(question)) > MAX_BYTES:
        return None
    return _algebra.ask(question, seconds)


def close() -> None:
    """End the child, if there is one; the next question starts another."""
    _algebra.close()


def announce_starts(before: Callable[[], None], after: Callable[[], None]) -> None:
    """Call `before` and `after` around each start of a child, which takes longer than any question."""
    _algebra.on_start = (before, after)


def _is_small(tree: Node) -> bool:
    # Level by level, so that a deep tree is refused before anything recurses into it.
    level, num_nodes = [tree], 0
    for _ in range(MAX_DEPTH):
        num_nodes += len(level)
        if not level or num_nodes > MAX_NODES:
            break
        below: list[Node] = []
        for node in level:
            below += node.args if isinstance(node, Call) else [node.value] if isinstance(node, Quantity) else []
        level = below
    if level:
        return False
    numbers = [part.value for part in walk(tree) if isinstance(part, Num)]
    return all(max(each.numerator.bit_length(), each.denominator.bit_length()) <= MAX_BITS for each in numbers)


def _forget_after_fork() -> None:
    """A forked process has the parent's pipes and perhaps a lock that nobody there will release."""
    global _algebra
    inherited, _algebra = _algebra, _Algebra()
    if inherited.child is not None:
        inherited.child.forget()


atexit.register(lambda: _algebra.kill())
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_after_fork)
