"""Why a child ended, as far as its parent can know, and whether another attempt can help."""

import json
import sys
from types import SimpleNamespace

import pytest

from tasks import attempts
from tasks import child as children
from tasks.child import MAY_PASS, Before, Child, ChildFailed, why
from tasks.machine import Machine

TORCHRUN = """
E1121 14:00:00 torch/distributed/elastic/multiprocessing/api.py:1016] failed (exitcode: -9) local_rank: 1 (pid: 77)
  exitcode  : -9 (pid: 77)
  error_file: <N/A>
  traceback : Signal 9 (SIGKILL) received by PID 77
"""


@pytest.fixture
def child(tmp_path, monkeypatch):
    kernel = tmp_path / "vmstat"
    kernel.write_text("nr_free_pages 5\noom_kill 3\nnuma_hit 9\n")
    monkeypatch.setattr(children, "KERNEL", kernel)
    (tmp_path / "log").touch()
    return Child("trainer", [sys.executable], tmp_path / "log", tmp_path / "failure", {}, "take less")


def ended(child, code, *, log="", told=None, kernel_kills=0):
    """The error of a child that left these traces after it was started."""
    before = Before.of(child)
    child.log.write_text(child.log.read_text() + log)
    if told:
        child.failure.write_text(json.dumps(dict(zip(("kind", "message", "fix"), told, strict=True))))
    if kernel_kills:
        children.KERNEL.write_text(f"oom_kill {3 + kernel_kills}\n")
    return why(child, code, before)


@pytest.mark.parametrize(
    ("code", "log", "kind", "headline"),
    [
        (137, "", "signal", "trainer: ended by signal 9"),
        (-9, "", "signal", "trainer: ended by signal 9"),
        (139, "", "signal", "trainer: ended by signal 11"),
        (
            1,
            "  exitcode  : -15 (pid: 76)\n" + TORCHRUN,
            "signal",
            "trainer: one of its processes was ended by signal 9",
        ),
        (1, TORCHRUN, "signal", "trainer: one of its processes was ended by signal 9"),
        (1, "torch.OutOfMemoryError: CUDA out of memory.", "out_of_memory", "trainer: exit code 1, and its log speaks"),
        (1, "ValueError: No available memory for the cache blocks.", "out_of_memory", "trainer: exit code 1, and"),
        (1, "RuntimeError: [gloo] Connection closed by peer [::1]:5", "lost", "trainer: exit code 1, and its log"),
        (255, "ssh: connect to host node7 port 22: No route to host", "lost", "trainer: exit code 255, and"),
        (1, "torch.distributed.DistBackendError: NCCL error", "lost", "trainer: exit code 1, and its log speaks"),
        (1, "KeyError: 'x'", "crash", "trainer: exit code 1\n"),
    ],
)
def test_the_exit_code_and_the_last_lines_tell(child, code, log, kind, headline):
    error = ended(child, code, log=log)

    assert error.kind == kind
    assert str(error).startswith(headline)


def test_what_the_child_said_itself_comes_first(child):
    error = ended(
        child, 1, told=("not_finite", "the loss is nan", "lower it"), log="CUDA out of memory", kernel_kills=1
    )

    assert (error.kind, str(error).partition(" (log")[0]) == (
        "not_finite", "trainer: the loss is nan. To fix: lower it",
    )  # fmt: skip


@pytest.mark.parametrize("told", [None, ("lost", "Connection closed by peer", ""), ("preempted", "saved step 3", "")])
def test_the_kernel_tells_of_memory(child, told):
    """The process it has ended says nothing; those that waited for it misunderstand."""
    error = ended(child, 137, told=told, kernel_kills=1)

    assert error.kind == "out_of_memory"
    assert str(error).startswith("trainer: the kernel ended a process: the host's memory ran out. To fix: take less (")


def test_memory_that_ran_out_on_a_device_comes_with_what_to_change(child):
    error = ended(child, 1, told=("out_of_memory", "OutOfMemoryError: CUDA", ""))

    assert str(error).startswith("trainer: OutOfMemoryError: CUDA. To fix: take less (log: ")


