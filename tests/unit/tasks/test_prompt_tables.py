"""An unchanged file is read once; whatever could change the table makes it anew."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from artifacts import Prompt
from tasks import prompt_tables, prompts
from tasks.settings import Benchmark, Source
from tasks.sources import BadSource
from tasks.workspace import Workspace

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def write(path: Path, answers: list[int]) -> Path:
    path.write_text("".join(json.dumps({"question": f"Q{n}?", "answer": n}) + "\n" for n in answers), encoding="utf-8")
    return path


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of what was really read."""
    seen: list[str] = []
    load, benchmark = prompts.load, prompts.load_benchmark
    monkeypatch.setattr(prompts, "load", lambda *a: (seen.append("source"), load(*a))[1])
    monkeypatch.setattr(prompts, "load_benchmark", lambda *a: (seen.append("benchmark"), benchmark(*a))[1])
    return seen


def answers(ref: Any, workspace: Workspace) -> list[list[str]]:
    return [row.answers for row in workspace.store.read(ref, Prompt)]


def test_the_same_file_is_read_once_and_gives_the_same_table(tmp_path, workspace, reads) -> None:
    source = Source(path=write(tmp_path / "a.jsonl", [1, 2, 3]), per_iteration=2)

    first = prompt_tables.of_source(source, 0, 7, workspace)
    again = prompt_tables.of_source(source, 0, 7, Workspace(workspace.root))

    assert (first, reads) == (again, ["source"])
    assert first == prompts.load(source, 0, 7, workspace.store)


@pytest.mark.parametrize("change", ["iteration", "seed", "slice", "content"])
def test_what_could_change_the_table_makes_it_anew(tmp_path, workspace, reads, change) -> None:
    path = write(tmp_path / "a.jsonl", [1, 2, 3])
    source = Source(path=path, per_iteration=2)
    prompt_tables.of_source(source, 0, 7, workspace)
    if change == "content":
        write(path, [4, 5, 6])
    if change == "slice":
        source = Source(path=path, per_iteration=3)

    ref = prompt_tables.of_source(source, int(change == "iteration"), 7 + (change == "seed"), workspace)

    assert len(reads) == 2
    if change == "content":
        assert {text for row in answers(ref, workspace) for text in row} < {"4", "5", "6"}


@pytest.mark.parametrize("damage", ["part", "record", "gone"])
def test_a_kept_table_that_was_damaged_is_made_again(tmp_path, workspace, reads, damage) -> None:
    source = Source(path=write(tmp_path / "a.jsonl", [1, 2]))
    ref = prompt_tables.of_source(source, 0, 0, workspace)
    [record] = workspace.cache.iterdir()
    [part] = (workspace.root / "store" / ref.path).glob("*.parquet")
    if damage == "part":
        part.chmod(0o644)
        part.write_bytes(part.read_bytes()[:-1])
    elif damage == "record":
        record.write_text("[1]")
    else:
        part.unlink()

    assert prompt_tables.of_source(source, 0, 0, workspace) == ref
    assert answers(ref, workspace) == [["1"], ["2"]]
    assert len(reads) == 2


def test_a_benchmark_is_kept_by_its_file_and_its_limit_whatever_its_sampling(tmp_path, workspace, reads) -> None:
    write(tmp_path / "exam.jsonl", [1, 2, 3])

    def table(**fields: Any) -> Any:
        return prompt_tables.of_benchmark(Benchmark(name="exam", data_dir=tmp_path, **fields), workspace)

    assert table() == table(samples=4)
    assert len(reads) == 1
    assert table(limit=2).rows == 2
    os.utime(write(tmp_path / "exam.jsonl", [7, 8, 9]))
    assert answers(table(), workspace) == [["7"], ["8"], ["9"]]


def test_faults_are_those_of_loading(tmp_path, workspace) -> None:
    with pytest.raises(BadSource, match="no file"):
        prompt_tables.of_source(Source(path=tmp_path / "none.jsonl"), 0, 0, workspace)
    with pytest.raises(BadSource, match="does not exist"):
        prompt_tables.of_benchmark(Benchmark(name="math500", data_dir=tmp_path), workspace)
    with pytest.raises(BadSource, match="unknown benchmark"):
        prompt_tables.of_benchmark(Benchmark(name="maths500"), workspace)


@pytest.mark.parametrize(("revision", "asked"), [(COMMIT, 1), ("main", 2), (None, 2)])
def test_of_the_hub_only_a_pinned_commit_is_kept(workspace, monkeypatch, revision, asked) -> None:
    calls: list[str] = []

    def rows(source: Source, name: str) -> list[dict[str, str]]:
        calls.append(name)
        return [{"question": "1 + 1?", "answer": "2"}]

    monkeypatch.setattr(prompts, "hub_rows", rows)
    source = Source(dataset="some/problems", revision=revision)

    assert prompt_tables.of_source(source, 0, 0, workspace) == prompt_tables.of_source(source, 0, 0, workspace)
    assert len(calls) == asked
