"""`odr grade` as a person meets it: the file, the summary, the comparison, and a sentence for every mistake."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from eval_math import Grade, Reason
from eval_math.__main__ import app as alone
from eval_math.files import run
from flows.cli import app

COLUMNS = ("--answer-column", "response", "--reference-column", "gold")
INVISIBLE = {"\x1b", "\x07", "\x9b", "\u202e", "\u200b", "\r"}


@pytest.fixture(autouse=True)
def wide(monkeypatch, tmp_path):
    """Help and errors of the command line are not wrapped; nothing is written but what is asked for."""
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setenv("ODR_HOME", str(tmp_path / "home"))


def odr(*words: Any, of: Any = app):
    result = CliRunner().invoke(of, ["grade", *map(str, words)])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def refused(result, *parts: str) -> str:
    """The command ended with 2 and one sentence on standard error, and printed nothing else."""
    assert result.exit_code == 2, result.output
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""
    for part in parts:
        assert part in result.stderr
    return result.stderr


def lines(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def answers(tmp_path) -> Path:
    """Right, wrong, no answer, no response, a gold nobody reads, and an unboxed answer."""
    rows = [(r"\boxed{4}", "4"), (r"\boxed{5}", 4.0), ("I do not know", "4"), (None, "4"), (r"\boxed{4}", None),
            ("The answer is 4.", "4")]  # fmt: skip
    return lines(tmp_path / "answers.jsonl", [{"id": i, "response": r, "gold": g} for i, (r, g) in enumerate(rows)])


# --- the file and the summary ------------------------------------------------------------------------------------


@pytest.mark.parametrize("of", [app, alone], ids=["odr", "eval_math"])
def test_rows_come_back_graded_with_a_summary(answers, tmp_path, of):
    result = odr(answers, *COLUMNS, "--out", tmp_path / "grades.parquet", of=of)

    rows = pq.read_table(tmp_path / "grades.parquet").to_pylist()
    assert result.exit_code == 0
    assert [row["id"] for row in rows] == [0, 1, 2, 3, 4, 5]
    assert [row["correct"] for row in rows] == [True, False, False, False, None, False]
    assert [row["reason"] for row in rows[2:]] == ["no_answer", "no_answer", "gold_unreadable", "no_answer"]
    assert rows[0]["answer"] == "4"
    assert "accuracy 20.00 ± 20.00 %: 1 right, 4 wrong, 1 unknown of 6 rows" in result.stdout
    assert "1 row without a response (null), counted as wrong" in result.stdout
    assert "1 row without a verdict: the gold cannot be read. A gold is the final answer alone" in result.stdout
    assert "  row 5: (none)" in result.stdout
    assert "no_answer       │    3 │     50.0" in result.stdout
    assert "0 extraction" in result.stdout
    assert f"written to {tmp_path / 'grades.parquet'}" in result.stdout
    assert result.stderr == ""  # no progress in a pipe


def test_grading_leaves_nothing_behind_but_its_output(answers, tmp_path):
    odr(answers, *COLUMNS, "--out", tmp_path / "grades.jsonl")

    assert sorted(path.name for path in tmp_path.iterdir()) == ["answers.jsonl", "grades.jsonl"]


def test_json_is_one_object_and_nothing_else(answers):
    result = odr(answers, *COLUMNS, "--json")

    found = json.loads(result.stdout)
    assert result.stdout.count("\n") == 1
    assert (found["rows"], found["right"], found["wrong"], found["unknown"]) == (6, 1, 4, 1)
    assert found["accuracy"] == 0.2
    assert found["standard_error"] == pytest.approx(0.2)
    assert sum(found["reasons"].values()) == sum(found["stages"].values()) == 6
    assert found["unreadable_golds"] == [{"row": 5, "golds": []}]
    assert {each["row"] for each in found["slowest"]} <= {1, 2, 3, 5}


def test_a_single_row_has_no_standard_error(tmp_path):
    result = odr(lines(tmp_path / "one.jsonl", [{"response": r"\boxed{4}", "gold": 4}]), *COLUMNS, "--json")

    assert json.loads(result.stdout)["standard_error"] is None


def test_the_policy_decides_what_an_answer_is(answers):
    strict = json.loads(odr(answers, *COLUMNS, "--json").stdout)
    lenient = json.loads(odr(answers, *COLUMNS, "--json", "--policy", "benchmark:math500").stdout)

    assert (strict["right"], lenient["right"]) == (1, 2)
    assert strict["policy"].startswith("reward v")
    assert lenient["policy"].startswith("benchmark:math500 v")


def test_the_slowest_answers_are_named_once_each(tmp_path):
    rows = [{"response": rf"\boxed{{\sqrt{{{i * i}}}}}", "gold": str(i)} for i in range(2, 40)]
    result = odr(lines(tmp_path / "in.jsonl", rows * 3), *COLUMNS, "--json", "--workers", 0)

    slowest = json.loads(result.stdout)["slowest"]
    assert len(slowest) == 10
    assert len({each["answer"] for each in slowest}) == 10
    assert [each["seconds"] for each in slowest] == sorted((each["seconds"] for each in slowest), reverse=True)


def test_hostile_text_reaches_the_terminal_escaped(tmp_path):
    evil = "\x1b]0;pwned\x07\x9b2J[bold]x[/]\u202e\u200b\r"
    rows = [{"response": f"\\boxed{{{evil}}}", "gold": "4"}, {"response": "", "gold": f"the )( {evil} ???"}]
    rows += [{"response": rf"\boxed{{4{evil}}}", "gold": f")( {evil} $"}, {evil: 1, "response": "", "gold": 1}]
    file = lines(tmp_path / "in.jsonl", rows)
    odr(file, *COLUMNS, "--out", tmp_path / "old.jsonl")
    old = (tmp_path / "old.jsonl").read_text(encoding="utf-8")
    (tmp_path / "old.jsonl").write_text(old.replace('"correct": false', '"correct": true'), encoding="utf-8")

    shown = odr(file, *COLUMNS, "--diff", tmp_path / "old.jsonl")
    as_json = odr(file, *COLUMNS, "--diff", tmp_path / "old.jsonl", "--json")
    missing = odr(file, "--answer-column", evil + "x", "--reference-column", "gold")

    assert "[bold]" in shown.stdout  # shown, not obeyed
    for text in (shown.stdout, as_json.stdout, missing.stderr):
        assert not set(text) & INVISIBLE


def test_a_reward_that_finds_no_box_says_what_else_there_is(tmp_path):
    file = lines(tmp_path / "in.jsonl", [{"response": "It is 4", "gold": 4}] * 3)

    assert "--policy benchmark also reads unboxed final answers" in odr(file, *COLUMNS).stdout
    assert "--policy benchmark" not in odr(file, *COLUMNS, "--policy", "benchmark").stdout


# --- comparing two gradings --------------------------------------------------------------------------------------


def test_a_change_of_grader_is_shown_row_by_row(answers, tmp_path):
    old = tmp_path / "old.parquet"
    odr(answers, *COLUMNS, "--out", old)
    table = pq.read_table(old)
    correct = pa.array([False, None, True, False, None, False])
    edited = table.set_column(table.column_names.index("correct"), "correct", correct)
    pq.write_table(edited.replace_schema_metadata(table.schema.metadata), old)

    shown = odr(answers, *COLUMNS, "--diff", old, "--policy", "benchmark")
    found = json.loads(odr(answers, *COLUMNS, "--diff", old, "--policy", "benchmark", "--json").stdout)["diff"]

    assert shown.exit_code == 0
    assert "4 of 6 verdicts changed" in shown.stdout
    assert "accuracy 25.00 -> 40.00 %" in shown.stdout
    assert "graded by reward v" in shown.stdout
    assert found["changed"] == 4
    flips = {(each["old"], each["new"]): each["rows"] for each in found["flips"]}
    assert flips == {(False, True): 2, (None, False): 1, (True, False): 1}
    assert [each["row"] for each in found["examples"]] == [1, 2, 3, 6]
    last = found["examples"][-1]
    assert (last["old_reason"], last["answer"], last["golds"]) == ("no_answer", "4", ["4"])


def test_the_same_grader_changes_nothing(answers, tmp_path):
    odr(answers, *COLUMNS, "--out", tmp_path / "old.parquet", "--prefix", "g_")

    result = odr(answers, *COLUMNS, "--diff", tmp_path / "old.parquet", "--out", tmp_path / "old.parquet")

    assert "0 of 6 verdicts changed" in result.stdout
    assert "graded by" not in result.stdout
    assert "correct" in pq.read_schema(tmp_path / "old.parquet").names  # replaced after it was read


def test_examples_come_from_every_kind_of_change(tmp_path):
    rows = [{"response": rf"\boxed{{{i}}}", "gold": str(i)} for i in range(50)]
    rows.append({"response": r"\boxed{1}", "gold": "2"})
    file = lines(tmp_path / "in.jsonl", rows)
    old = [{**row, "correct": i == 50, "reason": "different"} for i, row in enumerate(rows)]

    result = odr(file, *COLUMNS, "--diff", lines(tmp_path / "old.jsonl", old), "--examples", 3, "--json")

    assert [each["row"] for each in json.loads(result.stdout)["diff"]["examples"]] == [1, 2, 51]


def test_a_limit_compares_the_first_rows(answers, tmp_path):
    odr(answers, *COLUMNS, "--out", tmp_path / "old.parquet")

    result = odr(answers, *COLUMNS, "--diff", tmp_path / "old.parquet", "--limit", 2)

    assert "0 of 2 verdicts changed" in result.stdout


def test_two_files_that_are_not_the_same_rows_are_not_compared(answers, tmp_path):
    odr(answers, *COLUMNS, "--out", tmp_path / "old.jsonl")
    old = (tmp_path / "old.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    (tmp_path / "fewer.jsonl").write_text("".join(old[:-1]), encoding="utf-8")
    (tmp_path / "swapped.jsonl").write_text("".join([old[1], old[0], *old[2:]]), encoding="utf-8")

    refused(odr(answers, *COLUMNS, "--diff", tmp_path / "fewer.jsonl"), "has 5 rows, the input 6; grade one file")
    out = tmp_path / "new.parquet"
    text = refused(odr(answers, *COLUMNS, "--diff", tmp_path / "swapped.jsonl", "--out", out), "row 1: its response is")
    assert "not the same rows in the same order" in text
    refused(odr(answers, *COLUMNS, "--diff", answers), "has no column 'correct'; expected an output of this command")
    assert not out.exists()


# --- what a person can put right ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["--policy", "rewrad"], ["unknown policy 'rewrad'; did you mean 'reward'?", "benchmark:math500"]),
        (["--policy", "benchmark:mth500"], ["unknown benchmark 'mth500'; did you mean 'math500'?"]),
        (["--out", "grades.csv"], ["end it in .parquet or .jsonl"]),
        (["--out", "no/such/folder/x.parquet"], ["cannot be written: No such file or directory; make the folder"]),
        (["--deadline", "0"], ["--deadline 0.0: expected seconds above 0"]),
        (["--diff", "nosuch.parquet"], ["nosuch.parquet cannot be read: No such file"]),
        (["--answer-column", "respons"], ["no column 'respons'; did you mean 'response'? There are: id, response"]),
        (["--reference-column", "xyz.a"], ["--reference-column: no column 'xyz.a'. There are: id, response, gold"]),
        (["--answer-column", "id"], ["row 1: column 'id' holds a number, expected text; add --bare"]),
        (["--reference-column", "gold.inner"], ["no gold in column 'gold.inner' can be read; row 1 has none"]),
    ],
    ids=lambda value: " ".join(value[:2]) if value[0].startswith("--") else "says",
)
def test_an_option_that_is_wrong(answers, words, parts):
    refused(odr(answers, *COLUMNS, *words), *parts)


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b"", "has no rows; expected one JSON object per line"),
        (b"\n\n", "has no rows"),
        (b'{"response": "x", "gold": 1}\n{"resp', "line 2: not JSON"),
        (b'[{"response": "x"}]', "line 1: a list, expected one JSON object per line (`jq -c '.[]'` makes JSONL"),
        (b'[\n{"response": "x"}\n]', "line 1: not JSON"),
        (b'{"response": "\xff"}', "line 1: not UTF-8 text"),
        (b'{"response": ' + b"[" * 100_000, "line 1: not JSON (nested too deeply)"),
        (b'{"response": ' + b"9" * 5000 + b"}", "line 1: not JSON"),
        (b"PAR1 and no more", "is no complete Parquet file"),
        (b"a,b\n1,2\n", "expected one JSON object per line, or a Parquet file"),
    ],
)
def test_a_file_that_cannot_be_read(tmp_path, content, part):
    (tmp_path / "in.jsonl").write_bytes(content)

    refused(odr(tmp_path / "in.jsonl", *COLUMNS, "--out", tmp_path / "out.parquet"), part)

    assert [path.name for path in tmp_path.iterdir()] == ["in.jsonl"]


def test_a_file_that_is_not_there_or_is_a_folder(tmp_path):
    refused(odr(tmp_path / "nosuch.jsonl", *COLUMNS), "nosuch.jsonl cannot be read: No such file or directory")
    refused(odr(tmp_path, *COLUMNS), "is a folder; name one .jsonl or .parquet file in it")


def test_the_input_is_never_overwritten(answers):
    before = answers.read_bytes()

    refused(odr(answers, *COLUMNS, "--out", answers), "is the input itself")

    assert answers.read_bytes() == before


def test_a_column_that_has_the_name_of_a_verdict_needs_a_prefix(tmp_path):
    rows = [{"prediction": r"\boxed{4}", "answer": "4"}]
    words = (lines(tmp_path / "in.jsonl", rows), "--answer-column", "prediction", "--reference-column", "answer")

    refused(odr(*words, "--out", tmp_path / "o.jsonl"), "has a column 'answer' already; add --prefix, such as --prefix")
    assert odr(*words).exit_code == 0  # nothing is added when nothing is written
    assert odr(*words, "--out", tmp_path / "o.jsonl", "--prefix", "graded_").exit_code == 0

    row = json.loads((tmp_path / "o.jsonl").read_text(encoding="utf-8"))
    assert list(row) == [
        "prediction", "answer", "graded_correct", "graded_reason", "graded_stage", "graded_answer"
    ]  # fmt: skip


def test_golds_that_nobody_can_read_are_an_error_only_when_all_are(tmp_path):
    rows = [{"response": r"\boxed{4}", "gold": None}] * 3
    out = tmp_path / "out.parquet"

    text = refused(odr(lines(tmp_path / "in.jsonl", rows), *COLUMNS, "--out", out), "no gold in column 'gold'")
    assert "row 1 has none. A gold is the final answer alone" in text
    assert not out.exists()

    rows.append({"response": r"\boxed{4}", "gold": "4"})
    assert odr(lines(tmp_path / "in.jsonl", rows), *COLUMNS, "--out", out).exit_code == 0
    assert pq.read_table(out)["correct"].to_pylist() == [None, None, None, True]


def test_a_grader_or_a_machine_that_fails_ends_with_one(answers, tmp_path, monkeypatch):
    crashed = Grade(None, Reason.GRADER_CRASHED, 4)
    full = OSError(28, "No space left on device")

    def no_space(*_, **__):
        raise full

    monkeypatch.setattr(run, "grade_many", lambda cases, *_, **__: (crashed for _ in cases))
    first = odr(answers, *COLUMNS, "--out", tmp_path / "out.parquet")
    monkeypatch.setattr(run, "grade_many", no_space)
    second = odr(answers, *COLUMNS, "--out", tmp_path / "out.parquet")

    assert first.exit_code == second.exit_code == 1
    assert first.stderr == "error: the grader failed on every row; please report it with a row of the file\n"
    assert second.stderr == "error: [Errno 28] No space left on device\n"
    assert [path.name for path in tmp_path.iterdir()] == ["answers.jsonl"]


# --- as a process ------------------------------------------------------------------------------------------------

SLOW = """
import sys, time
from eval_math.files import run

