"""Parts whose hash is right and whose content is meant to do harm: refused before a value is unpacked."""

import json
import pickle
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from artifact_examples import first_part, rollout, write

from artifacts import ArtifactDamaged, Rollout, SchemaMismatch, Store, arrow_schema, parts, to_batch
from artifacts.bounds import check_pages

READ_ALL = """
import json, resource, sys
from pathlib import Path
from artifacts import ArtifactDamaged, Ref, Rollout, Store
resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))
root, found = Path(sys.argv[1]), {}
ref = Ref.from_json(json.loads(sys.argv[2]))
store = Store(root)
readers = {
    "verify": store.verify, "table": store.table, "batches": lambda ref: list(store.batches(ref)),
    "read": lambda ref: list(store.read(ref, Rollout)), "mapped": lambda ref: store.mapped(ref, root),
}
for name, reader in readers.items():
    try:
        reader(ref)
    except ArtifactDamaged as error:
        found[name] = str(error)
peak = Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]
print(json.dumps({"found": found, "peak": int(peak) << 10}))
"""


def part_of(path, text, *, rows=1, **options):
    """A Parquet file of equal rollouts, as another writer might make it."""
    one = pa.Table.from_batches([to_batch([rollout(text="")], Rollout)])
    table = pa.concat_tables([one] * rows).combine_chunks()
    texts = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), [text])
    index = table.schema.get_field_index("text")
    counted = table.set_column(1, table.schema.field(1), pa.array(range(rows), pa.int32()))
    if options.get("use_dictionary") is True:
        # Written as the dictionary it is, and read as the text that the schema of ours says.
        stored = counted.set_column(index, pa.field("text", texts.type, nullable=False), texts)
        with pq.ParquetWriter(
            path, stored.schema, compression="zstd", store_schema=False, use_dictionary=["text"]
        ) as writer:
            writer.add_key_value_metadata({"ARROW:schema": ours(path)})
            writer.write_table(stored, row_group_size=rows)
        return path
    plain = counted.set_column(index, table.schema.field(index), texts.cast(pa.string()))
    pq.write_table(plain, path, compression="zstd", row_group_size=rows, **{"use_dictionary": False, **options})
    return path


def ours(path):
    empty = path.with_suffix(".empty")
    pq.write_table(arrow_schema(Rollout).empty_table(), empty)
    return pq.read_metadata(empty).metadata[b"ARROW:schema"]


def stored(root, part):
    """An artifact of that part whose manifest adds up."""
    with Store(root).writer(Rollout) as writer:
        writer.adopt(part)
    return writer.ref


def varint(number):
    number, found = number << 1, bytearray()
    while number > 127:
        found.append(number & 127 | 128)
        number >>= 7
    return bytes([*found, number])


def lying_footer(path):
    """40 MB of text in one page, of which the footer says 10."""
    part_of(path, "x" * 40_000_000)
    index = arrow_schema(Rollout).get_field_index("text")
    columns = [pq.read_metadata(path).row_group(0).column(i) for i in range(pq.read_metadata(path).num_columns)]
    true = columns[index].total_uncompressed_size
    content = path.read_bytes()
    at = content.rindex(varint(true), 0, len(content))
    assert columns[index].path_in_schema == "text"
    assert len(varint(true)) == len(varint(10_000_000))
    # The row group's total has the same field of the same length only in part: the column's own stands first.
    at = content.index(varint(true), content.index(b"text", columns[index].total_compressed_size))
    path.write_bytes(content[:at] + varint(10_000_000) + content[at + len(varint(true)) :])
    assert pq.read_metadata(path).row_group(0).column(index).total_uncompressed_size == 10_000_000
    return path


