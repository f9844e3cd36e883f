import json
import random
import subprocess
import sys
import threading
from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from artifact_examples import first_part, rollout, write
from pyarrow import fs

from artifacts import (
    DuplicateKey,
    EmptyArtifact,
    Grade,
    PartWriter,
    Prompt,
    Ref,
    Rollout,
    SchemaMismatch,
    Score,
    Store,
    to_batch,
)
from artifacts import parts as parts_module
from artifacts import writer as writer_module


def files_below(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_the_digest_is_that_of_the_content_alone(tmp_path):
    rows = [rollout(index) for index in range(5)]

    one = write(Store(tmp_path / "a"), rows, producer={"seed": 1}, parents=["ab"])
    other = write(Store(tmp_path / "b"), rows, producer={"seed": 2})
    changed = write(Store(tmp_path / "b"), [*rows[:-1], rollout(4, text="so 8")])

    assert one == other
    assert changed.digest != one.digest


def test_rows_written_one_by_one_or_as_a_batch_are_the_same_artifact(tmp_path):
    rows = [rollout(index) for index in range(600)]
    store = Store(tmp_path)

    with store.writer(Rollout) as singly:
        for row in rows:
            singly.write(row)
    with store.writer(Rollout) as at_once:
        at_once.write_batch(to_batch(rows, Rollout))

    assert singly.ref == at_once.ref
    assert singly.rows == 600


def test_the_manifest_tells_where_it_comes_from(tmp_path):
    store = Store(tmp_path)

    with store.writer(Rollout, parents=["f00"], producer={"config": {"k": 8}}) as writer:
        writer.write(rollout())
        writer.summary.update({"in": 2, "out": 1, "dropped": {"too long": 1}})

    manifest = store.manifest(writer.ref)
    assert manifest.parents == ("f00",)
    assert manifest.producer == {"config": {"k": 8}}
    assert manifest.summary["dropped"] == {"too long": 1}
    assert manifest.tools["pyarrow"] == pa.__version__
    assert manifest.created.endswith("+00:00")
    assert manifest.ref() == writer.ref


def test_a_second_producer_of_the_same_content_leaves_the_first_on_record(tmp_path):
    store = Store(tmp_path)

    write(store, [rollout()], producer={"by": "first"})
    ref = write(store, [rollout()], producer={"by": "second"})

    assert store.manifest(ref).producer == {"by": "first"}
    assert len(files_below(tmp_path)) == 2


def test_a_ref_survives_json_and_a_moved_root(tmp_path):
    ref = write(Store(tmp_path / "here"), [rollout()])
    again = Ref.from_json(json.loads(json.dumps(ref.to_json())))

    (tmp_path / "here").rename(tmp_path / "there")

    assert again == ref
    assert list(Store(tmp_path / "there").read(again, Rollout)) == [rollout()]


def test_an_exception_inside_the_block_leaves_nothing(tmp_path):
    store = Store(tmp_path)

    def rows_until_it_fails():
        yield from (rollout(index) for index in range(1000))
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"), store.writer(Rollout) as writer:
        writer.write_many(rows_until_it_fails())

    assert files_below(tmp_path) == []
    assert not list((tmp_path / ".writing").iterdir())


def test_a_killed_writer_leaves_no_artifact_and_its_scratch_folder_goes_later(tmp_path, monkeypatch):
    script = (
        "import os, sys; from artifacts import Store; from artifact_examples import rollout\n"
        "from artifacts import Rollout\n"
        "with Store(sys.argv[1]).writer(Rollout) as writer:\n"
        "    writer.write(rollout()); os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False, cwd=Path(__file__).parent)
    assert not (tmp_path / "rollouts").exists()
    assert len(list((tmp_path / ".writing").iterdir())) == 1

    monkeypatch.setattr("artifacts.durable._ABANDONED_AFTER_S", -1.0)
    with Store(tmp_path).writer(Rollout) as running, Store(tmp_path).writer(Score, allow_empty=True):
        running.write(rollout())
        assert len(list((tmp_path / ".writing").iterdir())) == 2

    assert running.ref.rows == 1
    assert not list((tmp_path / ".writing").iterdir())


def test_no_rows_is_an_error_unless_allowed(tmp_path):
    store = Store(tmp_path)

    with (
        pytest.raises(EmptyArtifact, match=r"No 'grades' rows.*'no verdict': 8.*allow_empty=True"),
        store.writer(Grade) as writer,
    ):
        writer.summary["dropped"] = {"no verdict": 8}
    with store.writer(Grade, allow_empty=True) as writer:
        pass

    assert files_below(tmp_path / "grades") != []
    assert list(store.read(writer.ref, Grade)) == []
    assert store.table(writer.ref).num_rows == 0


def test_a_finished_part_is_adopted_byte_for_byte_and_stays_with_its_owner(tmp_path):
    shard = tmp_path / "shard.parquet"
    with PartWriter(shard, Rollout) as part:
        part.write_many(rollout(index) for index in range(10))
    store = Store(tmp_path / "store")

    with store.writer(Rollout) as writer:
        writer.write(rollout(prompt_id="before"))
        writer.adopt(shard)
        writer.write(rollout(prompt_id="after"))

    parts = store.manifest(writer.ref).parts
    assert [part.rows for part in parts] == [1, 10, 1]
    adopted = tmp_path / "store" / writer.ref.path / parts[1].name
    assert adopted.read_bytes() == shard.read_bytes()
    assert [row.prompt_id for row in store.read(writer.ref, Rollout)] == ["before", *["p0"] * 10, "after"]


def test_a_part_of_other_rows_is_not_adopted(tmp_path):
    shard = tmp_path / "shard.parquet"
    with PartWriter(shard, Score) as part:
        part.write(Score(benchmark="b", metric="m", value=0, standard_error=None, num_problems=1, num_samples=1))

    with (
        pytest.raises(SchemaMismatch, match=r"shard\.parquet holds 'scores' rows, expected 'rollouts' rows"),
        Store(tmp_path / "store").writer(Rollout) as writer,
    ):
        writer.adopt(shard)
    assert shard.exists()


def test_a_shard_adopted_twice_is_noticed(tmp_path):
    shard = tmp_path / "shard.parquet"
    with PartWriter(shard, Rollout) as part:
        part.write(rollout())

    with Store(tmp_path / "store").writer(Rollout, allow_empty=True) as writer:
        writer.adopt(shard)
        with pytest.raises(DuplicateKey, match=r"'rollouts' rows .*the key prompt_id='p0', sample_index=0"):
            writer.adopt(shard)


@pytest.mark.parametrize("gap", [0, 255, 256, 999])
def test_neighbours_with_the_same_key_are_refused_wherever_they_stand(tmp_path, gap):
    rows = [rollout(index) for index in range(1000)]
    rows.insert(gap, rows[gap])

    with pytest.raises(DuplicateKey, match=rf"sample_index={gap};"):
        write(Store(tmp_path), rows)


def test_long_tables_are_cut_into_parts_and_row_groups(tmp_path, monkeypatch):
    monkeypatch.setattr(writer_module, "PART_ROWS", 100)
    monkeypatch.setattr(parts_module, "GROUP_ROWS", 40)
    store = Store(tmp_path)
    rows = [rollout(index) for index in range(250)]

    with store.writer(Rollout) as writer:
        writer.write_batch(to_batch(rows, Rollout))

    assert [part.rows for part in store.manifest(writer.ref).parts] == [100, 100, 50]
    metadata = pq.read_metadata(first_part(tmp_path, writer.ref))
    assert [metadata.row_group(index).num_rows for index in range(metadata.num_row_groups)] == [40, 40, 20]
    assert list(store.read(writer.ref, Rollout)) == rows


def test_row_groups_are_bounded_by_bytes_too(tmp_path, monkeypatch):
    monkeypatch.setattr(parts_module, "GROUP_BYTES", 100_000)

    ref = write(Store(tmp_path), [rollout(index, tokens=1000) for index in range(100)])

    metadata = pq.read_metadata(first_part(tmp_path, ref))
    largest = max(metadata.row_group(index).num_rows for index in range(metadata.num_row_groups))
    assert 10 <= largest <= 13  # 8 bytes per token


def test_a_slice_does_not_carry_the_dictionary_of_the_whole_batch(tmp_path, monkeypatch):
    monkeypatch.setattr(parts_module, "GROUP_ROWS", 50)
    rows = [rollout(prompt_id=f"{index:0100d}") for index in range(1000)]
    store = Store(tmp_path)

    with store.writer(Rollout) as writer:
        writer.write_batch(to_batch(rows, Rollout))

    metadata = pq.read_metadata(first_part(tmp_path, writer.ref))
    assert metadata.row_group(19).column(0).total_uncompressed_size < 50 * 120


def test_batches_give_the_columns_asked_for(tmp_path):
    store = Store(tmp_path)
    ref = write(store, [rollout(index) for index in range(3)])

    (batch,) = store.batches(ref, columns=["sample_index"])

    assert batch.to_pydict() == {"sample_index": [0, 1, 2]}
    assert store.table(ref, columns=["seed"]).column_names == ["seed"]


def test_a_mapped_table_says_what_the_table_says_and_leaves_no_file(tmp_path, monkeypatch):
    monkeypatch.setattr(parts_module, "GROUP_ROWS", 3)  # several row groups, each with a dictionary of its own
    store, scratch = Store(tmp_path / "store"), tmp_path / "scratch"
    scratch.mkdir()
    ref = write(store, [rollout(i, prompt_id=f"p{i // 4}", tokens=i % 3 + 1) for i in range(20)])

    mapped = store.mapped(ref, scratch)

    assert mapped.to_pylist() == store.table(ref).to_pylist()
    assert store.mapped(ref, scratch, ["completion_ids"]).column_names == ["completion_ids"]
    assert list(scratch.iterdir()) == []


def test_a_mapped_table_takes_no_memory_of_its_own(tmp_path):
    store = Store(tmp_path / "store")
    ref = write(store, [rollout(i, prompt_id=f"p{i}", tokens=2_000) for i in range(2_000)])

    before = pa.total_allocated_bytes()
    mapped = store.mapped(ref, tmp_path)
    taken = pa.total_allocated_bytes() - before

    assert mapped.nbytes > 30 << 20
    assert taken < 1 << 20


def test_groups_are_the_neighbours_of_one_prompt(tmp_path):
    store = Store(tmp_path)
    ids = ["a", "a", "b", "a"]
    ref = write(store, [rollout(index, prompt_id=name) for index, name in enumerate(ids)])

    groups = list(store.grouped(ref, Rollout))

    assert [[row.sample_index for row in group] for group in groups] == [[0, 1], [2], [3]]


def test_rows_of_another_kind_are_refused(tmp_path):
    store = Store(tmp_path)
    ref = write(store, [rollout()])

    with pytest.raises(SchemaMismatch, match=r"holds 'rollouts' rows, expected 'prompts'\. Pass the right ref"):
        next(store.read(ref, Prompt))


def test_many_writers_of_the_same_content_agree(tmp_path):
    start, refs, rows = threading.Barrier(8), [], [rollout(index) for index in range(50)]

    def run():
        start.wait()
        refs.append(write(Store(tmp_path), rows))

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(refs) == 8
    assert len(set(refs)) == 1
    assert len(files_below(tmp_path)) == 2
    assert list(Store(tmp_path).read(refs[0], Rollout)) == rows


def test_datasets_and_pyarrow_open_the_folder_without_this_package(tmp_path):
    rows = [rollout(index) for index in range(5)]
    ref = write(Store(tmp_path / "store"), rows)
    folder = tmp_path / "store" / ref.path

    plain = pq.read_table(folder / "part-00000.parquet")
    hub = datasets.load_dataset(
        "parquet", data_files=str(folder / "*.parquet"), split="train", cache_dir=str(tmp_path / "cache")
    )

    assert plain["text"].to_pylist() == [row.text for row in rows]
    assert hub[4]["prompt_id"] == "p0"
    assert hub[4]["completion_ids"] == [0, 1, 2]


def test_another_file_system_works_alike(tmp_path):
    (tmp_path / "bucket").mkdir()
    remote = fs.SubTreeFileSystem(str(tmp_path), fs.LocalFileSystem())
    store = Store("bucket/prefix", filesystem=remote)

    ref = write(store, [rollout(index) for index in range(3)])
    again = write(store, [rollout(index) for index in range(3)])

    assert ref == again
    assert files_below(tmp_path) == [
        f"bucket/prefix/{ref.path}/manifest.json",
        f"bucket/prefix/{ref.path}/part-00000.parquet",
    ]
    assert len(list(store.read(ref, Rollout))) == 3
    store.verify(ref)


def test_a_uri_names_a_root(tmp_path):
    ref = write(Store(tmp_path.as_uri()), [rollout()])

    assert list(Store(tmp_path).read(ref, Rollout)) == [rollout()]
    assert str(tmp_path) in repr(Store(tmp_path))


def test_reading_a_part_holds_one_row_group_not_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr(parts_module, "GROUP_ROWS", 100)
    ref = write(
        Store(tmp_path),
        [rollout(index, text=random.Random(index).randbytes(20_000).hex()) for index in range(2000)],
    )
    before, peak = pa.total_allocated_bytes(), 0

    for _ in Store(tmp_path).batches(ref):
        peak = max(peak, pa.total_allocated_bytes() - before)

    assert ref.bytes > 40e6
    assert peak < 16e6
