"""`grade_many`: order, streaming, killable workers, threads, cleaning up."""

import json
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from eval_math import Grade, Policy, Reason, grade, grade_many
from eval_math.children import limits
from eval_math.grade import Golds
from eval_math.judging.gold import compile_gold
from eval_math.workers import pool, processes

REWARD = Policy.reward()

STUB = """
import os, subprocess, sys, time
from eval_math.children import limits, wire
from eval_math.policy import Policy
from eval_math.grade import grade_answer

policy = Policy(**wire.receive(sys.stdin.buffer)["policy"])
wire.send(sys.stdout.buffer, wire.READY)
while (batch := wire.receive(sys.stdin.buffer)) is not None:
    for number, answer, golds, answer_type in batch:
        if answer == "666" or "777" in golds:
            time.sleep(60)
        if answer == "86" or "87" in golds:
            os._exit(limits.OUT_OF_MEMORY_STATUS)
        if answer == "555":
            wire.send(sys.stdout.buffer, wire.STARTING)
            time.sleep(2.5)
            wire.send(sys.stdout.buffer, wire.READY)
        if answer == "444":
            child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
            open(sys.argv[1], "w").write(str(child.pid))
            time.sleep(60)
        if answer == "99" or (answer == "98" and not os.path.exists(sys.argv[1])):
            open(sys.argv[1], "w").close()
            os._exit(1)
        wire.send(sys.stdout.buffer, [number, grade_answer(answer, golds, policy).to_json()])
"""


