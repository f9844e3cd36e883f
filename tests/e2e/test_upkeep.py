"""`odr verify`, `odr gc` and `--stop-after` on a data root that a real campaign has made."""

import json
from pathlib import Path

import pytest

from artifacts import Prompt, Ref, Store
from flows.upkeep.gc import needless, sweep
from flows.upkeep.verify import verify
from tasks.workspace import Workspace
from tests.e2e.small_campaign import SMALL, odr, results

pytestmark = pytest.mark.slow


def test_what_is_damaged_is_named_computed_again_and_what_nobody_needs_is_removed(home: Path) -> None:
    rows = Ref.from_json(results(home)["iterations"][1]["rows"])
    (part, *_) = sorted((home / "store" / rows.path).glob("*.parquet"))
    content = part.read_bytes()
    part.unlink()  # shards are hard links: what is written in place is written in both
    part.write_bytes(content[:100] + bytes([content[100] ^ 1]) + content[101:])
    with Store(home / "store").writer(Prompt) as orphan:
        orphan.write(Prompt(prompt_id="x", question="x", answers=["1"], solution=None, source="nobody"))
    (home / "hashes" / f".sha256.json.{'0' * 32}").write_text("half")

    damaged = odr(home, "verify", "--json")
    stopped = odr(home, "run", "configs/demo.yaml", *SMALL, "--stop-after", "pair")
    listed = needless(Workspace(home))
    removed = sweep(Workspace(home), listed)
    sound = verify(Workspace(home), deep=True)

    found = json.loads(damaged.stdout)
    assert damaged.returncode == 1
    assert [str(part.parent) == fault["path"] for fault in found["faults"]] == [True]
    assert "was altered: sha256" in found["faults"][0]["message"]
    assert "demo · iteration 1 pair" in found["faults"][0]["then"]
    assert stopped.returncode == 0, stopped.stderr[-4000:]
    assert "stopped after pair of demo, iteration 1" in stopped.stdout
    assert "iteration 1 · pair: done in" in stopped.stderr
    assert "iteration 1 · train" not in stopped.stderr
    assert part.read_bytes() == content
    assert removed == listed
    assert not (home / "store" / orphan.ref.path).exists()
    assert (sound.faults, sound.leftovers) == ([], [])
