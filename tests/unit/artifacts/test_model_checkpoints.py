import json
import os

import pytest

from artifacts import (
    ArtifactDamaged,
    ArtifactExists,
    ArtifactMissing,
    Checkpoint,
    CheckpointIncomplete,
    CheckpointMissing,
    checkpoints,
    hashing,
)

FILES = {
    "config.json": b'{"model_type": "qwen2"}',
    "model-00001-of-00002.safetensors": b"first half",
    "model-00002-of-00002.safetensors": b"second half",
    "model.safetensors.index.json": json.dumps(
        {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}
    ).encode(),
    "tokenizer.json": b"{}",
}


def model(folder, files=FILES):
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def without(*names):
    return {name: content for name, content in FILES.items() if name not in names}


def test_the_digest_does_not_depend_on_place_or_order(tmp_path):
    one = checkpoints.register(model(tmp_path / "a"))
    other = checkpoints.register(model(tmp_path / "b", dict(reversed(FILES.items()))))

    assert one.digest == other.digest
    assert one.bytes == sum(map(len, FILES.values()))
    assert one.path == str(tmp_path / "a")
    assert Checkpoint.from_json(json.loads(json.dumps(one.to_json()))) == one


def test_only_files_that_decide_what_the_model_computes_count(tmp_path):
    before = checkpoints.register(model(tmp_path / "a"))

    (tmp_path / "a" / "optimizer.pt").write_bytes(b"state")
    assert checkpoints.register(tmp_path / "a") == before
    (tmp_path / "a" / "chat_template.jinja").write_text("{{ messages }}")

    assert checkpoints.register(tmp_path / "a").digest != before.digest


def test_moving_bytes_from_one_file_to_another_changes_the_digest(tmp_path):
    one = model(tmp_path / "a", without("model.safetensors.index.json"))
    other = model(tmp_path / "b", without("model.safetensors.index.json"))
    (other / "model-00001-of-00002.safetensors").write_bytes(b"second half")
    (other / "model-00002-of-00002.safetensors").write_bytes(b"first half")

    assert checkpoints.register(one).digest != checkpoints.register(other).digest


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (without("config.json"), r"has no config\.json"),
        (without("tokenizer.json"), r"has no tokenizer: no tokenizer\.json.*AutoTokenizer"),
        (without("tokenizer.json") | {"vocab.json": b"{}"}, r"has no tokenizer"),
        (
            without("model-00002-of-00002.safetensors"),
            r"lacks model-00002-of-00002\.safetensors.* all 2 shards",
        ),
        (
            without("model.safetensors.index.json") | {"model.safetensors.index.json": b"{"},
            r"index\.json is not readable",
        ),
        ({"config.json": b"{}", "tokenizer.json": b"{}"}, r"has no weights; expected \*\.safetensors"),
        (
            {"config.json": b"{}", "tokenizer.json": b"{}", "pytorch_model.bin": b""},
            r"has pytorch_model\.bin, pickled weights, which are not read.*save_pretrained",
        ),
    ],
)
def test_an_incomplete_folder_is_refused_with_the_cure(tmp_path, files, message):
    with pytest.raises(CheckpointIncomplete, match=message):
        checkpoints.register(model(tmp_path / "a", files))


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(CheckpointMissing, match=r"no folder .*nowhere.*hf download"):
        checkpoints.register(tmp_path / "nowhere")
    with pytest.raises(CheckpointMissing, match=r"nowhere is gone"):
        checkpoints.verify(Checkpoint(str(tmp_path / "nowhere"), "0", 0))


@pytest.mark.parametrize("tokenizer", [{"tokenizer.model": b"x"}, {"vocab.json": b"{}", "merges.txt": b""}])
def test_other_tokenizer_files_will_do(tmp_path, tokenizer):
    assert checkpoints.register(model(tmp_path / "a", without("tokenizer.json") | tokenizer))


def test_a_committed_checkpoint_carries_its_facts_and_verifies(tmp_path):
    temporary = model(tmp_path / "tmp")
    (temporary / "logs").mkdir()

    checkpoint = checkpoints.commit(temporary, tmp_path / "run" / "final", {"parents": ["ab"], "steps": 3})

    assert not temporary.exists()
    assert checkpoints.facts(checkpoint) == {"parents": ["ab"], "steps": 3}
    assert checkpoint == checkpoints.register(tmp_path / "run" / "final")
    checkpoints.verify(checkpoint)


