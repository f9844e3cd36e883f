"""Grading files: what a cell says, that every column comes through, and that nothing half-written is left."""

import datetime
import json
import math
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eval_math import Policy
from eval_math.files import BadInput, Task, grade_file, read, run
from eval_math.files.cells import golds_of, number_text, response_of
from eval_math.files.messages import shown
from eval_math.files.policies import policy_named
from eval_math.files.read import Parquet, open_table
from eval_math.files.write import VERDICT, replacing

HOSTILE = "\x1b[31mred\x07\x9b2J\u202eabc\n\ud800"


def write_lines(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows as this package reads them: JSON text of mixed columns is JSON again."""
    table = open_table(path)
    rows: list[dict[str, Any]] = []
    for batch in table.batches():
        columns = [table.cells(batch, name) for name in table.columns]  # type: ignore[arg-type]
        rows += [dict(zip(table.columns, cells, strict=True)) for cells in zip(*columns, strict=True)]
    return rows


def graded(file: Path, out: Path | None = None, **changes: Any) -> run.Report:
    changes = {"workers": 0, **changes}
    return grade_file(Task(file, "response", "gold", out=out, **changes))


# --- what a cell says --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "text"),
    [(27.0, "27"), (27, "27"), (-0.5, "-0.5"), (1e-07, "0.0000001"), (1e20, "100000000000000000000"),
     (Decimal("2.50"), "2.5"), (Decimal("100"), "100"), (True, "True"), (math.inf, r"\infty"),
     (-math.inf, r"-\infty"), (math.nan, "")],
)  # fmt: skip
def test_a_number_is_written_as_a_person_writes_it(value: Any, text: str) -> None:
    assert number_text(value) == text


@pytest.mark.parametrize(
    ("value", "golds"),
    [("x", ("x",)), (27.0, ("27",)), (["a", 2, None, 0.5], ("a", "2", "0.5")), (None, ()), ([], ())],
)
def test_a_gold_is_a_text_a_number_or_a_list(value: Any, golds: tuple[str, ...]) -> None:
    assert golds_of(value) == golds


@pytest.mark.parametrize("value", [{"text": "5"}, [["5"]], [{"a": 1}], datetime.date(2024, 1, 1)])
def test_another_gold_is_refused(value: Any) -> None:
    with pytest.raises(BadInput, match="expected a text, a number or a list of accepted answers"):
        golds_of(value)


CHAT = [
    {"role": "user", "content": "2+2?"},
    {"role": "assistant", "content": "3"},
    {"role": "user", "content": "Sure?"},
    {"role": "assistant", "content": "4"},
    {"role": "user", "content": "Thanks"},
]


@pytest.mark.parametrize(
    ("value", "text"),
    [("text", "text"), (None, None), (CHAT, "4"), (CHAT[0:1], None), ([], None), (CHAT[1], "3"),
     ([{"from": "human", "value": "?"}, {"from": "gpt", "value": "5"}], "5"),
     ([{"role": "assistant", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}], "ab"),
     ([{"role": "assistant", "content": None}], None)],
)  # fmt: skip
def test_a_response_is_a_text_or_the_last_that_the_assistant_said(value: Any, text: str | None) -> None:
    assert response_of(value, bare=False) == text


@pytest.mark.parametrize("value", [["a", "b"], {"a": 1}, [CHAT], [{"role": "user"}, {"text": "x"}]])
def test_another_response_is_refused(value: Any) -> None:
    with pytest.raises(BadInput, match="expected one text or one chat; write one row per response"):
        response_of(value, bare=True)


def test_a_number_is_a_response_only_when_answers_are_bare() -> None:
    assert response_of(4.0, bare=True) == "4"
    with pytest.raises(BadInput, match="a number, expected text; add --bare"):
        response_of(4.0, bare=False)


@given(st.text(), st.integers(2, 80))
def test_what_is_shown_is_one_short_line_without_commands_to_the_terminal(text: str, width: int) -> None:
    line = shown(text + HOSTILE, width)

    assert len(line) <= width
    assert line.isprintable()


# --- policies ----------------------------------------------------------------------------------------------------


def test_policies_have_names() -> None:
    assert policy_named("reward") == Policy.reward()
    assert policy_named("benchmark") == Policy.benchmark()
    assert policy_named("benchmark:minerva_math") == Policy.benchmark("minerva_math")


@pytest.mark.parametrize(
    ("name", "hint"),
    [("rewrad", "did you mean 'reward'"), ("benchmark:mth500", "did you mean 'math500'"),
     ("math500", "did you mean 'benchmark:math500'"), ("benchmark:", "unknown benchmark ''"), ("", "unknown policy")],
)  # fmt: skip
def test_an_unknown_policy_names_the_nearest(name: str, hint: str) -> None:
    with pytest.raises(BadInput, match=hint):
        policy_named(name)


# --- every column comes through ----------------------------------------------------------------------------------

NAMES = st.sampled_from(["id", "meta", "x", "später", "a.b"])
SCALARS = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(max_size=5)
CELLS = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=2),
    max_leaves=5,
)
ROWS = st.lists(st.dictionaries(NAMES, CELLS, max_size=4), min_size=1, max_size=7)


def without_nulls(value: Any) -> Any:
    """Parquet has one set of fields for all rows: a missing one is null."""
    if isinstance(value, dict):
        return {key: without_nulls(each) for key, each in value.items() if each is not None}
    return [without_nulls(each) for each in value] if isinstance(value, list) else value


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(rows=ROWS)
def test_the_output_is_the_input_plus_verdicts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, rows: list[dict[str, Any]]
) -> None:
    monkeypatch.setattr(read, "BATCH_ROWS", 2)  # types must hold across batches
    rows = [{**row, "response": rf"\boxed{{{i}}}", "gold": "3"} for i, row in enumerate(rows)]
    file = write_lines(tmp_path / "in.jsonl", rows)

    graded(file, tmp_path / f"out.{suffix}")

    found = read_rows(tmp_path / f"out.{suffix}")
    kept = [{name: cell for name, cell in row.items() if name not in VERDICT} for row in found]
    assert without_nulls(kept) == without_nulls(rows)
    assert [row["answer"] for row in found] == [str(i) for i in range(len(rows))]
    assert [row["correct"] for row in found] == [i == 3 for i in range(len(rows))]


def test_jsonl_to_jsonl_leaves_every_line_as_it_was_but_for_the_end(tmp_path: Path) -> None:
    row = {"response": "\ud800 ü", "gold": 5, "n": 2**80, "f": 0.1, "z": {"b": [], "a": {}}}
    file = write_lines(tmp_path / "in.jsonl", [row])

    graded(file, tmp_path / "out.jsonl")

    out = json.loads((tmp_path / "out.jsonl").read_text(encoding="utf-8"))
    assert list(out) == [*row, *VERDICT]
    assert {name: out[name] for name in row} == row


def test_halves_of_surrogate_pairs_do_not_stop_a_parquet_file(tmp_path: Path) -> None:
    file = write_lines(tmp_path / "in.jsonl", [{"response": "\\boxed{\ud800}", "gold": "5"}] * 2)

    graded(file, tmp_path / "out.parquet")

    assert pq.read_table(tmp_path / "out.parquet")["answer"].to_pylist()[0].strip("\ufffd") == ""


def wide_table() -> pa.Table:
    texts = pa.array([r"\boxed{1}", None, r"\boxed{0.1}"])
    day = datetime.datetime(2024, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
    columns = {
        "response": texts,
        "gold": pa.array([1.0, 2.0, 0.1], pa.float32()),
        "when": pa.array([day, None, day], pa.timestamp("us", "UTC")),
        "money": pa.array([Decimal("1.50"), None, Decimal("2.00")], pa.decimal128(10, 2)),
        "word": pa.array(["a", "b", "a"]).dictionary_encode(),
        "chat": pa.array([CHAT, [], None]),
        "map": pa.array([[("k", 1)], [], None], pa.map_(pa.string(), pa.int32())),
        "large": pa.array(["a", None, "b"], pa.large_string()),
        "small": pa.array([1, None, 3], pa.uint8()),
        "fixed": pa.array([[1.0, 2.0]] * 3, pa.list_(pa.float32(), 2)),
        "nothing": pa.nulls(3),
        "day": pa.array([day.date()] * 3),
    }
    return pa.table(columns).replace_schema_metadata({"mine": "kept"})


def test_parquet_types_and_metadata_stay(tmp_path: Path) -> None:
    table = wide_table().append_column("bytes", pa.array([b"\xff", None, b""]))
    pq.write_table(table, tmp_path / "in.parquet")

    report = graded(tmp_path / "in.parquet", tmp_path / "out.parquet")

    out = pq.read_table(tmp_path / "out.parquet")
    assert out.column_names == [*table.column_names, *VERDICT]
    assert out.select(table.column_names).equals(pq.read_table(tmp_path / "in.parquet"))
    assert out.select(table.column_names).schema.types == table.schema.types
    assert [out.schema.field(name).type for name in VERDICT] == [pa.bool_(), pa.string(), pa.int8(), pa.string()]
    assert out.schema.metadata[b"mine"] == b"kept"
    facts = json.loads(out.schema.metadata[read.METADATA])
    assert (facts["policy"], facts["policy_version"]) == (str(Policy.reward()), Policy.reward().version)
    assert facts["package"] == report.summary.package
    assert out["correct"].to_pylist() == [True, False, True]  # a single-precision 0.1 is 0.1
    assert out["reason"].to_pylist()[1] == "no_answer"


def test_parquet_to_jsonl_writes_dates_as_text_and_refuses_bytes(tmp_path: Path) -> None:
    pq.write_table(wide_table(), tmp_path / "in.parquet")
    pq.write_table(wide_table().append_column("raw", pa.array([b"x"] * 3)), tmp_path / "bytes.parquet")

    graded(tmp_path / "in.parquet", tmp_path / "out.jsonl")
    with pytest.raises(BadInput, match=r"column 'raw' holds bytes, which JSON cannot; write a \.parquet file"):
        graded(tmp_path / "bytes.parquet", tmp_path / "none.jsonl")

    first = json.loads((tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()[0])
    assert first["when"].startswith("2024-01-02")
    assert first["map"] == {"k": 1}
    assert first["money"] == "1.50"
    assert not (tmp_path / "none.jsonl").exists()


def test_a_column_of_mixed_types_goes_to_parquet_as_json_and_is_read_back_as_it_was(tmp_path: Path) -> None:
    golds = ["x", 27.0, ["27", "twenty-seven"], None]
    file = write_lines(tmp_path / "in.jsonl", [{"response": r"\boxed{27}", "gold": gold} for gold in golds])

    report = graded(file, tmp_path / "out.parquet")

    assert report.summary.json_columns == ["gold"]
    assert [row["gold"] for row in read_rows(tmp_path / "out.parquet")] == golds
    again = graded(tmp_path / "out.parquet", diff=tmp_path / "out.parquet")
    assert again.summary.reasons == report.summary.reasons
    assert again.audit is not None
    assert not again.audit.flips


def nested(depth: int) -> Any:
    return [nested(depth - 1)] if depth else 1


@pytest.mark.parametrize(
    "cells",
    [[2**80, 1], [{}, {}], [[], [{}]], [{"a": 1}, {"a": "x"}], [True, 1], [nested(900), None], [["a"], "a"],
     [{f"{row}-{i}": i for i in range(150)} for row in range(2)]],
    ids=["big", "hollow", "hollow list", "fields", "bool", "deep", "list", "keys"],
)  # fmt: skip
def test_what_parquet_has_no_type_for_is_kept_as_json(tmp_path: Path, cells: list[Any]) -> None:
    rows = [{"response": r"\boxed{1}", "gold": "1", "x": cell} for cell in cells]

    report = graded(write_lines(tmp_path / "in.jsonl", rows), tmp_path / "out.parquet")

    assert report.summary.json_columns == ["x"]
    assert pq.read_schema(tmp_path / "out.parquet").field("x").type == pa.string()
    assert [row["x"] for row in read_rows(tmp_path / "out.parquet")] == cells


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_a_field_inside_a_column_is_named_with_a_dot(tmp_path: Path, kind: str) -> None:
    rows = [{"reward_model": {"ground_truth": "5", "style": "rule"}, "a.b": r"\boxed{5}", "a": {"b": "no"}}] * 2
    file = write_lines(tmp_path / "in.jsonl", rows)
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / "in.parquet")
        file = tmp_path / "in.parquet"

    report = grade_file(Task(file, "a.b", "reward_model.ground_truth", workers=0))

    assert report.summary.right == 2


# --- order, streaming --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_rows_keep_their_order_across_batches_and_processes(tmp_path: Path, suffix: str) -> None:
    rows = [{"id": i, "response": rf"\boxed{{{i}}}", "gold": str(i + (i % 3 == 0))} for i in range(3000)]
    file = write_lines(tmp_path / "in.jsonl", rows)

    report = graded(file, tmp_path / f"out.{suffix}", workers=2)

    out = read_rows(tmp_path / f"out.{suffix}")
    assert [row["id"] for row in out] == list(range(3000))
    assert [row["correct"] for row in out] == [i % 3 != 0 for i in range(3000)]
    assert (report.summary.right, report.summary.wrong) == (2000, 1000)


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_batches_are_bounded_in_bytes_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str) -> None:
    monkeypatch.setattr(read, "BATCH_BYTES", 100_000)
    rows = [{"response": "x" * 30_000, "gold": "1"}] * 50
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "in.parquet", compression="none", use_dictionary=False)
    write_lines(tmp_path / "in.jsonl", rows)

    sizes = [len(batch) for batch in open_table(tmp_path / f"in.{suffix}").batches()]

    assert sum(sizes) == 50
    assert max(sizes) <= 4


def test_a_limit_takes_the_first_rows_and_looks_at_no_others(tmp_path: Path) -> None:
    file = write_lines(tmp_path / "in.jsonl", [{"response": r"\boxed{1}", "gold": "1"}] * 2000)
    with file.open("a") as handle:
        handle.write("broken\n")

    report = graded(file, tmp_path / "out.parquet", limit=5)

    assert report.summary.rows == 5
    assert pq.read_table(tmp_path / "out.parquet").num_rows == 5


# --- nothing half-written ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
@pytest.mark.parametrize("failure", [KeyboardInterrupt, OSError, ValueError])
def test_what_fails_in_the_middle_leaves_nothing_and_an_older_file_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, failure: type[BaseException]
) -> None:
    file = write_lines(tmp_path / "in.jsonl", [{"response": r"\boxed{1}", "gold": "1"}] * 3000)
    out = tmp_path / f"out.{suffix}"
    out.write_text("older", encoding="utf-8")
    original = run.grade_many

    def failing(*arguments: Any, **keywords: Any):
        for number, grade in enumerate(original(*arguments, **keywords)):
            if number == 2500:
                assert list(tmp_path.glob(".out*.part"))
                raise failure
            yield grade

    monkeypatch.setattr(run, "grade_many", failing)

    with pytest.raises(failure):
        graded(file, out)

    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.jsonl", out.name]
    assert out.read_text(encoding="utf-8") == "older"


def test_a_finished_file_has_the_permissions_of_any_other_and_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "other").touch()
    (tmp_path / "target").mkdir()
    link = tmp_path / "link.jsonl"
    link.symlink_to(tmp_path / "target" / "real.jsonl")

    with replacing(link) as handle:
        handle.write(b"x")

    assert link.is_symlink()
    assert (tmp_path / "target" / "real.jsonl").read_bytes() == b"x"
    assert link.stat().st_mode == (tmp_path / "other").stat().st_mode


def test_a_damaged_parquet_file_is_refused_wherever_the_damage_is(tmp_path: Path) -> None:
    rows = [{"response": rf"\boxed{{{i}}}" + "x" * 100, "gold": str(i)} for i in range(5000)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "in.parquet", row_group_size=1000)
    data = (tmp_path / "in.parquet").read_bytes()
    (tmp_path / "cut.parquet").write_bytes(data[: len(data) // 2])
    middle = len(data) // 2
    (tmp_path / "hole.parquet").write_bytes(data[:middle] + b"\xff" * 5000 + data[middle + 5000 :])

    with pytest.raises(BadInput, match=r"is no complete Parquet file .* was its writing cut short"):
        graded(tmp_path / "cut.parquet", tmp_path / "out.parquet")
    with pytest.raises(BadInput, match="cannot be read after row"):
        graded(tmp_path / "hole.parquet", tmp_path / "out.parquet")

    assert not list(tmp_path.glob("*out*"))


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    table = pa.Table.from_arrays([pa.array(["a"])] * 3, names=["response", "gold", "gold"])
    pq.write_table(table, tmp_path / "in.parquet")

    with pytest.raises(BadInput, match="two columns named 'gold'; rename one"):
        Parquet(tmp_path / "in.parquet")


# --- bare --------------------------------------------------------------------------------------------------------


def test_bare_takes_the_whole_cell_braces_and_all(tmp_path: Path) -> None:
    answers = [r"\frac{1}{2}", " 0.5 ", 0.5, "}{", "", None, r"0.5 \boxed{7}"]
    file = write_lines(tmp_path / "in.jsonl", [{"response": each, "gold": "1/2"} for each in answers])

    report = graded(file, tmp_path / "out.jsonl", bare=True)

    out = read_rows(tmp_path / "out.jsonl")
    assert [row["correct"] for row in out[:3]] == [True, True, True]
    assert [row["correct"] for row in out[3:]] == [False] * 4
    assert out[3]["answer"] == "}{"
    assert [row["reason"] for row in out[4:6]] == ["no_answer", "no_answer"]
    assert "(bare" in report.summary.policy
    assert report.summary.no_response == 1