BOMBS = {
    "a dictionary": (
        lambda path: part_of(path, "x" * 250_000, rows=8000, use_dictionary=True),
        r"column 'text' has a page of encoding \d+, which no part of ours has",
    ),
    "shared prefixes": (
        lambda path: part_of(path, "x" * 20_000, rows=5000, column_encoding={"text": "DELTA_BYTE_ARRAY"}),
        "column 'text' has a page of encoding 7, which no part of ours has",
    ),
    "compression": (
        lambda path: part_of(path, "x" * 34_000, rows=8000),
        r"row group 0 claims 27\d{7} bytes, expected at most 268435456",
    ),
    "a long row group": (
        lambda path: part_of(path, "x", rows=9000),
        "row group 0 claims 9000 rows, expected at most 8192",
    ),
    "a lying footer": (lying_footer, r"column 'text' unpack to 4000\d{4} bytes and 1 values, and the footer says 1000"),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_part_that_unpacks_to_too_much_is_refused_in_little_memory(tmp_path, monkeypatch, bomb):
    make, message = BOMBS[bomb]
    part = make(tmp_path / "bomb.parquet")
    with monkeypatch.context() as patched:
        patched.setattr(
            parts, "open_parquet", lambda source, where: pq.ParquetFile(source)
        )  # a writer without scruples
        ref = stored(tmp_path / "store", part)
    assert first_part(tmp_path / "store", ref).stat().st_size < 400_000

    done = subprocess.run(
        [sys.executable, "-c", READ_ALL, str(tmp_path / "store"), json.dumps(ref.to_json())],
        capture_output=True, text=True, check=True,
    )  # fmt: skip

    told = json.loads(done.stdout)
    assert set(told["found"]) == {"verify", "table", "batches", "read", "mapped"}
    for said in told["found"].values():
        assert "part-00000.parquet is refused" in said
        assert "Run the flow again, which replaces it" in said
    assert told["peak"] < 400 << 20
    with pytest.raises(ArtifactDamaged, match=message):
        Store(tmp_path / "store").verify(ref)


def test_thousands_of_columns_are_refused(tmp_path):
    path = tmp_path / "wide.parquet"
    pq.write_table(pa.table({f"c{index}": [1] for index in range(3000)}), path)

    with pytest.raises(ArtifactDamaged, match="it has 3000 columns, expected at most 64"):
        next(parts.read_part(path, Rollout))


@pytest.mark.parametrize("where", ["a page", "the footer"])
def test_bytes_that_are_no_parquet_are_refused(tmp_path, where):
    good = part_of(tmp_path / "good.parquet", "so 7")
    content = bytearray(good.read_bytes())
    content[slice(4, 40) if where == "a page" else slice(-80, -8)] = b"\xff" * (36 if where == "a page" else 72)
    good.write_bytes(content)

    with (
        pa.OSFile(str(good)) as stream,
        pytest.raises(ArtifactDamaged, match=r"(?s)(is refused|cannot be read as Parquet).*Run the flow again"),
    ):
        check_pages(stream, str(good))


def test_a_row_that_no_reader_would_take_is_not_written(tmp_path, monkeypatch):
    monkeypatch.setattr(parts, "MAX_GROUP_BYTES", 10_000)

    with pytest.raises(SchemaMismatch, match=r"1 neighbouring 'rollouts' rows have \d+ bytes, expected at most 10000"):
        write(Store(tmp_path), [rollout(text="x" * 20_000)])


class _Trap:
    """Touches a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_pickles_in_the_metadata_of_a_part_are_never_opened(tmp_path):
    sprung = tmp_path / "sprung"
    trap = pickle.dumps(_Trap(sprung))
    pickle.loads(trap)
    assert sprung.exists(), "the trap works"
    sprung.unlink()
    extension = {"ARROW:extension:name": "arrow.py_extension_type", "ARROW:extension:metadata": trap}
    table = pa.Table.from_batches([to_batch([rollout()], Rollout)])
    fields = [field.with_metadata(extension) for field in table.schema]
    metadata = {**(table.schema.metadata or {}), b"pandas": trap}
    pq.write_table(table.cast(pa.schema(fields, metadata)), tmp_path / "trap.parquet", use_dictionary=["prompt_id"])

    rows = list(parts.read_part(tmp_path / "trap.parquet", Rollout))

    assert rows == [rollout()]
    assert not sprung.exists()