def test_committing_an_incomplete_folder_changes_nothing(tmp_path):
    temporary = model(tmp_path / "tmp", without("config.json"))

    with pytest.raises(CheckpointIncomplete, match=r"config\.json"):
        checkpoints.commit(temporary, tmp_path / "final", {})

    assert temporary.exists()
    assert not (tmp_path / "final").exists()


def test_committing_the_same_model_again_returns_the_first(tmp_path):
    first = checkpoints.commit(model(tmp_path / "tmp"), tmp_path / "final", {"run": 1})

    again = checkpoints.commit(model(tmp_path / "tmp"), tmp_path / "final", {"run": 2})

    assert again == first
    assert checkpoints.facts(again) == {"run": 1}
    assert not (tmp_path / "tmp").exists()


def test_committing_over_another_model_is_refused(tmp_path):
    first = checkpoints.commit(model(tmp_path / "tmp"), tmp_path / "final", {})
    other = model(tmp_path / "tmp", FILES | {"tokenizer.json": b"[]"})

    with pytest.raises(ArtifactExists, match=r"final holds checkpoint .*Delete it"):
        checkpoints.commit(other, tmp_path / "final", {})

    checkpoints.verify(first)
    assert other.exists()


def test_an_altered_file_of_a_committed_checkpoint_is_named(tmp_path):
    checkpoint = checkpoints.commit(model(tmp_path / "tmp"), tmp_path / "final", {})

    (tmp_path / "final" / "model-00001-of-00002.safetensors").write_bytes(b"First half")

    with pytest.raises(ArtifactDamaged, match=r"model-00001-of-00002\.safetensors differs from what training wrote"):
        checkpoints.verify(checkpoint)


def test_a_missing_file_is_named(tmp_path):
    committed = checkpoints.commit(model(tmp_path / "tmp"), tmp_path / "final", {})
    foreign = checkpoints.register(model(tmp_path / "foreign"))

    for folder in ("final", "foreign"):
        (tmp_path / folder / "model-00002-of-00002.safetensors").unlink()

    for checkpoint in (committed, foreign):
        with pytest.raises(ArtifactMissing, match=r"model-00002-of-00002\.safetensors"):
            checkpoints.verify(checkpoint)


def test_the_last_change_to_a_foreign_folder_is_named(tmp_path):
    checkpoint = checkpoints.register(model(tmp_path / "a"))
    changed = tmp_path / "a" / "tokenizer.json"
    changed.write_bytes(b"[]")
    os.utime(changed, (4e9, 4e9))

    with pytest.raises(ArtifactDamaged, match=r"changed last is tokenizer\.json"):
        checkpoints.verify(checkpoint)


@pytest.mark.parametrize(("content", "message"), [(b"{", "not readable"), (b'{"format": 9}', "format 9, this code")])
def test_an_unreadable_record_is_damage(tmp_path, content, message):
    checkpoint = checkpoints.commit(model(tmp_path / "tmp"), tmp_path / "final", {})
    (tmp_path / "final" / "odr-checkpoint.json").write_bytes(content)

    with pytest.raises(ArtifactDamaged, match=message):
        checkpoints.facts(checkpoint)


def test_a_model_from_elsewhere_has_no_facts(tmp_path):
    assert checkpoints.facts(checkpoints.register(model(tmp_path / "a"))) == {}


def test_unchanged_files_are_hashed_once(tmp_path, monkeypatch):
    folder, cache, hashed = model(tmp_path / "a"), tmp_path / "cache", []
    for file in folder.iterdir():
        os.utime(file, (1e9, 1e9))
    monkeypatch.setattr(
        hashing, "sha256_file", lambda path, real=hashing.sha256_file: hashed.append(path) or real(path)
    )

    first = checkpoints.register(folder, hash_cache=cache)
    assert len(hashed) == len(FILES)
    checkpoints.verify(first, hash_cache=cache)
    assert len(hashed) == len(FILES)
    (folder / "tokenizer.json").write_bytes(b"[]")

    assert checkpoints.register(folder, hash_cache=cache).digest != first.digest
    assert len(hashed) == len(FILES) + 1


