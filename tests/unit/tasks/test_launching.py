"""Children: their progress, their failures, and that none survives its parent, however that ends."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from tasks import forwarding, launch
from tasks.child import Child, ChildFailed
from tasks.forwarding import Forwarder
from tasks.workers import failure, progress

ACTOR = Path(__file__).with_name("child_actor.py")


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setattr(launch, "POLL_SECONDS", 0.02)
    return tmp_path


def a_child(place, *words, name="child", **environment):
    return Child(
        name, [sys.executable, str(ACTOR), *map(str, words)], place / f"{name}.txt", place / f"{name}.json", environment
    )


def launched(place, *children):
    """Run children; return the progress lines in the order they came."""
    heard = []
    launch.run(children, place / "progress.jsonl", heard.append)
    return heard


def pids_in(path, timeout=20.0):
    """Process ids that a child wrote when it was ready."""
    deadline = time.monotonic() + timeout
    while not path.exists():
        assert time.monotonic() < deadline, "the child did not start"
        time.sleep(0.02)
    return json.loads(path.read_text())


def gone(pid):
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def assert_all_end(pids, timeout=8.0):
    deadline = time.monotonic() + timeout
    while alive := [pid for pid in pids if not gone(pid)]:
        if time.monotonic() > deadline:
            for pid in alive:
                os.kill(pid, signal.SIGKILL)
            pytest.fail(f"{len(alive)} of {len(pids)} processes outlived their parent")
        time.sleep(0.02)


# --- success -----------------------------------------------------------------------------------------------------


def test_progress_lines_arrive_once_whole_and_in_order(place):
    heard = launched(place, a_child(place, "lines", place / "progress.jsonl", 8))

    assert [line["kind"] for line in heard] == ["ready"] + ["step"] * 8
    assert [line["step"] for line in heard[1:]] == list(range(8))


def test_lines_of_an_earlier_attempt_are_not_told_again(place):
    progress.report(place / "progress.jsonl", kind="step", step=-1)

    heard = launched(place, a_child(place, "lines", place / "progress.jsonl", 2))

    assert [line["step"] for line in heard if line["kind"] == "step"] == [0, 1]


def test_the_seconds_of_a_launch_are_kept_with_its_start_up(place):
    launched(place, a_child(place, "lines", place / "progress.jsonl", 4, name="engine"))

    (line,), _ = progress.read(place / launch.TIMES)
    assert line["child"] == "engine"
    assert 0 < line["start_up"] < line["seconds"] < 30
    assert line["seconds"] - line["start_up"] > 0.3  # the torn line's pause came after "ready"


def test_children_run_side_by_side(place):
    one, two = place / "one.pids", place / "two.pids"
    children = [a_child(place, "leave", one, name="one"), a_child(place, "leave", two, name="two")]

    launched(place, *children)

    assert len({*pids_in(one), *pids_in(two)}) == 4


def test_what_a_finished_child_left_behind_is_ended(place):
    launched(place, a_child(place, "leave", place / "pids"))

    assert_all_end(pids_in(place / "pids"), timeout=2)


def test_a_child_gets_its_own_environment_and_no_hub(place):
    script = "import json, os; json.dump(dict(os.environ), open('environment.json', 'w'))"
    command = [sys.executable, "-c", f"import os; os.chdir({str(place)!r}); {script}"]
    child = Child("child", command, place / "log", place / "failure", {"MY_OWN": "a b", "OMP_NUM_THREADS": "3"})

    launched(place, child)

    found = json.loads((place / "environment.json").read_text())
    assert (found["MY_OWN"], found["OMP_NUM_THREADS"], found["HF_HUB_OFFLINE"]) == ("a b", "3", "1")


def test_a_childs_lines_go_into_the_log_up_to_a_limit(place, caplog, monkeypatch):
    caplog.set_level("INFO", logger="tasks.child")
    monkeypatch.setattr(forwarding, "AT_ONCE", 5)
    monkeypatch.setattr(forwarding, "PER_SECOND", 0.0)

    with pytest.raises(ChildFailed):
        launched(place, a_child(place, "talk", 50))

    told = [record.getMessage() for record in caplog.records if record.name == "tasks.child"]
    assert told[:5] == [f"child| line {i}" for i in range(5)]
    assert told[5:] == [f"child| ... 45 lines are only in {place / 'child.txt'}"]


def test_a_child_that_was_cut_short_is_heard_again_after_a_while(place, caplog, monkeypatch):
    caplog.set_level("INFO", logger="tasks.child")
    now = [100.0]
    monkeypatch.setattr(forwarding, "time", SimpleNamespace(monotonic=lambda: now[0]))
    child = a_child(place, "talk", 1)
    forwarder = Forwarder(child)

    def write(count):
        with child.log.open("a") as log:
            log.writelines(f"line {now[0] + i:g}\n\n" for i in range(count))  # empty lines say nothing
        forwarder.forward()

    write(forwarding.AT_ONCE + 30)
    for _ in range(40):  # two lines a second: more than are allowed
        now[0] += 1
        write(2)
    forwarder.close()

    told = [record.getMessage() for record in caplog.records if record.name == "tasks.child"]
    shown = [line for line in told if "only in" not in line]
    left_out = [int(line.split("... ")[1].split()[0]) for line in told if "only in" in line]
    most = forwarding.AT_ONCE + 40  # one a second in the long run
    assert most - forwarding.AGAIN <= len(shown) <= most
    assert len(shown) + sum(left_out) == forwarding.AT_ONCE + 30 + 80
    assert len(left_out) <= 1 + 40 / forwarding.AGAIN


# --- failure -----------------------------------------------------------------------------------------------------


def failed(place, *words, **environment):
    with pytest.raises(ChildFailed) as caught:
        launched(place, a_child(place, *words, **environment))
    return caught.value


def test_a_failure_shows_the_last_lines_and_the_command_to_repeat_it(place):
    error = failed(place, "talk", 45, MY_OWN="a b")

    text = str(error)
    assert error.kind == "crash"
    assert text.startswith("child: exit code 3\n")
    assert [line.strip() for line in text.splitlines() if line.strip().startswith("line ")] == [
        f"line {i}" for i in range(15, 45)
    ]
    assert str(place / "child.txt") in text
    command = text.splitlines()[-1].strip()
    assert command.startswith("MY_OWN='a b' ")
    repeated = subprocess.run(command, shell=True, check=False, capture_output=True, text=True)
    assert (repeated.returncode, repeated.stdout.splitlines()[-1]) == (3, "line 44")


def test_a_failed_launch_leaves_no_times(place):
    failed(place, "exit", 1)

    assert not (place / launch.TIMES).exists()


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (signal.SIGKILL, "ended by signal 9\n"),
        (signal.SIGSEGV, "ended by signal 11\n"),
        (signal.SIGTERM, "ended by signal 15\n"),
    ],
)
def test_a_signal_is_named(place, number, expected):
    assert f"child: {expected}" in str(failed(place, "kill", int(number)))


@pytest.mark.parametrize(
    ("kind", "expected", "headline"),
    [
        ("bad_input", "bad_input", "child: the data are bad. To fix: mend them"),
        ("out_of_memory", "out_of_memory", "child: it does not fit. To fix: take less"),
        ("memory_error", "out_of_memory", "child: MemoryError: "),
    ],
)
def test_a_failure_that_the_child_understood_is_one_line_without_a_traceback(place, kind, expected, headline):
    error = failed(place, "fail", kind, place / "child.json")

    assert error.kind == expected
    assert str(error).startswith(headline)
    assert len(str(error).splitlines()) == 1
    assert "Traceback" not in str(error)
    assert "Traceback" in (place / "child.txt").read_text()  # for whoever wants to know more


def test_any_other_failure_shows_its_traceback(place):
    error = failed(place, "fail", "crash", place / "child.json")

    assert error.kind == "crash"
    assert str(error).splitlines()[0] == "child: RuntimeError: something broke"
    assert "Traceback (most recent call last)" in str(error)


def test_the_reason_of_an_earlier_attempt_is_forgotten(place):
    (place / "child.json").write_text(json.dumps({"kind": "bad_input", "message": "old", "fix": ""}))

    error = failed(place, "exit", 7)

    assert str(error).startswith("child: exit code 7")


def test_when_one_child_fails_the_others_are_ended(place):
    pids = place / "pids"

    # The failing child waits until the other has told its process ids.
    wait = f"import pathlib, time, sys\nwhile not pathlib.Path({str(pids)!r}).exists(): time.sleep(0.02)\nsys.exit(5)"
    failing = Child("failing", [sys.executable, "-c", wait], place / "f.txt", place / "f.json")

    with pytest.raises(ChildFailed, match="failing: exit code 5"):
        launched(place, a_child(place, "detach", pids), failing)

    assert_all_end(pids_in(pids), timeout=2)


def test_an_error_while_hearing_progress_ends_the_child(place):
    def refuse(line):
        raise KeyError(line["kind"])

    child = a_child(place, "lines", place / "progress.jsonl", 8)
    with pytest.raises(KeyError, match="ready"):
        launch.run([child], place / "progress.jsonl", refuse)

    assert not [p for p in psutil.Process().children(recursive=True) if str(ACTOR) in " ".join(p.cmdline())]


def test_a_command_that_does_not_exist_is_a_failure(place):
    child = Child("child", ["/no/such/program"], place / "log.txt", place / "failure.json")

    with pytest.raises(ChildFailed, match="No such file or directory"):
        launched(place, child)


# --- no orphans --------------------------------------------------------------------------------------------------

PARENT = """
import sys
from pathlib import Path
from tasks import launch
place = Path(sys.argv[1])
command = [sys.executable, sys.argv[2], sys.argv[3], str(place / "pids")]
launch.run([launch.Child("child", command, place / "log.txt", place / "failure.json")], place / "progress.jsonl", print)
"""


def a_parent(place, what):
    command = [sys.executable, "-c", PARENT, str(place), str(ACTOR), what]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@pytest.mark.parametrize("what", ["spawn", "detach"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT], ids=lambda n: n.name)
def test_nothing_survives_a_parent_that_is_ended(place, what, number):
    parent = a_parent(place, what)
    pids = pids_in(place / "pids")
    everyone = [*pids, *(p.pid for p in psutil.Process(parent.pid).children(recursive=True))]

    parent.send_signal(number)
    parent.wait(20)

    assert len(set(everyone)) == 3  # supervisor, child, grandchild
    assert_all_end(everyone)


def a_supervisor(*words, grace_seconds=10.0):
    """The supervisor over an actor; its standard input is the parent's end of the line."""
    actor = [sys.executable, str(ACTOR), *map(str, words)]
    command = [sys.executable, "-m", "tasks.workers.supervise", str(grace_seconds), *actor]
    return subprocess.Popen(command, stdin=subprocess.PIPE)


