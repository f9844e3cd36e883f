"""The tutorial's commands, in its order, on the small campaign instead of the demo."""

from pathlib import Path

import pytest

from artifacts import Accepted, Ref, Store
from tests.documents import ROOT, commands, words
from tests.e2e.document_commands import ran
from tests.e2e.small_campaign import results, stages

pytestmark = pytest.mark.slow


def test_every_command_of_the_tutorial_does_what_it_says(home: Path) -> None:
    lines = commands(ROOT / "docs" / "tutorial.md")
    said = {line: ran(home, line) for line in lines if words(line)[0] == "odr"}

    assert {line: done.stderr[-2000:] for line, done in said.items() if done.returncode} == {}
    assert [line for line in lines if line not in said] == ["make demo", ". .venv/bin/activate"]
    outputs = {words(line)[1]: done.stdout for line, done in said.items()}
    assert set(outputs) >= {"show", "report", "run", "plan", "compare", "benchmarks", "evaluate", "up", "down"}
    raft = results(home, "raft")
    made = [stage for label, stage, cached in stages(raft) if label == "iteration 1" and not cached]
    assert made == ["pair", "train", "evaluate"]  # the answers and grades are the demo's
    rows = Store(home / "store").read(Ref.from_json(raft["iterations"][1]["rows"]), Accepted)
    assert all(row.completion_ids for row in rows)
    assert Path(outputs["report"].split()[1]).read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