def test_a_broken_hash_cache_costs_time_only(tmp_path, caplog):
    folder, cache = model(tmp_path / "a"), tmp_path / "cache"
    expected = checkpoints.register(folder)
    cache.mkdir()
    (cache / "sha256.json").write_text("{")

    assert checkpoints.register(folder, hash_cache=cache) == expected
    assert "hashed again" in caplog.text


@pytest.mark.parametrize("fields", [{}, {"path": "/a", "digest": 1, "bytes": 2}])
def test_a_mangled_reference_is_refused(fields):
    with pytest.raises(ArtifactDamaged, match="Register the model folder again"):
        Checkpoint.from_json(fields)


@pytest.mark.parametrize("name", ["../../secret", "/etc/passwd", "sub/config.json", "", ".."])
def test_a_record_cannot_name_files_elsewhere(tmp_path, name):
    checkpoint = checkpoints.commit(model(tmp_path / "new"), tmp_path / "final", {})
    record = tmp_path / "final" / "odr-checkpoint.json"
    fields = json.loads(record.read_text())
    fields["files"][name] = {"bytes": 1, "sha256": "0" * 64}
    record.write_text(json.dumps(fields))

    for look in (checkpoints.verify, lambda _: checkpoints.committed(tmp_path / "final")):
        with pytest.raises(ArtifactDamaged, match=r"odr-checkpoint\.json was altered: expected plain file names"):
            look(checkpoint)


@pytest.mark.parametrize("files", [[], {"config.json": 1}, {"config.json": {"bytes": "1", "sha256": "0"}}])
def test_a_record_of_another_shape_is_damage(tmp_path, files):
    checkpoint = checkpoints.commit(model(tmp_path / "new"), tmp_path / "final", {})
    record = tmp_path / "final" / "odr-checkpoint.json"
    record.write_text(json.dumps(json.loads(record.read_text()) | {"files": files}))

    with pytest.raises(ArtifactDamaged, match="Delete the folder and train it anew"):
        checkpoints.verify(checkpoint)


def test_on_a_trusted_disk_a_checkpoint_is_checked_by_record_and_size(tmp_path, monkeypatch):
    checkpoint = checkpoints.commit(model(tmp_path / "new"), tmp_path / "final", {})
    other = checkpoints.commit(model(tmp_path / "n2", FILES | {"tokenizer.json": b"[]"}), tmp_path / "other", {})
    monkeypatch.setenv("ODR_TRUST_DISK", "1")
    weights = tmp_path / "final" / "model-00001-of-00002.safetensors"
    weights.write_bytes(weights.read_bytes()[::-1])
    checkpoints.verify(checkpoint)  # the same size: that is what trusting the disk means

    with pytest.raises(ArtifactDamaged, match="differs from what training wrote"):
        checkpoints.verify(checkpoint, deep=True)
    with pytest.raises(ArtifactDamaged, match="holds another checkpoint"):
        checkpoints.verify(Checkpoint(other.path, checkpoint.digest, checkpoint.bytes))
    weights.write_bytes(b"short")
    with pytest.raises(ArtifactDamaged, match="has 5 bytes, expected 10"):
        checkpoints.verify(checkpoint)


@pytest.mark.parametrize("content", ['{"/x": 1}', '{"/x": [1, 2]}', '{"/x": [[], {}, null]}', "[" * 100_000, "null"])
def test_remembered_hashes_of_another_shape_are_forgotten(tmp_path, content):
    folder = model(tmp_path / "a")
    (tmp_path / "hashes").mkdir()
    (tmp_path / "hashes" / "sha256.json").write_text(content.replace("/x", str(folder / "config.json")))

    assert checkpoints.register(folder, hash_cache=tmp_path / "hashes") == checkpoints.register(folder)


@pytest.mark.parametrize("second", [0, 4_000_000_000])
def test_hashes_are_right_whatever_the_clock_said(tmp_path, second):
    folder = model(tmp_path / "a")
    for file in folder.iterdir():
        os.utime(file, (second, second))
    before = checkpoints.register(folder, hash_cache=tmp_path / "hashes")

    (folder / "tokenizer.json").write_bytes(b"[]")
    os.utime(folder / "tokenizer.json", (second + 1, second + 1))

    after = checkpoints.register(folder, hash_cache=tmp_path / "hashes")
    assert after.digest != before.digest
    assert after == checkpoints.register(folder)