def test_a_child_that_does_not_listen_is_killed_after_a_while(place):
    supervisor = a_supervisor("deaf", place / "pids", grace_seconds=0.5)
    pids = pids_in(place / "pids")
    assert supervisor.stdin is not None

    supervisor.stdin.close()

    assert supervisor.wait(10) in (143, 128 + 9)
    assert_all_end(pids, timeout=1)


def test_what_a_command_leaves_behind_has_its_seconds_too(place):
    """Deepspeed's launcher dies of SIGTERM at once, its processes want to save."""
    saving = (
        "import pathlib, signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: (time.sleep(1), pathlib.Path(sys.argv[1]).touch(), sys.exit()))\n"
        "pathlib.Path(sys.argv[2]).touch()\n"
        "time.sleep(60)"
    )
    launcher = "import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', *sys.argv[1:]]); time.sleep(60)"
    saved, ready = place / "saved", place / "ready"
    command = [sys.executable, "-c", launcher, saving, str(saved), str(ready)]
    supervisor = subprocess.Popen(
        [sys.executable, "-m", "tasks.workers.supervise", "20", *command], stdin=subprocess.PIPE
    )
    deadline = time.monotonic() + 20
    while not ready.exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert supervisor.stdin is not None

    supervisor.stdin.close()

    assert supervisor.wait(15) == 143
    assert saved.exists()