@pytest.fixture
def stub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Workers that are told by answer or gold to hang, to die, to run out of memory, to start a process."""
    script = tmp_path / "stub.py"
    script.write_text(STUB)
    original = processes.Processes

    def start(count: int, policy: Policy, deadline: float) -> processes.Processes:
        command = [sys.executable, str(script), str(tmp_path / "died")]
        return original(count, policy, deadline, command=command)

    monkeypatch.setattr(pool, "Processes", start)
    return script


def rows(count: int) -> list[tuple[str, str]]:
    return [(rf"\boxed{{\frac{{{2 * i}}}{{2}}}}", str(i + (i % 3 == 0))) for i in range(count)]


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_verdicts_come_in_the_order_of_the_rows(workers: int) -> None:
    found = list(grade_many(rows(500), REWARD, workers=workers))

    assert [verdict.correct for verdict in found] == [i % 3 != 0 for i in range(500)]


def test_a_worker_gives_what_grade_gives() -> None:
    long = "9" * 5000
    texts = ["no box", r"ab \boxed{5}", r"\boxed{}", rf"\boxed{{{long}}}", r"<think>\boxed{5}"]
    responses = [(text, gold) for text in texts for gold in ("5", "", "x+1")]

    found = list(grade_many(responses, REWARD, workers=1))

    expected = [grade(response, gold, REWARD) for response, gold in responses]
    assert [_untimed(verdict) for verdict in found] == [_untimed(verdict) for verdict in expected]


def _untimed(verdict: Grade) -> dict[str, object]:
    return {**verdict.to_json(), "seconds": None}


def test_a_hung_worker_is_killed_and_replaced_and_order_is_kept(stub: Path) -> None:
    answers = ["1", "2", "666", "3", "4", "666", "5"]
    started = time.monotonic()

    found = list(grade_many([(rf"\boxed{{{a}}}", a) for a in answers], REWARD, workers=2, deadline=1.0))

    # 666 equals its gold, yet it never returned: the answer is to blame, since the probe against its gold returned.
    assert [verdict.answer for verdict in found] == answers
    assert [verdict.correct for verdict in found] == [True, True, False, True, True, False, True]
    assert [verdict.reason for verdict in found].count(Reason.TIMEOUT) == 2
    assert time.monotonic() - started < 30


def test_a_gold_that_hangs_by_itself_is_no_verdict(stub: Path) -> None:
    found = list(grade_many([(r"\boxed{1}", "777"), (r"\boxed{2}", "2")], REWARD, workers=1, deadline=0.5))

    assert [(verdict.correct, verdict.reason) for verdict in found] == [
        (None, Reason.GOLD_UNREADABLE),
        (True, Reason.SAME_TEXT),
    ]


def test_an_answer_that_needs_too_much_memory_is_wrong_unless_its_gold_does_too(stub: Path) -> None:
    pairs = [("86", "86"), ("1", "1"), ("1", "87"), ("2", "2")]

    found = list(grade_many([(rf"\boxed{{{answer}}}", gold) for answer, gold in pairs], REWARD, workers=1))

    assert [(verdict.correct, verdict.reason) for verdict in found] == [
        (False, Reason.OUT_OF_MEMORY),
        (True, Reason.SAME_TEXT),
        (None, Reason.GOLD_UNREADABLE),
        (True, Reason.SAME_TEXT),
    ]


def test_starting_the_computer_algebra_is_not_held_against_the_answer(stub: Path) -> None:
    found = list(grade_many([(r"\boxed{555}", "555")], REWARD, workers=1, deadline=1.0))

    assert found[0].correct is True


def test_a_killed_worker_takes_what_it_started_with_it(stub: Path, tmp_path: Path) -> None:
    found = list(grade_many([(r"\boxed{444}", "444")], REWARD, workers=1, deadline=1.0))

    assert found[0].reason is Reason.TIMEOUT
    assert found[0].seconds > 0.9
    _, alive = psutil.wait_procs(_existing(int((tmp_path / "died").read_text())), timeout=10)
    assert [process for process in alive if process.status() != psutil.STATUS_ZOMBIE] == []


def _existing(pid: int) -> list[psutil.Process]:
    try:
        return [psutil.Process(pid)]
    except psutil.NoSuchProcess:
        return []


def test_workers_that_cannot_start_are_an_error_not_a_column_of_unknowns(tmp_path: Path, stub: Path) -> None:
    stub.write_text("raise SystemExit(1)")

    with pytest.raises(processes.WorkersFailed, match="grade with workers=0"):
        list(grade_many(rows(10), REWARD, workers=2))


def test_a_worker_that_dies_is_tried_once_more_and_then_given_up(stub: Path) -> None:
    answers = ["1", "98", "99", "2"]

    found = list(grade_many([(rf"\boxed{{{a}}}", a) for a in answers], REWARD, workers=1))

    assert [verdict.correct for verdict in found] == [True, True, None, True]
    assert found[2].reason is Reason.GRADER_CRASHED


def test_rows_are_read_as_they_are_needed() -> None:
    num_read = 0

    def endless() -> Iterator[tuple[str, str]]:
        nonlocal num_read
        while True:
            num_read += 1
            yield rf"\boxed{{{num_read}}}", "5"

    for workers in (0, 2):
        num_read = 0
        stream = grade_many(endless(), REWARD, workers=workers)
        found = [next(stream) for _ in range(20)]
        stream.close()  # type: ignore[attr-defined]
        assert [verdict.correct for verdict in found] == [i == 4 for i in range(20)]
        assert num_read <= pool.WINDOW + 20


def test_no_process_outlives_the_iteration(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[subprocess.Popen[bytes]] = []
    original = subprocess.Popen

    def start(*args: object, **options: object) -> object:
        started.append(original(*args, **options))  # type: ignore[call-overload]
        return started[-1]

    monkeypatch.setattr(processes.subprocess, "Popen", start)
    stream = grade_many(rows(100), REWARD, workers=2)
    next(stream)

    stream.close()  # type: ignore[attr-defined]

    assert started
    assert all(process.poll() is not None for process in started)


def test_small_inputs_start_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "Processes", lambda *_: pytest.fail("a process was started"))

    assert len(list(grade_many(rows(200), REWARD))) == 200


def test_identical_answers_to_one_gold_are_graded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    original = pool.grade_answer

    def count(answer: str, gold: Golds, policy: Policy) -> Grade:
        calls.append(answer)
        return original(answer, gold, policy)

    monkeypatch.setattr(pool, "grade_answer", count)
    responses = [(rf"{'x' * i} \boxed{{{i % 2}}}", "1") for i in range(10)]

    found = list(grade_many(responses, REWARD, workers=0))

    assert sorted(calls) == ["0", "1"]
    spans = [slice(*verdict.span) for verdict in found if verdict.span]
    answers = [response[span] for (response, _), span in zip(responses, spans, strict=True)]
    assert answers == [str(i % 2) for i in range(10)]


def test_nothing_is_kept_of_rows_that_were_yielded() -> None:
    run = pool._Run(iter(rows(3000)), REWARD, processes.Processes(2, REWARD, 5.0))

    assert sum(1 for _ in run.grades()) == 3000

    assert not run.ready
    assert not run.waiting
    assert not run.running
    assert not run.keys


def test_progress_counts_rows() -> None:
    seen: list[int] = []

    list(grade_many(rows(5), REWARD, progress=seen.append))

    assert seen == [1, 2, 3, 4, 5]


def test_it_works_from_a_thread() -> None:
    found: list[Grade] = []
    thread = threading.Thread(target=lambda: found.extend(grade_many(rows(50), REWARD, workers=2)))

    thread.start()
    thread.join(timeout=60)

    assert [verdict.correct for verdict in found] == [i % 3 != 0 for i in range(50)]


def test_workers_do_not_import_the_callers_main_module(tmp_path: Path) -> None:
    script = tmp_path / "caller.py"
    script.write_text(
        textwrap.dedent(
            r"""
            import sys
            from eval_math import Policy, grade_many
            print("main runs")
            rows = [(rf"\boxed{{{i}}}", str(i)) for i in range(400)]
            print(sum(bool(g.correct) for g in grade_many(rows, Policy.reward(), workers=2)))
            """
        )
    )
    (tmp_path / "json.py").write_text("raise SystemExit('a module lying in the working directory was imported')")
    root = str(Path(pool.__file__).parents[1])

    command = [sys.executable, "-P", str(script)]
    done = subprocess.run(command, cwd=tmp_path, env={"PYTHONPATH": root}, capture_output=True, text=True, check=False)

    assert done.stdout.split("\n")[:2] == ["main runs", "400"], done.stderr


def test_a_worker_that_runs_out_of_memory_says_so_by_its_status() -> None:
    code = """
        from eval_math.children import limits
        from eval_math.workers import worker
        from eval_math.judging.gold import Gold
        from eval_math.policy import Policy
        worker.grade_answer = lambda *_: bytearray(1 << 30)
        limits.limit_memory(limits.WORKER_BYTES)
        worker._graded("1", Gold(("1",)), Policy())
    """

    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=False)

    assert done.returncode == limits.OUT_OF_MEMORY_STATUS


def test_a_compiled_gold_keeps_its_type_on_the_way_to_a_worker() -> None:
    pairs = [(r"\boxed{1 < x < 2}", compile_gold("(1, 2)", kind)) for kind in ("interval", "tuple")]

    for workers in (0, 1):
        found = list(grade_many(pairs, REWARD, workers=workers))
        assert [_untimed(verdict) for verdict in found] == [_untimed(grade(*pair, REWARD)) for pair in pairs]


def test_a_worker_refuses_to_fill_the_memory() -> None:
    code = "from eval_math.children import limits; limits.limit_memory(limits.WORKER_BYTES); bytearray(1 << 30)"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert "MemoryError" in done.stderr


def test_bad_settings_are_refused_before_any_row_is_read() -> None:
    with pytest.raises(ValueError, match="workers >= 0"):
        grade_many([], REWARD, workers=-1)
    with pytest.raises(ValueError, match="deadline > 0"):
        grade_many([], REWARD, deadline=0)


def test_messages_survive_any_text() -> None:
    text = "\ud800 \u00e9 \x00 \U0001f600"

    found = list(grade_many([(rf"\boxed{{{text}}}", "5"), (r"\boxed{5}", text)], REWARD, workers=1))

    assert found[0].answer == text
    assert [verdict.correct for verdict in found] == [False, None]
    assert json.loads(json.dumps(found[0].to_json()))["answer"] == text
