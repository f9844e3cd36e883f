"""Computer algebra in a child process: what it proves, what it leaves open, and that it can always be got rid of."""

import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from eval_math.algebra import fallback
from eval_math.children import wire
from eval_math.reading.parse import parse
from eval_math.reading.tree import Call, Node, Num, Sym

ROOT = Path(fallback.__file__).parents[1]
ENDLESS = ("+".join(rf"\sqrt{{{number}}}" for number in range(2, 60)), "177")
"""Sympy works on this pair for minutes."""

STUB = """
import os, sys, time
from eval_math.children import wire
from eval_math.reading.tree import Sym

{start}
wire.send(sys.stdout.buffer, wire.READY)
while (question := wire.receive(sys.stdin.buffer)) is not None:
    name = question[0][1]
    if name == "hang":
        time.sleep(60)
    if name == "die":
        os._exit(1)
    wire.send(sys.stdout.buffer, [True])
"""


@pytest.fixture(autouse=True)
def afresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A child of its own for each test that starts one."""
    monkeypatch.setattr(fallback, "_algebra", fallback._Algebra())
    yield
    fallback.close()


@pytest.fixture(scope="module")
def prove() -> Iterator[Callable[[str, str], bool | None]]:
    """One child for the many questions that no child is the worse for."""
    algebra = fallback._Algebra()

    def ask(answer: str, gold: str) -> bool | None:
        return algebra.ask([wire.to_json(parse(answer)), wire.to_json(parse(gold))], 20.0)

    yield ask
    algebra.close()


@pytest.fixture
def stub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Children that hang, die or answer as they are told, after a start of one's own."""
    script = tmp_path / "stub.py"

    def write(start: str = "") -> None:
        script.write_text(STUB.format(start=start))

    write()
    monkeypatch.setattr(fallback, "command_of", lambda _: [sys.executable, str(script)])
    return write


EQUAL = [
    ("x^2 = 4", r"x = \pm 2"),
    ("x = 2 or x = -2", "x^2 = 4"),
    (r"\{-2, 2\}", "x^2 - 4 = 0"),
    ("(x-1)(x-2) = 0", "x^2 - 3x + 2 = 0"),
    ("x^2 - 2x - 1 = 0", r"x = 1 \pm \sqrt{2}"),
    ("2^x = 8", "x = 3"),
    ("|x| = 3", r"x = \pm 3"),
    ("x^2 < 4", "(-2, 2)"),
    ("|x-1| < 2", "-1 < x < 3"),
    ("x^2 - 4 > 0", r"(-\infty,-2) \cup (2,\infty)"),
    ("x^2 - 4 > 0", "x < -2 or x > 2"),
    (r"\frac{x-1}{x+2} > 0", r"(-\infty,-2) \cup (1,\infty)"),
    (r"\sqrt{x} < 2", "[0, 4)"),
    ("x^2 + 2x + 1 > 0", r"x \ne -1"),
    (r"0 \le x^2 - 1 < 3", r"(-2,-1] \cup [1,2)"),
    ("(x-1)^2 + (y-2)^2 = 9", "x^2 + y^2 - 2x - 4y - 4 = 0"),
    (r"\frac{x^2}{4} + \frac{y^2}{9} = 1", "9x^2 + 4y^2 = 36"),
    ("xy = 1", r"y = \frac{1}{x}"),
    ("2x + 2y < 6", "3 > x + y"),
    (r"\sum_{k=1}^{n} k", r"\frac{n(n+1)}{2}"),
    (r"\sum_{k=1}^{\infty} \frac{1}{k^2}", r"\frac{\pi^2}{6}"),
    (r"\frac{n!}{(n-1)!}", "n"),
    (r"\binom{n}{2}", r"\frac{n^2-n}{2}"),
    (r"\sqrt{3+2\sqrt{2}}", r"1+\sqrt{2}"),
    (r"\sin^2 x + \cos^2 x", "1"),
    (r"\cos\frac{\pi}{7} - \cos\frac{2\pi}{7} + \cos\frac{3\pi}{7}", r"\frac{1}{2}"),
    (r"\sqrt[3]{-8}", "-2"),
]


