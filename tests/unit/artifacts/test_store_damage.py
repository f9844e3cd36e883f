"""Whatever happens to stored files is noticed before a row is used, and the message says what to do."""

import json
import os

import pytest
from artifact_examples import first_part, rollout, write
from pyarrow import fs

from artifacts import (
    ArtifactDamaged,
    ArtifactError,
    ArtifactMissing,
    Ref,
    Rollout,
    SchemaMismatch,
    Store,
    location,
)


@pytest.fixture
def stored(tmp_path):
    store = Store(tmp_path)
    return store, write(store, [rollout(index) for index in range(100)]), tmp_path


def edit_manifest(root, ref, change):
    path = root / ref.path / "manifest.json"
    fields = json.loads(path.read_text())
    change(fields)
    path.write_text(json.dumps(fields))


def flip_bit(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def refused(store, ref, error, match):
    with pytest.raises(error, match=match):
        next(store.read(ref, Rollout))
    with pytest.raises(error, match=match):
        store.verify(ref)
    with pytest.raises(error, match=match):
        next(store.batches(ref))


def test_a_flipped_bit_is_found_also_after_a_good_read(stored):
    store, ref, root = stored
    os.utime(first_part(root, ref), (1e9, 1e9))  # old enough for its hash to be remembered
    store.verify(ref)

    flip_bit(first_part(root, ref))

    refused(store, ref, ArtifactDamaged, r"part-00000\.parquet was altered: .* Run the flow again")


def test_a_truncated_part_is_found(stored):
    store, ref, root = stored

    os.truncate(first_part(root, ref), 100)

    refused(store, ref, ArtifactDamaged, r"part-00000\.parquet has 100 bytes, expected \d+\. Run the flow again")


def test_a_missing_part_manifest_or_root_is_named(stored):
    store, ref, root = stored

    first_part(root, ref).unlink()
    refused(
        store,
        ref,
        ArtifactMissing,
        r"part-00000\.parquet is gone, expected rollouts \w{12} with 100 rows.*restore",
    )
    (root / ref.path / "manifest.json").unlink()
    refused(store, ref, ArtifactMissing, r"manifest\.json is gone.* Check that the data root is the right one")
    refused(Store(root / "elsewhere"), ref, ArtifactMissing, "elsewhere")


def test_a_newer_manifest_is_refused_and_not_replaced(stored):
    store, ref, root = stored
    edit_manifest(root, ref, lambda fields: fields.update(format=2))

    refused(store, ref, SchemaMismatch, r"manifest format 2, this code reads up to 1\. Update this checkout")
    with pytest.raises(SchemaMismatch, match="Update this checkout"):
        write(store, [rollout(index) for index in range(100)])


@pytest.mark.parametrize("name", ["../../../etc/passwd", "/etc/passwd", "part-00000.parquet/../x", "a\\b", ""])
def test_a_part_name_cannot_lead_out_of_the_folder(stored, name):
    store, ref, root = stored
    edit_manifest(root, ref, lambda fields: fields["parts"][0].update(name=name))

    refused(store, ref, ArtifactDamaged, r"names a part .*expected part-00000\.parquet")


@pytest.mark.parametrize(
    "change",
    [
        lambda fields: fields.update(rows=99),
        lambda fields: fields.update(kind="pairs"),
        lambda fields: fields.update(schema_version=2),
        lambda fields: fields["parts"][0].update(sha256="0" * 64),
        lambda fields: fields.update(parts=[]),
    ],
)
def test_an_edited_manifest_no_longer_adds_up(stored, change):
    store, ref, root = stored
    edit_manifest(root, ref, change)

    refused(store, ref, ArtifactDamaged, r"manifest\.json was altered: its parts do not add up")


@pytest.mark.parametrize("content", [b"", b"[]", b"null", b"{", b"\xff\xfe", b'{"format": 1}', b'{"format": "1"}'])
def test_an_unreadable_manifest_is_damage(stored, content):
    store, ref, root = stored
    (root / ref.path / "manifest.json").write_bytes(content)

    refused(store, ref, ArtifactDamaged, r"manifest\.json is not a readable manifest .*Run the flow again")


def test_folders_that_were_swapped_are_noticed(stored):
    store, ref, root = stored
    other = write(store, [rollout(prompt_id="other")])
    (root / ref.path / "manifest.json").write_bytes((root / other.path / "manifest.json").read_bytes())

    refused(store, ref, ArtifactDamaged, rf"describes {other.digest[:12]}, expected {ref.digest[:12]}")


@pytest.mark.parametrize(
    "change",
    [{"path": "../x"}, {"kind": "../x"}, {"digest": "0" * 63}, {"rows": "1"}, {"rows": -1}, {"path": None}],
)
def test_a_ref_cannot_lead_out_of_the_store(stored, change):
    _, ref, _ = stored

    with pytest.raises(ArtifactDamaged, match=r"Run the stage that made it again"):
        Ref.from_json(ref.to_json() | change)


def test_a_ref_with_a_field_missing_is_refused():
    with pytest.raises(ArtifactDamaged, match=r"Not a reference: \{'kind': 'pairs'\}"):
        Ref.from_json({"kind": "pairs"})


@pytest.mark.parametrize("remote", [False, True], ids=["disk", "object store"])
@pytest.mark.parametrize("harm", ["flipped bit", "no part", "no manifest"])
def test_writing_the_same_content_again_repairs_a_damaged_artifact(tmp_path, harm, remote, caplog):
    filesystem = fs.SubTreeFileSystem("/", fs.LocalFileSystem()) if remote else None
    store, rows = Store(tmp_path, filesystem=filesystem), [rollout(index) for index in range(100)]
    ref = write(store, rows)
    if harm == "flipped bit":
        flip_bit(first_part(tmp_path, ref))
    else:
        (tmp_path / ref.path / ("manifest.json" if harm == "no manifest" else "part-00000.parquet")).unlink()
    with pytest.raises(ArtifactError):
        store.verify(ref)

    assert write(store, rows) == ref

    assert list(store.read(ref, Rollout)) == rows
    assert ("replaces a damaged artifact" in caplog.text) == (harm == "flipped bit")
    assert remote or not list((tmp_path / ".writing").iterdir())


def test_a_good_read_is_remembered_until_the_file_changes(stored, monkeypatch):
    store, ref, root = stored
    hashed, real = [], location.sha256_stream
    monkeypatch.setattr(location, "sha256_stream", lambda stream: hashed.append(1) or real(stream))

    store.verify(ref)
    store.verify(ref)
    assert len(hashed) == 2  # just written: another change could hide within the same modification time
    os.utime(first_part(root, ref), (1e9, 1e9))
    store.verify(ref)
    store.verify(ref)

    assert len(hashed) == 3


def test_a_manifest_that_is_nested_without_end_is_damage(stored):
    store, ref, root = stored
    (root / ref.path / "manifest.json").write_text('{"format": ' + "[" * 100_000 + "]" * 100_000 + "}")

    refused(store, ref, ArtifactDamaged, r"not a readable manifest \(ValueError\('nested too deeply'\)\)")


@pytest.mark.parametrize("what", ["part-00000.parquet", "manifest.json", ""])
def test_a_link_that_leads_out_of_the_root_is_not_followed_and_is_replaced(tmp_path, what):
    store, rows = Store(tmp_path / "store"), [rollout(index) for index in range(100)]
    ref = write(store, rows)
    place = tmp_path / "store" / ref.path / what
    place.rename(tmp_path / "elsewhere")
    place.symlink_to(tmp_path / "elsewhere")

    refused(store, ref, ArtifactDamaged, "leads out of the data root, to .*elsewhere.*Remove the link")
    assert write(store, rows) == ref

    assert list(store.read(ref, Rollout)) == rows
    assert not place.is_symlink()
    assert (tmp_path / "elsewhere").exists(), "what is not ours is not removed"


def test_a_link_to_nothing_in_an_artifact_s_place_is_replaced(tmp_path):
    store, rows = Store(tmp_path / "store"), [rollout()]
    ref = write(store, rows)
    place = tmp_path / "store" / ref.path
    place.rename(tmp_path / "elsewhere")
    place.symlink_to(tmp_path / "gone")

    assert write(store, rows) == ref

    assert list(store.read(ref, Rollout)) == rows


def test_a_root_that_is_a_link_itself_is_followed(tmp_path):
    (tmp_path / "big-disk").mkdir()
    (tmp_path / "store").symlink_to(tmp_path / "big-disk")
    store = Store(tmp_path / "store")

    ref = write(store, [rollout()])

    assert list(store.read(ref, Rollout)) == [rollout()]


def test_on_a_trusted_disk_sizes_are_checked_and_bytes_are_not(stored, monkeypatch):
    store, ref, root = stored
    monkeypatch.setenv("ODR_TRUST_DISK", "1")
    hashed = []
    monkeypatch.setattr(location, "sha256_stream", lambda stream: hashed.append(1))

    store.verify(ref)
    assert len(list(store.read(ref, Rollout))) == 100
    os.truncate(first_part(root, ref), 100)

    assert hashed == []
    refused(store, ref, ArtifactDamaged, r"part-00000\.parquet has 100 bytes, expected \d+\. Run the flow again")


@pytest.mark.parametrize("value", ["", "0", "yes", "true"])
def test_nothing_but_a_one_trusts_the_disk(stored, monkeypatch, value):
    store, ref, root = stored
    monkeypatch.setenv("ODR_TRUST_DISK", value)
    flip_bit(first_part(root, ref))

    refused(store, ref, ArtifactDamaged, r"part-00000\.parquet was altered")


@pytest.mark.parametrize("year", [0, 4_000_000_000])
def test_a_flipped_bit_is_found_whatever_the_clock_said_when_the_file_was_written(stored, year):
    store, ref, root = stored
    os.utime(first_part(root, ref), (year, year))
    store.verify(ref)

    flip_bit(first_part(root, ref))
    os.utime(first_part(root, ref), (year + 1, year + 1))

    refused(store, ref, ArtifactDamaged, r"part-00000\.parquet was altered")