def test_a_supervisor_that_is_told_to_end_ends_its_child_without_delay(place):
    supervisor = a_supervisor("detach", place / "pids")
    pids = pids_in(place / "pids")
    started = time.monotonic()

    supervisor.terminate()
    supervisor.communicate(timeout=30)

    assert_all_end(pids, timeout=2)
    assert supervisor.returncode == 143
    assert time.monotonic() - started < 5  # the child ended at once; the grace period is for those that do not


def test_a_child_does_not_survive_its_supervisor(place):
    """What the kernel kills when memory runs out may be any of them."""
    supervisor = a_supervisor("sleep")
    deadline = time.monotonic() + 20
    while not (children := psutil.Process(supervisor.pid).children()):
        assert time.monotonic() < deadline
        time.sleep(0.02)

    supervisor.kill()
    supervisor.communicate(timeout=10)

    assert_all_end([child.pid for child in children], timeout=3)


@pytest.mark.parametrize(("words", "code"), [("exit 0", 0), ("exit 41", 41), ("kill 9", 137), ("kill 15", 143)])
def test_the_supervisor_hands_on_the_exit_code(words, code):
    supervisor = a_supervisor(*words.split())

    assert supervisor.wait(20) == code
    assert supervisor.stdin is not None
    supervisor.stdin.close()