@pytest.mark.parametrize(("answer", "gold"), EQUAL)
def test_these_are_proven_equal_in_both_directions(prove: Callable, answer: str, gold: str) -> None:
    assert prove(answer, gold) is True
    assert prove(gold, answer) is True


UNEQUAL = [
    ("x^2 = 4", "x = 2"),
    ("x^2 < 4", "(-2, 2]"),
    ("x^2 < 4", "(-2, 3)"),
    ("x^2 < 5", "(-2.236, 2.236)"),
    (r"\sqrt{x} < 2", r"(-\infty, 4)"),
    ("x + y = 3", "x + y = 4"),
    ("x + y < 3", "-x - y < -3"),
    ("(x-1)^2 + y^2 = 4", "(x-1)^2 + y^2 = 5"),
    (r"\sum_{k=1}^{n} k", r"\frac{n(n-1)}{2}"),
    (r"\sqrt{3+2\sqrt{2}}", r"1+\sqrt{3}"),
    (r"\binom{n}{2}", r"\binom{n}{3}"),
    # Equal at positive, at real, or at nearly all points only.
    (r"\sqrt{x^2}", "x"),
    ("x^3 = 8", "x = 2"),
    ("x^2 + y^2 = 0", "x = 0"),
    ("x + iy = 0", "x - iy = 0"),
    (r"\frac{y}{x} = 1", "y = x"),
    # Solutions in one period are not all of them.
    (r"\sin x > 0", r"(0, \pi)"),
    (r"\sin x = 0", "x = 0"),
    # Points and intervals are written alike.
    ("(2, 3)", "(1, 5), (2, 3)"),
    ("x < 3", "y < 3"),
    ("0.333", r"\frac{1}{3}"),
]


@pytest.mark.parametrize(("answer", "gold"), UNEQUAL)
def test_these_are_not_taken_for_equal(prove: Callable, answer: str, gold: str) -> None:
    assert prove(answer, gold) is not True
    assert prove(gold, answer) is not True


def test_a_rounded_decimal_is_left_to_the_policy(prove: Callable) -> None:
    assert prove("0.333", r"\frac{1}{3}") is None
    assert prove("0.5", r"\frac{1}{2}") is True


@pytest.mark.parametrize(
    "text",
    [
        "9^{9^{9^{9}}}",
        "((1000!)!)!",
        r"\binom{10^9}{10^8}",
        r"\sum_{k=1}^{10^9} \frac{1}{k}",
        r"\prod_{k=1}^{10^9} k",
        "(x+y+z+1)^{500}",
        r"\sin(" * 38 + "x" + ")" * 38,
        "e^{" * 20 + "x" + "}" * 20,
        ENDLESS[0],
    ],
    ids=lambda text: text[:12],
)
def test_what_would_take_too_long_is_left_open(text: str) -> None:
    assert fallback.ask(parse("x"), parse("x")) is True
    started = time.monotonic()

    verdict = fallback.ask(parse(text), parse("177"), seconds=1.0)

    assert verdict is not True
    assert time.monotonic() - started < 5


def test_large_and_deep_trees_are_refused_before_anything_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fallback, "Conversation", lambda _: pytest.fail("a process was started"))
    deep: Node = Sym("x")
    for _ in range(100_000):
        deep = Call("neg", (deep,))
    wide = Call("add", (Sym("x"),) * 1000)

    assert fallback.ask(deep, Sym("x")) is None
    assert fallback.ask(Sym("x"), wide) is None
    assert fallback.ask(Num(parse("7").value ** 9999), Sym("x")) is None  # type: ignore[union-attr]


def test_a_question_that_takes_too_long_costs_one_child(stub: Callable) -> None:
    fallback.ask(Sym("x"), Sym("x"))
    first = _pid()

    assert fallback.ask(Sym("hang"), Sym("x"), seconds=0.3) is None

    assert fallback.ask(Sym("x"), Sym("x")) is True
    assert _pid() != first
    assert _is_gone(first)


def test_a_child_that_dies_answers_nothing_and_is_replaced(stub: Callable) -> None:
    assert fallback.ask(Sym("die"), Sym("x")) is None
    assert fallback.ask(Sym("x"), Sym("x")) is True


