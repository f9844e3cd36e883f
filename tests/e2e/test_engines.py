"""The two sampling engines are one to the loop: same tokens, same log-probabilities."""

import json
from pathlib import Path
from typing import Any

import pytest

from artifacts import Rollout, read_part
from tests.e2e.small_campaign import odr

pytestmark = pytest.mark.slow


def answers(home: Path, engine: str) -> list[Rollout]:
    """Greedy answers of the trained policy to some held-out problems."""
    done = odr(
        home, "evaluate", "demo/1", "-b", "heldout", "--data-dir", str(home / "demo"), "--limit", "25",
        "--max-tokens", "48", "--set", f"sample.engine={engine}", "--set", "sample.dtype=float32",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    folders = [path.parent for path in home.glob("store/rollouts/*/*/manifest.json") if made_by(path, engine)]
    (folder,) = folders
    return [row for part in sorted(folder.glob("*.parquet")) for row in read_part(part, Rollout)]


def made_by(manifest: Path, engine: str) -> bool:
    found: dict[str, Any] = json.loads(manifest.read_text())
    return found["rows"] == 25 and found["producer"]["sampling"]["engine"] == engine


def test_vllm_and_transformers_give_the_same_greedy_answers(home: Path) -> None:
    fast, slow = answers(home, "vllm"), answers(home, "transformers")

    assert [row.completion_ids for row in fast] == [row.completion_ids for row in slow]
    assert [row.finish_reason for row in fast] == [row.finish_reason for row in slow]
    for ours, theirs in zip(fast, slow, strict=True):
        assert ours.logprobs == pytest.approx(theirs.logprobs, abs=1e-4)
