"""Benchmarks load completely or not at all."""

import json
import os
import re
from pathlib import Path

import pytest

from eval_math import benchmarks
from eval_math.benchmarks import BenchmarkError, Entry, answers_in
from eval_math.problems import tables

BENCHMARKS = Path(os.environ.get("ODR_BENCHMARKS", Path(__file__).parents[4] / "shared" / "data" / "benchmarks"))
needs_benchmarks = pytest.mark.skipif(not BENCHMARKS.is_dir(), reason=f"no benchmark files in {BENCHMARKS}")
COUNTS = {"math500": 500, "aime24": 30, "amc23": 40, "minerva_math": 272, "olympiadbench": 675, "gsm8k": 1319}


def write(path: Path, rows: list[dict[str, object]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_the_registered_names() -> None:
    assert set(benchmarks.names()) == {*COUNTS, "aime25", "math"}


@pytest.mark.parametrize("name", benchmarks.names())
def test_every_entry_pins_a_commit_and_says_how_it_is_scored(name: str) -> None:
    entry = benchmarks.entry(name)

    assert re.fullmatch(r"[0-9a-f]{40}", entry.revision or "")
    assert entry.num_rows
    assert entry.metric == ("greedy" if entry.n == 1 else f"mean@{entry.n}")


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
        ([], "is empty; expected one row per problem"),
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


HUB_ROWS = {
    # As the pinned commits have them; the local files of other origins have other columns.
    "aime24": {"id": 60, "problem": "q", "solution": r"\boxed{7}", "url": "u"},
    "aime25": {"id": "0", "problem": "q", "answer": "7"},
    "amc23": {"id": 0, "answer": 7.0, "url": "u", "question": "q"},
    "math500": {"problem": "q", "solution": r"\boxed{7}", "answer": "7", "unique_id": "test/0.json"},
    "minerva_math": {"question": "q", "answer": "7"},
    "olympiadbench": {"id": 1, "question": "q", "final_answer": ["7"], "unit": None},
    "gsm8k": {"question": "q", "answer": "6 and 1\n#### 7"},
    "math": {"problem": "q", "level": "Level 1", "solution": r"so \boxed{7}.", "type": "Algebra"},
}


class Hub:
    """Stands in for `datasets` and `huggingface_hub`."""

    def __init__(self, rows: list[dict[str, object]]) -> None:
        self.rows = rows
        self.asked: list[object] = []

    def load_dataset(self, *args: object, **options: object) -> list[dict[str, object]]:
        self.asked.append((args, options))
        return self.rows

    def HfApi(self) -> "Hub":
        return self

    def dataset_info(self, _: str) -> "Hub":
        return self

    sha = "0123abcd" * 5


@pytest.mark.parametrize("name", benchmarks.names())
def test_without_a_folder_the_dataset_is_downloaded_at_its_revision(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = benchmarks.entry(name)
    column = entry.id_column or "unused"
    rows: list[dict[str, object]] = [{**HUB_ROWS[name], column: i} for i in range(entry.num_rows[0])]
    hub = Hub(rows)
    monkeypatch.setattr(tables.importlib, "import_module", lambda _: hub)

    found = benchmarks.load(name)

    assert hub.asked == [((entry.dataset, entry.subset), {"split": "test", "revision": entry.revision})]
    assert [problem.answers for problem in found.problems] == [("7",)] * entry.num_rows[0]
    assert found.problems[0].question == "q"
    assert found.source == f"{entry.dataset}@{entry.revision}"


def test_a_revision_that_is_not_pinned_is_looked_up_logged_and_recorded(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    hub = Hub([{"q": "1+1", "a": "2"}])
    monkeypatch.setattr(tables.importlib, "import_module", lambda _: hub)

    with caplog.at_level("WARNING"):
        found = benchmarks.load_entry("mine", Entry("me/mine", "q", answers_in("a"), split="train"))

    assert hub.asked == [(("me/mine", None), {"split": "train", "revision": Hub.sha})]
    assert found.source == f"me/mine@{Hub.sha}"
    assert f"me/mine has no pinned revision; taking {Hub.sha}" in caplog.text


def test_a_failed_download_is_an_error_never_an_empty_benchmark(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        @staticmethod
        def load_dataset(*_: object, **__: object) -> None:
            raise OSError("no network")

    monkeypatch.setattr(tables.importlib, "import_module", lambda _: Broken)

    with pytest.raises(BenchmarkError, match=r"could not be fetched \(no network\); .* use a local file"):
        benchmarks.load("aime24")


def test_an_entry_needs_a_place() -> None:
    with pytest.raises(BenchmarkError, match="mine: neither a file nor a dataset"):
        benchmarks.load_entry("mine", Entry(None, "q", answers_in("a")))


def test_a_prompt_surrounds_the_question_and_leaves_its_braces_alone(tmp_path: Path) -> None:
    path = write(tmp_path / "sums.jsonl", [{"q": "{x} and {question}", "a": 1}])

    found = benchmarks.load_entry("sums", Entry(None, "q", answers_in("a"), prompt="Find {question}!"), path)

    assert found.problems[0].question == "Find {x} and {question}!"


def test_parquet_and_jsonl_are_the_same_benchmark(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    arrow = pytest.importorskip("pyarrow")
    rows = [{"question": "1+1", "answer": ["2", "two"]}, {"question": "2+2", "answer": ["4"]}]
    write(tmp_path / "sums.jsonl", rows)  # type: ignore[arg-type]
    (tmp_path / "other").mkdir()
    parquet.write_table(arrow.Table.from_pylist(rows), tmp_path / "other" / "sums.parquet")

    one, other = benchmarks.load("sums", tmp_path), benchmarks.load("sums", tmp_path / "other")

    assert one.problems == other.problems
    assert (one.source[:19], other.source[:20]) == ("sums.jsonl sha256:" + one.source[18], "sums.parquet sha256:")


def test_parquet_without_its_package_or_damaged_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "sums.parquet"
    path.write_bytes(b"PAR1 no")
    with pytest.raises(BenchmarkError, match="cannot be read as Parquet"):
        benchmarks.load(path)

    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(tables.importlib, "import_module", missing)
    with pytest.raises(BenchmarkError, match="needs the `pyarrow` package; install it, or convert"):
        benchmarks.load(path)


def test_a_missing_cell_is_no_answer(tmp_path: Path) -> None:
    assert answers_in("a")({"a": None}) == answers_in("a")({"a": float("nan")}) == answers_in("a")({}) == []
    assert answers_in("a")({"a": [1.0, None, "x"]}) == ["1", "x"]
