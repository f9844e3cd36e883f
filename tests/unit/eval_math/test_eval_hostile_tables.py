"""Problem files that unpack to far more than they are: one sentence, and no more memory than a sound file takes."""

import json
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from eval_math.problems import lines as lines_module
from eval_math.problems import parquet as parquet_module
from eval_math.problems.parquet import BoundedParquet
from eval_math.problems.tables import BenchmarkError, read_table

READ = """
import json, resource, sys
from pathlib import Path
from eval_math.problems.parquet import BoundedParquet
resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))
found, path, rows = "", Path(sys.argv[1]), 0
try:
    for batch in BoundedParquet(path).batches(1024):
        rows += batch.num_rows
    if sys.argv[2] == "keep":
        list(BoundedParquet(path).rows())
except ValueError as error:
    found = str(error)
peak = Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]
print(json.dumps({"found": found, "rows": rows, "peak": int(peak) << 10}))
"""


def repeated(rows: int, text: str) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), [text])


def a_dictionary(path: Path) -> None:
    pq.write_table(pa.table({"question": repeated(3_000, "x" * 900_000)}), path, store_schema=False)


def a_dictionary_in_lists(path: Path) -> None:
    lists = pa.ListArray.from_arrays(pa.array([0, 20_000], pa.int32()), repeated(20_000, "x" * 900_000))
    pq.write_table(pa.table({"answers": lists}), path, store_schema=False)


def a_run_in_a_list(path: Path) -> None:
    lists = pa.ListArray.from_arrays(pa.array([0, 40_000_000], pa.int32()), pa.nulls(40_000_000, pa.bool_()))
    pq.write_table(pa.table({"answers": lists}), path, compression="zstd")


def compression(path: Path) -> None:
    texts = repeated(9_000, "x" * 34_000).cast(pa.string())
    pq.write_table(pa.table({"question": texts}), path, compression="zstd", use_dictionary=False)


def prefixes(path: Path) -> None:
    texts = repeated(1_000, "x" * 9_000).cast(pa.string())
    pq.write_table(
        pa.table({"question": texts}), path, use_dictionary=False, column_encoding={"question": "DELTA_BYTE_ARRAY"}
    )


def many_columns(path: Path) -> None:
    pq.write_table(pa.table({f"c{index}": [1] for index in range(3000)}), path)


def depth(path: Path) -> None:
    kind: pa.DataType = pa.int8()
    for _ in range(40):
        kind = pa.list_(kind)
    pq.write_table(pa.schema({"question": kind}).empty_table(), path)


def wide_entries(path: Path) -> None:
    pq.write_table(pa.table({"question": pa.array([b"x" * 100_000], pa.binary(100_000))}), path)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (a_dictionary, r"\d+ bytes unpack to more than 67108864"),
        (a_dictionary_in_lists, r"a row has 180\d+ bytes, expected at most 268435456"),
        (a_run_in_a_list, r"\d+ bytes of column '.*' claim to be 40000000 entries of lists"),
        (compression, r"\d+ bytes of column 'question' claim to unpack to 306\d+"),
        (prefixes, r"column 'question' is stored by prefixes \(DELTA_BYTE_ARRAY\)"),
        (many_columns, "it has 3000 columns, expected at most 1000"),
        (depth, "is nested too deeply, expected at most 16 levels"),
        (wide_entries, "entries of column 'question' have 100000 bytes, expected at most 65536"),
    ],
)
def test_a_file_that_unpacks_to_too_much_is_refused_in_little_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[Path], None], message: str
) -> None:
    monkeypatch.setattr(parquet_module, "MAX_TABLE_BYTES", 64 << 20)
    path = tmp_path / "exam.parquet"
    make(path)
    assert path.stat().st_size < 1 << 20

    arguments = [sys.executable, "-c", READ, str(path), "batches" if make is a_dictionary else "keep"]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True)

    told = json.loads(done.stdout)
    assert told["peak"] < 700 << 20
    if make is a_dictionary:
        assert told["rows"] == 3_000, "whoever keeps nothing may read 2.7 GB"
    else:
        assert told["found"]
    with pytest.raises(BenchmarkError, match=rf"exam\.parquet cannot be read as Parquet \(.*{message}"):
        read_table(path)


def test_rows_of_every_usual_type_come_as_pyarrow_itself_gives_them(tmp_path: Path) -> None:
    nested = [[{"role": "user", "content": "why"}], None, []]
    unnamed = [[{"role": "user", "name": None}, {"role": "user", "name": None}], None, []]
    table = pa.table(
        {
            "text": ["a", "b", None],
            "large": pa.array(["a", None, "c"], pa.large_string()),
            "view": pa.array(["a", None, "c"], pa.string_view()),
            "words": pa.array(["a", "b", "a"]).dictionary_encode(),
            "bytes": [b"\xff", b"", None],
            "lists": [["x", None], None, []],
            "deep": [[["x"], []], None, []],
            "messages": nested,
            "nothing": pa.nulls(3),
            "nothings": pa.array([[None, None], None, [None]], pa.list_(pa.null())),
            "named": pa.array(unnamed, pa.list_(pa.struct([("role", pa.string()), ("name", pa.null())]))),
            "map": pa.array([[("k", ["v"])], None, []], pa.map_(pa.string(), pa.list_(pa.string()))),
            "number": pa.array([1.5, None, 3.0], pa.float32()),
            "choice": [{"a": "q", "b": 1}, None, {"a": None, "b": 2}],
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")

    file = BoundedParquet(tmp_path / "a.parquet")

    assert list(file.rows()) == table.to_pylist()
    assert [batch.num_rows for batch in file.batches(2, ["text"])] == [2, 1]


class _Trap:
    """Touches a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[[Path], None], tuple[Path]]:
        return Path.touch, (self.path,)


def test_pickles_and_foreign_types_in_the_metadata_are_never_opened(tmp_path: Path) -> None:
    trap = pickle.dumps(_Trap(tmp_path / "sprung"))
    extension = {"ARROW:extension:name": "arrow.py_extension_type", "ARROW:extension:metadata": trap}
    schema = pa.schema([pa.field("question", pa.string(), metadata=extension)], {"pandas": trap})
    pq.write_table(pa.table([["why"]], schema=schema), tmp_path / "exam.parquet")

    assert read_table(tmp_path / "exam.parquet").rows == [{"question": "why"}]
    assert not (tmp_path / "sprung").exists()


def test_a_line_without_end_is_refused_by_its_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines_module, "MAX_LINE_BYTES", 100)
    path = tmp_path / "exam.jsonl"
    path.write_text('{"problem": "short"}\n\n{"problem": "' + "x" * 200 + '"}\n')

    with pytest.raises(BenchmarkError, match=r"exam\.jsonl: line 3 is longer than 100 bytes"):
        read_table(path)


def test_json_that_is_nested_without_end_is_refused_by_its_line(tmp_path: Path) -> None:
    (tmp_path / "exam.jsonl").write_text("[" * 100_000)

    with pytest.raises(BenchmarkError, match=r"line 1: nested too deeply; expected a flat JSON object"):
        read_table(tmp_path / "exam.jsonl")