def forever(cases, *_, **__):
    next(iter(cases))
    print("grading", flush=True)
    time.sleep(60)
    yield

run.grade_many = forever
from flows.cli import app
app()
"""


def start(code: str, *words: Any, **options: Any) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", code, "grade", *map(str, words)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_run_that_is_stopped_leaves_nothing_under_the_final_name(answers, tmp_path, how):
    process = start(SLOW, answers, *COLUMNS, "--out", tmp_path / "out.parquet")
    assert process.stdout is not None
    assert process.stdout.readline() == "grading\n"

    process.send_signal(how)
    _, errors = process.communicate(timeout=30)

    left = sorted(path.name for path in tmp_path.iterdir() if path.suffix != ".part")
    assert process.returncode != 0
    assert left == ["answers.jsonl"]
    if how is signal.SIGINT:
        assert not list(tmp_path.glob(".*.part"))
        assert "Traceback" not in errors


def test_the_command_starts_in_a_moment_and_loads_no_engine(answers, tmp_path):
    code = (
        "import sys, atexit\nfrom flows.cli import app\n"
        "heavy = ('torch', 'prefect', 'mlflow', 'transformers', 'datasets', 'sympy')\n"
        "atexit.register(lambda: print(*[name for name in heavy if name in sys.modules], file=sys.stderr))\napp()"
    )
    seconds = []
    for _ in range(3):
        started = time.monotonic()
        process = start(code, answers, *COLUMNS, "--out", tmp_path / "out.parquet")
        output, errors = process.communicate(timeout=60)
        seconds.append(time.monotonic() - started)

    assert process.returncode == 0
    assert "accuracy 20.00" in output
    assert errors == "\n"
    assert min(seconds) < 3  # measured: 0.6 s


def test_it_runs_from_any_folder_as_a_module(answers, tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    command = [sys.executable, "-m", "eval_math", "grade", str(answers), *COLUMNS, "--json"]

    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)

    assert json.loads(done.stdout)["rows"] == 6
    assert done.stderr == ""
