"""Benchmarks load completely or not at all."""

import json
import os
from pathlib import Path

import pytest

from eval_math import benchmarks
from eval_math.benchmarks import BenchmarkError

BENCHMARKS = Path(os.environ.get("ODR_BENCHMARKS", Path(__file__).parents[4] / "shared" / "data" / "benchmarks"))
needs_benchmarks = pytest.mark.skipif(not BENCHMARKS.is_dir(), reason=f"no benchmark files in {BENCHMARKS}")
COUNTS = {"math500": 500, "aime24": 30, "amc23": 40, "minerva_math": 272, "olympiadbench": 675, "gsm8k": 1319}


def write(path: Path, rows: list[dict[str, object]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_the_registered_names() -> None:
    assert set(benchmarks.names()) == set(COUNTS)


@needs_benchmarks
@pytest.mark.parametrize("name", COUNTS)
def test_every_row_of_a_registered_benchmark_has_a_question_and_a_gold(name: str) -> None:
    found = benchmarks.load(name, BENCHMARKS)

    assert len(found.problems) == COUNTS[name]
    assert len({problem.problem_id for problem in found.problems}) == COUNTS[name]
    assert all(problem.question and problem.answers and all(problem.answers) for problem in found.problems)
    assert found.policy.name == f"benchmark:{name}"
    assert benchmarks.load(name, BENCHMARKS) == found


@needs_benchmarks
def test_golds_are_read_as_each_benchmark_writes_them() -> None:
    first = {name: benchmarks.load(name, BENCHMARKS).problems[0].answers for name in COUNTS}

    assert first == {
        "math500": (r"\left( 3, \frac{\pi}{2} \right)",),
        "aime24": ("204",),
        "amc23": ("27",),
        "minerva_math": ("1.6",),
        "olympiadbench": ("2",),
        "gsm8k": ("18",),
    }
    assert ("025",) in [problem.answers for problem in benchmarks.load("aime24", BENCHMARKS).problems]


def test_a_local_file_is_a_benchmark_of_its_own_name(tmp_path: Path) -> None:
    path = write(tmp_path / "sums.jsonl", [{"question": "1+1", "answer": "2"}, {"problem": "2+2", "answer": 4.0},
                                           {"question": "a root of x^2=1", "answer": ["1", "-1"]}])  # fmt: skip

    found = benchmarks.load(path)

    assert found.name == "sums"
    assert [problem.answers for problem in found.problems] == [("2",), ("4",), ("1", "-1")]
    assert [problem.problem_id for problem in found.problems] == ["sums/0000", "sums/0001", "sums/0002"]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "is empty; expected one JSON object per line"),
        ([{"question": "q", "answer": "1"}, {"question": "q"}], r"row 1 \(sums/0001\): no gold answer"),
        ([{"question": "q", "answer": "  "}], "row 0 .*: no gold answer"),
        ([{"answer": "1"}], "row 0 .*: no text in column 'question'"),
        ([{"question": "q", "answer": "1", "problem_id": 7}] * 2, "'sums/7' stands twice"),
    ],
)
def test_a_bad_row_is_an_error_that_names_it(tmp_path: Path, rows: list[dict[str, object]], message: str) -> None:
    path = write(tmp_path / "sums.jsonl", rows)

    with pytest.raises(BenchmarkError, match=message):
        benchmarks.load(path)


def test_what_is_no_json_is_an_error_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "sums.jsonl"
    path.write_text('{"question": "q", "answer": "1"}\n{"question": \n', encoding="utf-8")
    with pytest.raises(BenchmarkError, match="line 2: no JSON"):
        benchmarks.load(path)

    path.write_text("[1]\n", encoding="utf-8")
    with pytest.raises(BenchmarkError, match="line 1: expected a JSON object, found list"):
        benchmarks.load(path)


def test_a_missing_file_says_what_was_expected_and_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match=r"math500.jsonl does not exist; expected .* data_dir"):
        benchmarks.load("math500", tmp_path)


def test_a_wrong_number_of_rows_is_an_error(tmp_path: Path) -> None:
    write(tmp_path / "aime24.jsonl", [{"problem": "q", "answer": "1", "id": i} for i in range(29)])

    with pytest.raises(BenchmarkError, match="has 29 rows; aime24 has 30"):
        benchmarks.load("aime24", tmp_path)


def test_an_unknown_name_is_an_error_that_names_the_nearest() -> None:
    with pytest.raises(BenchmarkError, match="did you mean 'math500'"):
        benchmarks.load("math50")


def test_without_a_folder_the_dataset_is_downloaded_at_its_revision(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    class Hub:
        @staticmethod
        def load_dataset(*args: object, **options: object) -> list[dict[str, object]]:
            asked.append((args, options))
            return [{"problem": "q", "answer": "7", "id": i} for i in range(30)]

    monkeypatch.setattr(benchmarks.importlib, "import_module", lambda _: Hub)

    found = benchmarks.load("aime24")

    assert asked == [(("math-ai/aime24", None), {"split": "test", "revision": None})]
    assert len(found.problems) == 30


def test_a_failed_download_is_an_error_never_an_empty_benchmark(monkeypatch: pytest.MonkeyPatch) -> None:
    class Hub:
        @staticmethod
        def load_dataset(*_: object, **__: object) -> None:
            raise OSError("no network")

    monkeypatch.setattr(benchmarks.importlib, "import_module", lambda _: Hub)

    with pytest.raises(BenchmarkError, match=r"could not be fetched \(no network\); use data_dir"):
        benchmarks.load("aime24")
