"""Two real nights: the second starts from what the first has come to, on new problems, and aliases are in MLflow."""

import json
import shutil
from pathlib import Path

import pytest

from tests.e2e.small_campaign import SMALL, odr, results, stages

pytestmark = pytest.mark.slow

NAME = "standing"


def test_a_second_night_goes_on_where_the_first_has_ended(home: Path) -> None:
    first = odr(home, "nightly", "configs/demo.yaml", *SMALL, f"name={NAME}", "--now")
    assert first.returncode == 0, first.stderr[-4000:]
    cached = stages(results(home, NAME))
    second = odr(home, "nightly", NAME, "--now")
    assert second.returncode == 0, second.stderr[-4000:]

    kept = json.loads((home / "campaigns" / NAME / "nights.json").read_text())
    outcomes = [night["outcome"] for night in kept["nights"]]
    rows = results(home, NAME)["iterations"]
    assert all(done for _, _, done in cached)  # the small campaign has computed the first iteration
    assert outcomes[0] == "base"
    assert set(outcomes[1:]) <= {"promoted", "kept", "rolled back"}
    assert [row["iteration"] for row in rows] == [0, 1, 2]
    assert {name for _, name, done in stages({"iterations": rows[2:]}) if not done} >= {"sample", "pair", "train"}
    assert f"Completed: {NAME}, iteration 2 {outcomes[2]}. heldout mean:" in " ".join(second.stdout.split())
    assert kept["aliases"]["newest"]["digest"] == rows[2]["policy"]["digest"]
    assert kept["aliases"]["best"]["digest"] == rows[kept["best"]]["policy"]["digest"]
    assert in_mlflow(home) == {alias: entry["digest"] for alias, entry in kept["aliases"].items()}
    shutil.rmtree(home / "campaigns" / NAME)  # the data root is that of other tests as well


def in_mlflow(home: Path) -> dict[str, str]:
    """Alias -> digest of the checkpoint it names there."""
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{home / 'mlflow.db'}")
    aliases = ("best", "newest")
    return {alias: client.get_model_version_by_alias(NAME, alias).tags["sha256"] for alias in aliases}