def test_a_child_is_replaced_after_many_questions(stub: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fallback, "MAX_QUESTIONS", 2)

    pids: list[int] = []
    for _ in range(4):
        fallback.ask(Sym("x"), Sym("x"))
        pids.append(_pid() if fallback._algebra.child else 0)

    assert pids[0] != 0
    assert pids[1] == 0
    assert pids[2] not in (0, pids[0])


def test_without_sympy_nothing_is_known_and_no_more_children_are_started(
    stub: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    stub("raise SystemExit(1)")
    started: list[object] = []
    original = fallback.Conversation
    monkeypatch.setattr(fallback, "Conversation", lambda command: started.append(command) or original(command))

    assert [fallback.ask(Sym("x"), Sym("x")) for _ in range(5)] == [None] * 5

    assert len(started) == fallback.MAX_FAILED_STARTS


def test_a_start_takes_none_of_the_questions_time_but_is_bounded(
    stub: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    fallback.announce_starts(lambda: told.append("before"), lambda: told.append("after"))
    stub("time.sleep(1.0)")
    assert fallback.ask(Sym("x"), Sym("x"), seconds=0.5) is True
    fallback.close()
    stub("time.sleep(60)")
    monkeypatch.setattr(fallback, "START_SECONDS", 0.3)

    assert fallback.ask(Sym("x"), Sym("x")) is None

    assert told == ["before", "after"] * 2


def test_any_number_of_threads_get_their_own_replies() -> None:
    found: dict[int, bool | None] = {}

    def work(number: int) -> None:
        found[number] = fallback.ask(parse(f"(x+{number})^2"), parse(f"x^2+{2 * number}x+{number**2 + number % 2}"))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)

    assert found == {number: number % 2 == 0 for number in range(12)}


def test_a_fork_asks_a_child_of_its_own_and_leaves_the_parents_alone() -> None:
    script = """
        import os
        from eval_math.algebra import fallback
        from eval_math.reading.tree import Sym
        x = Sym("x")
        assert fallback.ask(x, x) is True
        with fallback._algebra.lock:
            child = os.fork()
        if child == 0:
            os._exit(0 if fallback.ask(x, x) is True and fallback.ask(x, Sym("y")) is False else 1)
        _, status = os.waitpid(child, 0)
        before = fallback._algebra.child
        print(status, fallback.ask(x, Sym("y")), fallback._algebra.child is before)
    """

    assert _run(script).split() == ["0", "False", "True"]


def test_the_child_ends_with_a_parent_that_ends_by_itself() -> None:
    pid = int(
        _run("""
        from eval_math.algebra import fallback
        from eval_math.reading.tree import Sym
        fallback.ask(Sym("x"), Sym("x"))
        print(fallback._algebra.child.process.pid)
    """)
    )

    assert _is_gone(pid)


def test_the_child_ends_with_a_parent_that_is_killed_even_in_the_middle_of_a_question() -> None:
    code = textwrap.dedent(f"""
        import threading
        from eval_math.algebra import fallback
        from eval_math.reading.parse import parse
        fallback.ask(parse("x"), parse("x"))
        print(fallback._algebra.child.process.pid, flush=True)
        fallback.ask(parse({ENDLESS[0]!r}), parse("177"), seconds=100.0)
    """)
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    time.sleep(0.5)
    assert not _is_gone(pid, seconds=0.0)

    parent.kill()
    parent.communicate()

    assert _is_gone(pid)


@pytest.mark.parametrize(
    "text", [r"\frac{1}{3} + 2.50 x_1", r"(-\infty, 2] \cup \{\pi\}", "5 cm", "7^{1000}", r"\sum_{k=1}^n k \ge 3"]
)
def test_trees_cross_the_pipe_unchanged(text: str) -> None:
    tree = parse(text)

    assert wire.from_json(wire.to_json(tree)) == tree


def _pid() -> int:
    assert fallback._algebra.child is not None
    return fallback._algebra.child.process.pid


def _run(script: str) -> str:
    code = textwrap.dedent(script)
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout


def _is_gone(pid: int, seconds: float = 10.0) -> bool:
    """Whether the process has ended, at the latest after so many seconds. A zombie has ended."""
    until = time.monotonic() + seconds
    while True:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return True
        if state == "Z" or time.monotonic() > until:
            return state == "Z"
        time.sleep(0.05)