def test_a_launcher_that_ends_the_other_processes_does_not_make_it_a_preemption(child):
    error = ended(child, 1, told=("preempted", "saved step 3", ""), log=TORCHRUN)

    assert error.kind == "signal"


def test_a_process_that_fails_without_a_word_is_no_preemption_either(child):
    log = "failed (exitcode: 1) local_rank: 0\n  exitcode  : 1 (pid: 5)\n"

    error = ended(child, 1, told=("preempted", "asked to end before training started", ""), log=log)

    assert (error.kind, error.message.partition("\n")[0]) == (
        "crash",
        "trainer: one of its processes ended with code 1",
    )


def test_a_preempted_group_is_preempted(child):
    log = "failed (exitcode: 75) local_rank: 0\ntorch...SignalException: Process 7 got signal: 15\n"

    assert ended(child, 1, told=("preempted", "saved step 3", ""), log=log).kind == "preempted"


def test_a_launcher_that_is_asked_to_end_when_the_work_is_done_is_started_again(child):
    log = "torch.distributed.elastic.multiprocessing.api.SignalException: Process 7 got signal: 15\n"

    assert ended(child, 1, log=log).kind == "signal"


def test_lines_of_an_earlier_attempt_tell_nothing(child):
    child.log.write_text("torch.OutOfMemoryError: CUDA out of memory.\n")

    error = ended(child, 1, log="KeyError\n")

    assert error.kind == "crash"
    assert "OutOfMemory" not in str(error)


def test_a_machine_that_does_not_count_is_no_obstacle(child, tmp_path, monkeypatch):
    monkeypatch.setattr(children, "KERNEL", tmp_path / "none")

    assert ended(child, 137).kind == "signal"


def test_this_machine_counts():
    assert children.kernel_kills() >= 0


# --- further attempts --------------------------------------------------------------------------------------------


def failing(*kinds):
    """Work that fails in these ways, one after the other, and then succeeds; it counts its calls."""
    calls = []

    def work(number):
        calls.append(number)
        if len(calls) <= len(kinds):
            raise ChildFailed(kinds[len(calls) - 1], "child: it ended (log: x)")
        return "done"

    return work, calls


def test_a_preempted_child_is_started_again(caplog):
    work, calls = failing("preempted", "preempted")

    with caplog.at_level("WARNING", logger="tasks.attempts"):
        assert attempts.rescheduled("iteration 1 · train", work)(7) == "done"

    assert calls == [7, 7, 7]
    assert [r.getMessage() for r in caplog.records] == ["iteration 1 · train: child: it ended; it is started again"] * 2


def test_a_child_that_is_preempted_for_ever_is_given_up(monkeypatch):
    monkeypatch.setattr(attempts, "PREEMPTIONS", 5)
    work, calls = failing(*["preempted"] * 50)

    with pytest.raises(ChildFailed):
        attempts.rescheduled("x", work)(1)

    assert len(calls) == 6


def test_any_other_failure_is_not_this_loops(monkeypatch):
    work, calls = failing("signal")

    with pytest.raises(ChildFailed):
        attempts.rescheduled("x", work)(1)

    assert len(calls) == 1


def test_waits_double_up_to_a_bound():
    assert attempts.waits(Machine(retries=3, retry_seconds=10)) == [10, 20, 40]
    assert attempts.waits(Machine(retries=0)) == []
    assert attempts.waits(Machine(retries=9, retry_seconds=100))[-1] == attempts.LONGEST_WAIT


@pytest.mark.parametrize("kind", ["bad_input", "out_of_memory", "not_finite", "crash", "preempted", "signal", "lost"])
def test_only_what_may_pass_is_tried_again(kind):
    task = SimpleNamespace(retry_delay_seconds=[1.0], retries=1)
    condition = attempts.retry_condition("train")

    asked = condition(task, SimpleNamespace(run_count=1), SimpleNamespace(data=ChildFailed(kind, "m")))

    assert asked == (kind in MAY_PASS) == (kind in ("signal", "lost"))
    assert not condition(task, SimpleNamespace(run_count=1), SimpleNamespace(data=ValueError("m")))
