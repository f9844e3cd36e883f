"""`odr benchmarks`: the list of entries, and the audit of the golds."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from eval_math import benchmarks
from flows.cli import app


def run(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["benchmarks", *arguments])
    return done.exit_code, done.output


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rows = [{"question": "q", "answer": "[0,1]"}, {"question": "q", "answer": "\\frac{1}{"}]
    (tmp_path / "exam.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (tmp_path / "fine.jsonl").write_text(json.dumps(rows[0]) + "\n", encoding="utf-8")
    return tmp_path


def test_without_names_every_entry_is_listed() -> None:
    code, output = run()

    assert code == 0
    assert all(name in output for name in benchmarks.names())
    assert all((benchmarks.entry(name).revision or "?")[:12] in output for name in benchmarks.names())


def test_a_named_benchmark_is_audited(folder: Path) -> None:
    code, output = run("exam", "fine", "--data-dir", str(folder))

    assert code == 0
    assert "exam: 2 problems, 1 exceptions" in output
    assert "fine: 1 problems, 0 exceptions" in output
    assert "exam/0001" in output
    assert "exam.jsonl sha256:" in output
    assert "exam/0000" not in output


def test_a_file_is_a_benchmark(folder: Path) -> None:
    code, output = run(str(folder / "fine.jsonl"))

    assert code == 0
    assert "fine: 1 problems, 0 exceptions" in output


def test_a_wrong_name_ends_with_two_and_one_line(folder: Path) -> None:
    code, output = run("math50")
    missing, _ = run("other", "--data-dir", str(folder))

    assert (code, missing) == (2, 2)
    assert "did you mean 'math500'" in output
