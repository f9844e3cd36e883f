"""`odr verify` names every fault that can be planted, and what is computed again because of it."""

import json
import os
import shutil

import pytest
from data_roots import Campaign, files, forget, rollouts
from typer.testing import CliRunner

from artifacts import ArtifactError, checkpoints
from artifacts.manifest import digest_of
from flows.upkeep.verify import verify
from tasks import records
from tasks.locking import FlockLockManager
from tasks.results import load_result


@pytest.fixture
def campaign(workspace):
    return Campaign(workspace, "demo")


def part(workspace, ref):
    return workspace.root / "store" / ref.path / "part-00000.parquet"


def flip(path):
    """One of the first bytes: the end of a Parquet file is its footer, which any look reads."""
    content = bytearray(path.read_bytes())
    content[min(5, len(content) - 1)] ^= 1
    path.write_bytes(content)


def edit(path, change):
    fields = json.loads(path.read_text())
    change(fields)
    path.write_text(json.dumps(fields))


def only(verdict):
    """The one fault there is."""
    (fault,) = verdict.faults
    return fault


AGAIN = "the next `odr run` computes again: demo · iteration 1 "


def test_a_sound_data_root_has_no_fault_and_is_not_changed(workspace, campaign):
    before = files(workspace.root)

    verdict = verify(workspace, deep=True)

    assert verdict.faults == []
    assert verdict.leftovers == []
    assert verdict.checked == {
        "stage records": 3, "cache records": 3, "artifacts": 4, "checkpoints": 1, "campaigns": 1,
    }  # fmt: skip
    assert files(workspace.root) == before


def test_a_flipped_bit_is_found_by_a_deep_look_only(workspace, campaign):
    flip(part(workspace, campaign.rollouts))

    fault = only(verify(workspace, deep=True))

    assert "part-00000.parquet was altered: sha256 " in fault.message
    assert fault.then == f"{AGAIN}sample"
    assert cannot_be_used(workspace, campaign.keys["sample"])
    assert verify(workspace, deep=False).faults == []


def cannot_be_used(workspace, key):
    """A run that meets the record takes it for a miss, and computes the task again."""
    with pytest.raises(ArtifactError):
        load_result(json.loads((workspace.cache / key).read_text())["result"].encode(), workspace)
    return True


@pytest.mark.parametrize("deep", [True, False])
@pytest.mark.parametrize(
    ("harm", "message"),
    [
        ("truncated", r"part-00000.parquet has 100 bytes, expected "),
        ("missing", r"part-00000.parquet is gone, expected rollouts "),
        ("no manifest", r"manifest.json is gone. Run the flow again"),
        ("no folder", r"which is gone"),
    ],
)
def test_what_is_short_or_gone_is_found_by_any_look(workspace, campaign, deep, harm, message):
    path = part(workspace, campaign.rollouts)
    if harm == "truncated":
        os.truncate(path, 100)
    elif harm == "missing":
        path.unlink()
    elif harm == "no manifest":
        path.with_name("manifest.json").unlink()
    else:
        shutil.rmtree(path.parent)

    fault = only(verify(workspace, deep=deep))

    assert message in fault.message
    assert fault.then == f"{AGAIN}sample"
    assert cannot_be_used(workspace, campaign.keys["sample"])


def test_a_manifest_of_a_newer_format_is_not_replaced(workspace, campaign):
    edit(part(workspace, campaign.rollouts).with_name("manifest.json"), lambda fields: fields.update(format=2))

    fault = only(verify(workspace, deep=False))

    assert "has manifest format 2, this code reads up to 1. Update this checkout." in fault.message
    assert "a newer version wrote it and nothing replaces it" in fault.then


def test_rows_of_a_newer_schema_version_are_named(workspace):
    ref = rollouts(workspace)
    reforge(workspace, ref, lambda fields: fields.update(schema_version=99))

    messages = [fault.message for fault in verify(workspace, deep=True).faults]

    assert len(messages) == 1
    assert "holds 'rollouts' rows of schema version 99, this code reads up to 1" in messages[0]


def reforge(workspace, ref, change):
    """Alter a manifest so that it adds up again: what only a look inside the parts can tell."""
    from artifacts.manifest import Part

    folder = workspace.root / "store" / ref.path

    def consistent(fields):
        change(fields)
        parts = tuple(Part(**part) for part in fields["parts"])
        fields["rows"] = sum(part.rows for part in parts)
        fields["digest"] = digest_of(fields["kind"], fields["schema_version"], parts)

    edit(folder / "manifest.json", consistent)
    digest = json.loads((folder / "manifest.json").read_text())["digest"]
    target = folder.parent.parent / digest[:2] / digest
    target.parent.mkdir(exist_ok=True)
    folder.rename(target)