# --- progress files ----------------------------------------------------------------------------------------------


def test_a_torn_line_is_held_back_until_it_is_whole(tmp_path):
    path = tmp_path / "progress.jsonl"
    path.write_text('{"step": 1}\n{"st')

    first, offset = progress.read(path)
    with path.open("a") as file:
        file.write('ep": 2}\n')
    second, end = progress.read(path, offset)

    assert (first, second) == ([{"step": 1}], [{"step": 2}])
    assert progress.read(path, end) == ([], end)


def test_a_file_that_is_not_there_has_no_lines(tmp_path):
    assert progress.read(tmp_path / "nothing", 0) == ([], 0)


def test_lines_of_many_writers_are_not_torn(tmp_path):
    path = tmp_path / "progress.jsonl"

    def write(writer):
        for number in range(200):
            progress.report(path, writer=writer, number=number, text="é" * 300)

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    lines, _ = progress.read(path)
    for writer in range(4):
        assert [line["number"] for line in lines if line["writer"] == writer] == list(range(200))


def test_what_is_no_number_gets_through(tmp_path):
    progress.report(tmp_path / "p", loss=float("nan"), norm=float("inf"))

    ((line,), _) = progress.read(tmp_path / "p")
    assert line["loss"] != line["loss"]
    assert line["norm"] == float("inf")


def test_a_line_that_a_full_disk_cut_off_does_not_stop_every_later_attempt(tmp_path):
    path = tmp_path / "progress.jsonl"
    path.write_text('{"step": 1}\n{"st')  # the rest was never written
    progress.report(path, step=2)
    progress.report(path, step=3)

    lines, _ = progress.read(path)

    assert {"step": 1} in lines
    assert {"step": 3} in lines


# --- failure files -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (failure.BadInput("m", "f"), ("bad_input", "m", "f")),
        (failure.OutOfMemory("m", "f"), ("out_of_memory", "m", "f")),
        (failure.NotFinite("m"), ("not_finite", "m", "")),
        (MemoryError("m"), ("out_of_memory", "MemoryError: m", "")),
        (type("OutOfMemoryError", (RuntimeError,), {})("CUDA"), ("out_of_memory", "OutOfMemoryError: CUDA", "")),
        (KeyError("m"), ("crash", "KeyError: 'm'", "")),
        (SystemExit(3), ("crash", "SystemExit: 3", "")),
    ],
)
def test_a_failure_is_told_and_raised_on(tmp_path, error, expected, capsys):
    with pytest.raises(type(error)), failure.reported(tmp_path / "failure.json"):
        raise error

    told = json.loads((tmp_path / "failure.json").read_text())
    assert (told["kind"], told["message"], told["fix"]) == expected
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize("code", [0, None])
def test_a_regular_exit_is_no_failure(tmp_path, code):
    with pytest.raises(SystemExit), failure.reported(tmp_path / "failure.json"):
        raise SystemExit(code)

    assert not (tmp_path / "failure.json").exists()
