from dataclasses import fields, make_dataclass

import pyarrow as pa
import pytest
from artifact_examples import ROW_TYPES, rollout, rows_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from artifacts import PartWriter, Rollout, SchemaMismatch, Store, arrow_schema, read_part, to_batch
from artifacts.schema import check_schema


@pytest.mark.parametrize("row_type", ROW_TYPES, ids=lambda row_type: row_type.KIND)
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_rows_come_back_as_they_were_written(tmp_path, row_type, data):
    rows = data.draw(rows_of(row_type))
    store = Store(tmp_path)

    with store.writer(row_type) as writer:
        writer.write_many(rows)

    # repr: NaN equals nothing, not even itself
    assert repr(list(store.read(writer.ref, row_type))) == repr(rows)
    assert writer.ref.rows == len(rows) == store.table(writer.ref).num_rows


@pytest.mark.parametrize("row_type", ROW_TYPES, ids=lambda row_type: row_type.KIND)
def test_each_row_type_has_a_kind_a_version_and_a_key_among_its_fields(row_type):
    assert row_type.KIND.isidentifier()
    assert row_type.VERSION >= 1
    assert set(row_type.KEY) <= {field.name for field in fields(row_type)}


def test_columns_follow_the_fields():
    schema = arrow_schema(Rollout)

    assert schema.names == [field.name for field in fields(Rollout)]
    assert schema.field("prompt_id").type == pa.dictionary(pa.int32(), pa.string())
    assert schema.field("finish_reason").type == pa.dictionary(pa.int32(), pa.string())
    assert schema.field("sample_index").type == pa.int32()
    assert schema.field("seed").type == pa.int64()
    assert schema.field("completion_ids").type == pa.list_(pa.int32())
    assert schema.field("logprobs").type == pa.list_(pa.float32())
    assert not schema.field("text").nullable
    assert schema.metadata == {b"kind": b"rollouts", b"version": b"1"}


def test_a_field_without_a_column_type_is_refused_by_name():
    odd = make_dataclass("Odd", [("when", complex)], namespace={"KIND": "odd", "VERSION": 1, "KEY": ("when",)})

    with pytest.raises(TypeError, match=r"Odd\.when: .*complex.* has no column type"):
        arrow_schema(odd)


def test_a_wrong_column_is_named_with_found_and_expected_type():
    schema = arrow_schema(Rollout)
    wrong = schema.set(schema.get_field_index("seed"), pa.field("seed", pa.string(), nullable=False))

    with pytest.raises(SchemaMismatch, match=r"shard: column 'seed' is string without nulls, expected int64 without"):
        check_schema(wrong, Rollout, "shard")


def test_missing_extra_and_swapped_columns_are_named():
    schema = arrow_schema(Rollout)

    with pytest.raises(SchemaMismatch, match=r"no column 'text', expected string without nulls\. Build the table"):
        check_schema(schema.remove(schema.get_field_index("text")), Rollout, "shard")
    with pytest.raises(SchemaMismatch, match=r"a column 'mood' that Rollout lacks"):
        check_schema(schema.append(pa.field("mood", pa.string())), Rollout, "shard")
    with pytest.raises(SchemaMismatch, match=r"columns in the order"):
        check_schema(pa.schema(list(schema)[::-1], metadata=schema.metadata), Rollout, "shard")


@pytest.mark.parametrize(
    ("version", "cure"), [("2", "Update this checkout"), ("0", "Run the stage"), ("", "Run the stage")]
)
def test_another_schema_version_is_refused_with_the_cure(version, cure):
    schema = arrow_schema(Rollout).with_metadata({"kind": "rollouts", "version": version})

    with pytest.raises(SchemaMismatch, match=rf"reads version 1\. {cure}"):
        check_schema(schema, Rollout, "shard")


def test_a_file_without_kind_is_refused():
    with pytest.raises(
        SchemaMismatch, match=r"a table without a kind, expected 'rollouts' rows.*PartWriter\(Rollout\)"
    ):
        check_schema(arrow_schema(Rollout).remove_metadata(), Rollout, "shard")


def test_a_value_that_does_not_fit_its_column_is_named():
    with pytest.raises(SchemaMismatch, match=r"Rollout\.sample_index: a value does not fit int32"):
        to_batch([rollout(2**31)], Rollout)


def test_a_row_of_another_class_is_refused():
    other = make_dataclass("Other", [("x", int)], namespace={"KIND": "other"})

    with pytest.raises(SchemaMismatch, match=r"A Other was written to a table of Rollout rows"):
        to_batch([other(1)], Rollout)  # pyright: ignore


@pytest.mark.parametrize("hole", [{"text": None}, {"completion_ids": [1, None]}])
def test_a_null_where_none_may_be_is_refused_before_it_is_written(tmp_path, hole):
    columns = {field.name: [getattr(rollout(), field.name)] for field in fields(Rollout)}
    columns |= {name: [value] for name, value in hole.items()}
    batch = pa.RecordBatch.from_pydict(columns, schema=arrow_schema(Rollout))

    with (
        pytest.raises(SchemaMismatch, match=rf"Rollout\.{next(iter(hole))} holds a null"),
        PartWriter(tmp_path / "shard.parquet", Rollout) as writer,
    ):
        writer.write_batch(batch)
    assert not list(tmp_path.iterdir())


def test_a_part_reads_back_alone(tmp_path):
    rows = [rollout(index) for index in range(1000)]

    with PartWriter(tmp_path / "shard.parquet", Rollout) as writer:
        writer.write_many(rows)

    assert list(read_part(tmp_path / "shard.parquet", Rollout)) == rows
    assert writer.rows == 1000
    assert [file.name for file in tmp_path.iterdir()] == ["shard.parquet"]