def test_a_row_count_that_is_not_that_of_the_part_is_named(workspace):
    reforge(workspace, rollouts(workspace, count=3), lambda fields: fields["parts"][0].update(rows=4))

    assert "part-00000.parquet holds 3 rows, expected 4" in only(verify(workspace, deep=False)).message


def test_a_part_of_another_kind_is_named(workspace):
    ref = rollouts(workspace)
    reforge(workspace, ref, lambda fields: fields.update(schema_version=0))

    message = only(verify(workspace, deep=False)).message

    assert "says it holds 'rollouts' rows of version '1', expected 'rollouts' of version 0" in message


@pytest.mark.parametrize("name", ["../../../../outside.parquet", "/etc/passwd"])
def test_a_part_that_leaves_the_data_root_is_refused(workspace, campaign, name):
    manifest = part(workspace, campaign.rollouts).with_name("manifest.json")
    edit(manifest, lambda fields: fields["parts"][0].update(name=name))

    fault = only(verify(workspace, deep=True))

    assert f"names a part {name!r}, expected part-00000.parquet" in fault.message
    assert fault.then == f"{AGAIN}sample"


def test_a_link_that_leaves_the_data_root_is_named(workspace, campaign, tmp_path):
    path = part(workspace, campaign.rollouts)
    path.rename(tmp_path / "outside.parquet")
    path.symlink_to(tmp_path / "outside.parquet")

    assert "part-00000.parquet leads out of the data root" in only(verify(workspace, deep=True)).message


def test_a_record_whose_reference_leaves_the_data_root_is_named(workspace, campaign):
    path = workspace.cache / campaign.keys["sample"]
    path.write_text(path.read_text().replace("rollouts/", "../../rollouts/"))

    fault = only(verify(workspace, deep=True))

    assert "is no record of a result (The reference to '../../rollouts/" in fault.message
    assert fault.then == f"{AGAIN}sample"
    assert cannot_be_used(workspace, campaign.keys["sample"])


def test_a_record_of_a_checkpoint_outside_the_data_root_is_named(workspace, campaign, tmp_path):
    path = workspace.cache / campaign.keys["train"]
    path.write_text(path.read_text().replace(str(workspace.checkpoints), str(tmp_path)))

    fault = only(verify(workspace, deep=True))

    assert "which is outside the data root" in fault.message
    assert fault.then == f"{AGAIN}train"
    assert cannot_be_used(workspace, campaign.keys["train"])


def test_a_torn_cache_record_is_named(workspace, campaign):
    path = workspace.cache / campaign.keys["evaluate"]
    path.write_text(path.read_text()[:-20])

    fault = only(verify(workspace, deep=True))

    assert "is no record of a result" in fault.message
    assert fault.then == f"{AGAIN}evaluate"


def test_a_record_that_is_being_written_is_no_fault(workspace, campaign):
    (workspace.cache / campaign.keys["evaluate"]).write_text("{")
    locks = FlockLockManager(workspace.locks)
    locks.try_lock(campaign.keys["evaluate"], "a run")

    assert verify(workspace, deep=True).faults == []
    locks.release_lock(campaign.keys["evaluate"], "a run")


@pytest.mark.parametrize("deep", [True, False])
@pytest.mark.parametrize(
    ("harm", "message"),
    [
        ("short", r"model.safetensors has 1 bytes, expected 2"),
        ("gone", r"model.safetensors is gone, expected 2 bytes"),
        ("record", r"has no odr-checkpoint.json: training did not finish it"),
        ("broken record", r"odr-checkpoint.json is not readable"),
    ],
)
def test_a_damaged_checkpoint_is_found_by_any_look(workspace, campaign, deep, harm, message):
    folder = workspace.checkpoints / campaign.keys["train"]
    if harm == "short":
        os.truncate(folder / "model.safetensors", 1)
    elif harm == "gone":
        (folder / "model.safetensors").unlink()
    elif harm == "record":
        (folder / "odr-checkpoint.json").unlink()
    else:
        (folder / "odr-checkpoint.json").write_text("{")

    fault = only(verify(workspace, deep=deep))

    assert message in fault.message or (deep and "model.safetensors differs from what training wrote" in fault.message)
    assert fault.then == f"{AGAIN}train"


def test_a_flipped_bit_in_weights_is_found_by_a_deep_look_only(workspace, campaign):
    flip(workspace.checkpoints / campaign.keys["train"] / "model.safetensors")

    assert "model.safetensors differs from what training wrote" in only(verify(workspace, deep=True)).message
    assert verify(workspace, deep=False).faults == []


def test_a_model_from_elsewhere_is_looked_at_through_the_results_that_name_it(workspace, campaign, tmp_path):
    base = shutil.copytree(workspace.checkpoints / campaign.keys["train"], tmp_path / "base")
    (base / "odr-checkpoint.json").unlink()
    registered = checkpoints.register(base)
    results = workspace.root / "campaigns" / "demo" / "results.json"
    edit(results, lambda fields: fields["iterations"][0].update(policy=registered.to_json()))

    assert verify(workspace, deep=True).faults == []
    flip(base / "model.safetensors")

    assert f"{results} names {base}: {base} has digest " in only(verify(workspace, deep=True)).message


