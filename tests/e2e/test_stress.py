"""Many campaigns at once on one data root, each with its own temporary Prefect server on the one SQLite file."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from artifacts import Prompt, Ref, Store
from tests.e2e import processes
from tests.e2e.killing import whole_records
from tests.e2e.small_campaign import environment

pytestmark = pytest.mark.slow

CAMPAIGNS, SHARED, OWN = 5, 20, 20


def test_two_hundred_stages_at_once_lose_nothing_and_compute_each_key_once(tmp_path: Path) -> None:
    home, notes = tmp_path / "odr", tmp_path / "notes"
    script = Path(__file__).with_name("stress_run.py")
    children = []
    for number in range(CAMPAIGNS):
        with (tmp_path / f"{number}.out").open("wb") as out, (tmp_path / f"{number}.err").open("wb") as err:
            command = [sys.executable, str(script), str(number), str(SHARED), str(OWN), str(notes)]
            children.append(subprocess.Popen(command, env=environment(home), stdout=out, stderr=err))

    codes = [child.wait(500) for child in children]

    outputs = [
        ((tmp_path / f"{number}.out").read_text(), (tmp_path / f"{number}.err").read_text())
        for number in range(CAMPAIGNS)
    ]
    assert codes == [0] * CAMPAIGNS, [errors[-2000:] for _, errors in outputs]
    found = [json.loads(output) for output, _ in outputs]
    assert sum(map(len, found)) == CAMPAIGNS * (SHARED + OWN)
    results = {seed: {answers[seed] for answers in found if seed in answers} for seed in set().union(*found)}
    assert len(results) == SHARED + CAMPAIGNS * OWN
    assert all(len(digests) == 1 for digests in results.values())
    assert Counter(notes.read_text(encoding="utf-8").split()) == Counter(results.keys())  # each key once
    assert sorted(kept(home)) == sorted(results)
    assert not [line for _, errors in outputs for line in errors.splitlines() if "database is locked" in line]
    assert processes.wait_until_gone(processes.of_data_root(home), 15) == []


def kept(home: Path) -> list[str]:
    """The seed that the artifact of each whole cache record was made of."""
    store = Store(home / "store")
    seeds = []
    for name in whole_records(home):
        stored = json.loads(json.loads((home / "cache" / name).read_text(encoding="utf-8"))["result"])
        (row,) = store.read(Ref.from_json(stored["ref"]), Prompt)
        seeds.append(row.prompt_id)
    return seeds
