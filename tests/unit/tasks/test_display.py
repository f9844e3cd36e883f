"""Progress: how far, how fast, how long still, on a terminal and in a log."""

import os
import pty
import subprocess
import sys
from types import SimpleNamespace

import pytest

from tasks import display
from tasks.display import Bar, bar, duration


@pytest.fixture
def clock(monkeypatch):
    """Seconds that pass when a test says so."""
    now = [1000.0]
    monkeypatch.setattr(display, "time", SimpleNamespace(monotonic=lambda: now[0]))

    def wait(seconds):
        now[0] += seconds

    return wait


def test_the_pace_is_that_of_steps_made_here_without_start_up(clock):
    shown = Bar("sampling", 64, None)

    shown.there(10)  # shards of an earlier run
    assert shown.sentence() == "10 of 64"
    clock(600)  # an engine starts
    shown.advance(2, "900 tokens/s")
    assert shown.sentence() == "12 of 64, 900 tokens/s"
    clock(16)
    shown.advance(8)
    assert shown.sentence() == "20 of 64, 0.5/s, 88 s left, 900 tokens/s"
    clock(88)
    shown.advance(44)
    assert shown.sentence() == "64 of 64, 0.5/s, 900 tokens/s"


def test_training_that_goes_on_counts_from_its_checkpoint(clock):
    shown = Bar("training", 1, None)

    shown.total(1000)
    shown.at(501, "loss 0.7")
    clock(10)
    shown.at(601)

    assert shown.sentence() == "601 of 1000, 10/s, 40 s left, loss 0.7"


def test_a_log_gets_a_line_now_and_then(clock, caplog):
    caplog.set_level("INFO", logger="tasks.display")
    shown = Bar("iteration 1 · training steps", 100, None)

    for _ in range(100):
        clock(1)
        shown.advance(1)

    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 100 // (display.LOG_SECONDS + 1)
    assert lines[0] == "iteration 1 · training steps: 16 of 100, 1/s, 84 s left"


def test_whoever_else_watches_is_told_every_step():
    told = []
    shown = Bar("sampling", 2, None, lambda done, total, sentence: told.append((done, total, sentence)))

    shown.there(1)
    shown.advance(1, "note")

    assert told == [(1, 2, "1 of 2"), (2, 2, "2 of 2, note")]


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.26, "0.3 s"), (9.96, "10 s"), (119, "119 s"), (600, "10 min"), (9000, "2.5 h")]
)
def test_durations_are_for_people(seconds, text):
    assert duration(seconds) == text


def test_on_a_terminal_there_is_one_bar_and_names_in_it_are_no_markup():
    code = (
        "from tasks.display import bar\n"
        "with bar('iteration 1 · [red]exam[/] shards', 4) as shown:\n"
        "    shown.advance(1, '[bold]12 tokens/s')\n"
        "    shown.advance(3)\n"
    )
    master, slave = pty.openpty()
    done = subprocess.run(
        [sys.executable, "-c", code], stderr=slave, capture_output=False, stdout=subprocess.PIPE, check=True,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "200"},
    )  # fmt: skip
    os.close(slave)
    shown = os.read(master, 65536).decode()
    os.close(master)

    assert "[red]exam[/] shards" in shown
    assert "[bold]12 tokens/s" in shown
    assert "4/4" in shown
    assert done.stdout == b""  # results only


def test_without_a_terminal_no_bar_is_drawn(capfd):
    with bar("iteration 1 · shards", 1) as shown:
        shown.advance(1)

    assert capfd.readouterr() == ("", "")