def test_results_that_name_what_is_gone_are_named(workspace, campaign):
    forget_records(workspace)
    shutil.rmtree(workspace.root / "store" / campaign.scores.path)

    fault = only(verify(workspace, deep=True))

    assert "results.json names" in fault.message
    assert fault.then == "`odr show` and `odr compare` fail; `odr run` of demo writes it again"


def forget_records(workspace):
    shutil.rmtree(workspace.root / "keys")
    shutil.rmtree(workspace.cache)


def test_a_broken_stage_record_is_named(workspace, campaign):
    (workspace.root / "keys" / "demo" / "iteration 1 sample.json").write_text("")

    fault = only(verify(workspace, deep=True))

    assert "iteration 1 sample.json is not a readable record; delete it" in fault.message
    with pytest.raises(records.RecordUnreadable):
        list(records.of_campaign(workspace, "demo"))


def test_what_nobody_caches_has_consequences_of_its_own(workspace, campaign):
    stray = rollouts(workspace, "stray")
    for ref in (campaign.prompts, campaign.grades, stray):
        flip(part(workspace, ref))

    found = {fault.path.split("/")[-3]: fault.then for fault in verify(workspace, deep=True).faults}

    assert found == {
        "prompts": "a run that needs it reads it from its source and stores it again",
        "grades": "`odr compare` cannot read it; `odr run` with --refresh evaluate makes it again "
        "(demo · iteration 1 evaluate)",
        "rollouts": "no campaign refers to it: `odr gc` removes it",
    }


def test_damage_to_what_only_a_forgotten_campaign_used_is_for_gc(workspace, campaign):
    forget(workspace, "demo")
    flip(part(workspace, campaign.rollouts))

    assert only(verify(workspace, deep=True)).then == "no campaign refers to it: `odr gc` removes it"


def test_temporaries_are_named_and_are_no_fault(workspace, campaign):
    dead = workspace.root / "store" / ".writing" / "odr-dead"
    dead.mkdir(parents=True)
    partial = workspace.root / "work" / campaign.keys["sample"] / "shard-00000.parquet.partial"
    aside = workspace.root / "hashes" / f".sha256.json.{'a' * 32}"
    aside.parent.mkdir()
    stranger = part(workspace, campaign.rollouts).with_name("notes.txt")
    for path in (partial, aside, stranger):
        path.write_text("x")

    with workspace.store.writer(type(next(workspace.store.read(campaign.prompts, row_of(campaign))))) as writer:
        verdict = verify(workspace, deep=True)  # a living writer's folder is not among them
        writer.write_many(workspace.store.read(campaign.prompts, row_of(campaign)))

    assert verdict.faults == []
    assert verdict.leftovers == sorted(map(str, (dead, partial, aside, stranger)))


def row_of(campaign):
    from artifacts import Prompt

    return Prompt


# --- the command -------------------------------------------------------------------------------------------------


@pytest.fixture
def odr(workspace):
    from flows.cli import app

    return lambda *words: CliRunner().invoke(app, ["verify", *words])


def test_the_command_ends_with_zero_when_all_is_good(odr, campaign, workspace):
    done = odr()

    assert done.exit_code == 0
    assert done.output.endswith(
        f"3 stage records, 3 cache records, 4 artifacts, 1 checkpoints, 1 campaigns in {workspace.root}\nall good\n"
    )


def test_the_command_ends_with_one_and_names_fault_and_task(odr, campaign, workspace):
    os.truncate(part(workspace, campaign.rollouts), 100)

    done = odr("--quick")

    assert done.exit_code == 1
    assert "part-00000.parquet has 100 bytes, expected " in done.output
    assert f"-> {AGAIN}sample" in done.output
    assert done.output.endswith("1 fault\n")


def test_the_command_speaks_json(odr, campaign, workspace):
    flip(part(workspace, campaign.rollouts))

    done = odr("--json")

    found = json.loads(done.stdout)
    assert done.exit_code == 1
    assert found["deep"] is True
    assert found["checked"]["artifacts"] == 4
    assert [fault["then"] for fault in found["faults"]] == [f"{AGAIN}sample"]


def test_text_in_a_damaged_file_cannot_command_the_terminal(odr, campaign, workspace):
    manifest = part(workspace, campaign.rollouts).with_name("manifest.json")
    edit(manifest, lambda fields: fields["parts"][0].update(name="[bold]\x1b[31m"))

    output = odr().output

    assert "[bold]" in output
    assert "\x1b" not in output


def test_no_data_root_is_said(odr, workspace):
    done = odr()

    assert done.exit_code == 2
    assert f"there is no data root {workspace.root}; set ODR_HOME" in done.stderr
