"""The demo's folder: deterministic, split by digest, readable by the tools that will use it."""

import hashlib
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from flows.demo import DemoFiles, build, is_heldout, question_digest
from flows.demo.build import MARKER, NUM_HELDOUT, NUM_TRAIN, NUM_WARMUP
from flows.demo.families import FAMILIES


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> DemoFiles:
    return build(tmp_path_factory.mktemp("demo") / "seed0")


def _rows(path: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def _digests(folder: Path) -> dict[str, str]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in found}


def test_files_have_the_columns_and_sizes_that_the_run_expects(files: DemoFiles):
    warmup, train, heldout = _rows(files.warmup), _rows(files.train), _rows(files.heldout)

    assert (len(warmup), len(train), len(heldout)) == (NUM_WARMUP, NUM_TRAIN, NUM_HELDOUT)
    assert all(set(row) == {"question", "solution", "answer"} for row in warmup)
    assert all(set(row) == {"question", "answer"} for row in train + heldout)
    assert all(int(row["answer"]) >= 0 for row in warmup + train + heldout)


def test_no_question_is_used_twice_and_heldout_ones_never_for_training(files: DemoFiles):
    used, heldout = _rows(files.warmup) + _rows(files.train), _rows(files.heldout)

    used_digests = {question_digest(row["question"]) for row in used}
    heldout_digests = {question_digest(row["question"]) for row in heldout}
    assert len(used_digests) == len(used)
    assert len(heldout_digests) == len(heldout)
    assert not used_digests & heldout_digests
    assert all(is_heldout(row["question"]) for row in heldout)


def test_each_family_has_an_equal_part_of_the_heldout_set(files: DemoFiles):
    questions = [row["question"] for row in _rows(files.heldout)]

    parts = Counter(index % len(FAMILIES) for index, _ in enumerate(questions))
    assert set(parts.values()) == {NUM_HELDOUT // len(FAMILIES)}
    for index, family in enumerate(FAMILIES.values()):
        ending = family.template.rsplit("}", 1)[1]
        assert all(question.endswith(ending) for question in questions[index :: len(FAMILIES)])


def test_the_warmup_has_both_habits_and_the_hasty_one_leads(files: DemoFiles):
    rows = _rows(files.warmup)

    hasty = [row["solution"] == f"\\boxed{{{row['answer']}}}" for row in rows]
    assert 0.5 < sum(hasty) / len(rows) < 0.65
    assert all(row["solution"].endswith(f"\\boxed{{{row['answer']}}}") for row in rows)


def test_the_same_seed_gives_the_same_bytes_in_another_process(files: DemoFiles, tmp_path: Path):
    code = f"from pathlib import Path; from flows.demo import build; build(Path({str(tmp_path / 'again')!r}))"

    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONHASHSEED": "12345"})

    assert _digests(tmp_path / "again") == _digests(files.model.parent)


def test_another_seed_changes_weights_and_training_problems_but_not_the_exam(files: DemoFiles, tmp_path: Path):
    other = build(tmp_path / "seed1", seed=1)

    before, after = _digests(files.model.parent), _digests(other.model.parent)
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"model/model.safetensors", "warmup.jsonl", "train.jsonl", MARKER}


def test_a_finished_folder_is_left_untouched_and_an_outdated_one_is_replaced(tmp_path: Path):
    files = build(tmp_path / "demo")
    untouched = files.heldout.stat().st_mtime_ns

    assert build(tmp_path / "demo") == files
    assert files.heldout.stat().st_mtime_ns == untouched

    (tmp_path / "demo" / MARKER).write_text('{"generator": "older", "seed": 0}')
    files.heldout.write_text("")
    build(tmp_path / "demo")
    assert len(_rows(files.heldout)) == NUM_HELDOUT
    assert [path.name for path in tmp_path.iterdir()] == ["demo"]


def test_a_folder_with_other_files_is_refused(tmp_path: Path):
    (tmp_path / "thesis.tex").write_text("precious")

    with pytest.raises(ValueError, match=r"not the demo's; name an empty or a new folder"):
        build(tmp_path)

    assert (tmp_path / "thesis.tex").read_text() == "precious"


def test_importing_the_demo_loads_no_heavy_library():
    code = "import sys, flows.demo; print(*{'torch', 'transformers', 'prefect', 'mlflow'} & set(sys.modules))"

    printed = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout

    assert printed.strip() == ""
