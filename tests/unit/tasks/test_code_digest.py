"""What of the code is part of a cache key: what computes, in every module that is reached, and nothing else."""

import subprocess
import sys
from pathlib import Path

import pytest

from tasks import code_digest as module
from tasks.code_digest import FOLLOWED, INFRASTRUCTURE, code_digest, modules_behind
from tasks.demonstrate import demonstrate
from tasks.evaluate import evaluate
from tasks.grade import grade
from tasks.pair import pair
from tasks.reward import reward
from tasks.sample import sample
from tasks.score import score
from tasks.settings import Grading
from tasks.train import train

WORKER = '''
"""The worker."""
from tasks.workers import helper
from tasks.workers.failure import reported
import json

LIMIT = 10  # a constant


def work(x):
    """Work."""
    if x >= LIMIT:
        return f"{x}!" + "text"
    return helper.double(x)


class Thing:
    """A thing."""

    size: int = 3
    """Its size."""
'''

HELPER = """
def double(x):
    return x * 2
"""

UNRELATED = "VALUE = 1\n"


@pytest.fixture
def source(tmp_path, monkeypatch):
    """A source tree of its own: `change(module, old, new)` edits it, `digest()` is that of the worker."""
    folder = tmp_path / "tasks" / "workers"
    folder.mkdir(parents=True)
    files = {"worker": WORKER, "helper": HELPER, "unrelated": UNRELATED, "failure": "def reported(): pass\n"}
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text, encoding="utf-8")
    monkeypatch.setattr(module, "ROOT", tmp_path)

    class Source:
        def change(self, name, old, new):
            path = folder / f"{name}.py"
            text = path.read_text(encoding="utf-8")
            assert old in text
            path.write_text(text.replace(old, new), encoding="utf-8")

        def digest(self):
            module.code_digest.cache_clear()
            module._read.cache_clear()
            return code_digest("tasks.workers.worker")

    yield Source()
    module.code_digest.cache_clear()
    module._read.cache_clear()


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("worker", "# a constant", "# another comment, longer"),
        ("worker", '"""Work."""', '"""Work hard, and tell about it.\n\n    At length.\n    """'),
        ("worker", '"""The worker."""', ""),
        ("worker", '"""Its size."""', '"""Its size, in metres."""'),
        ("worker", "x >= LIMIT", "(x  >=  LIMIT)"),
        ("worker", "import json\n", "import json\n\n\n\n"),
        ("helper", "def double(x):\n", 'def double(x):\n    """Twice."""\n    # indeed\n'),
        ("unrelated", "VALUE = 1", "VALUE = 2"),
        ("failure", "pass", "return 7"),  # infrastructure: how a failure is told changes no result
    ],
)
def test_what_computes_nothing_keeps_the_digest(source, name, old, new):
    before = source.digest()

    source.change(name, old, new)

    assert source.digest() == before


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("worker", "x >= LIMIT", "x > LIMIT"),
        ("worker", "LIMIT = 10", "LIMIT = 11"),
        ("worker", 'f"{x}!"', 'f"{x}?"'),
        ("worker", '"text"', '"txet"'),
        ("worker", "size: int = 3", "size: int = 4"),
        ("worker", "helper.double(x)", "helper.double(x + 1)"),
        ("worker", "def work(x)", "def work(x, y=0)"),
        ("helper", "x * 2", "x + 2"),
        ("helper", "x * 2", "x * 2.0"),
        ("helper", "    return x * 2", "    x += 1\n    return x * 2"),
    ],
)
def test_what_computes_changes_the_digest(source, name, old, new):
    before = source.digest()

    source.change(name, old, new)

    assert source.digest() != before


def test_undoing_an_edit_restores_the_digest(source):
    before = source.digest()

    source.change("helper", "x * 2", "x * 3")
    source.change("helper", "x * 3", "x * 2")

    assert source.digest() == before


def test_an_import_inside_a_function_is_followed(source):
    late = "    from tasks.workers.unrelated import VALUE\n    return VALUE + helper"
    source.change("worker", "    return helper", late)
    before = source.digest()

    source.change("unrelated", "VALUE = 1", "VALUE = 2")

    assert source.digest() != before


def test_importing_in_a_circle_ends(source):
    source.change("helper", "def double", "from tasks.workers import worker\n\n\ndef double")

    assert modules_behind("tasks.workers.worker") == {"tasks.workers.worker", "tasks.workers.helper"}


# --- the real stages ---------------------------------------------------------------------------------------------

STAGES = {
    "sample": (sample, {}),
    "grade": (grade, {"grading": Grading()}),
    "pair": (pair, {}),
    "reward": (reward, {}),
    "score": (score, {}),
    "evaluate": (evaluate, {}),
    "demonstrate": (demonstrate, {}),
    **{f"train {name}": (train, {"objective": {"name": name}}) for name in ("dpo", "raft", "sft")},
}


PLUMBING = {
    "announce", "attempts", "caching", "child", "code_digest", "devices", "display", "distributed", "forwarding",
    "launch", "locking", "machine", "prefect_task", "presence", "records", "results", "settings", "workspace",
}  # fmt: skip
"""Modules of `tasks` below the stages that carry work to where it is done and shape no result."""


@pytest.fixture(scope="module")
def imports():
    """import-linter's own import graph: another reader of the same sources."""
    import grimp

    return grimp.build_graph("tasks", "eval_math", "artifacts")


@pytest.mark.parametrize("name", STAGES)
def test_every_first_party_module_that_a_stage_imports_is_followed(imports, name):
    stage, inputs = STAGES[name]
    entry_points = stage._code(inputs)
    reached = set().union(*(imports.find_upstream_modules(entry) for entry in entry_points), entry_points)
    ours = {each for each in reached if not each.startswith("artifacts")} - INFRASTRUCTURE

    followed = modules_behind(*entry_points)

    assert ours - followed <= {f"tasks.{plain}" for plain in PLUMBING}
    assert {each for each in ours if each.startswith(FOLLOWED)} <= followed
    assert set(entry_points) <= followed


def test_the_row_types_are_part_of_every_key():
    without = [
        name for name, (stage, inputs) in STAGES.items() if "artifacts.rows" not in modules_behind(*stage._code(inputs))
    ]

    assert without == []


def test_the_engines_that_are_imported_late_count():
    behind = modules_behind(*sample._code({}))

    assert {"tasks.workers.vllm_engine", "tasks.workers.hf_engine", "tasks.workers.template"} <= behind


def test_another_objective_is_other_code():
    codes = {name: code_digest(*train._code({"objective": {"name": name}})) for name in ("dpo", "raft", "sft")}

    assert len(set(codes.values())) == 3
    assert "tasks.objectives.dpo" not in modules_behind(*train._code({"objective": {"name": "sft"}}))


def test_the_grader_is_part_of_grading_and_evaluation_and_of_nothing_else():
    for stage, inputs in STAGES.values():
        uses_grader = stage in (grade, evaluate)
        assert ("eval_math.grade" in modules_behind(*stage._code(inputs))) == uses_grader


def test_a_digest_is_short_hex_and_the_same_in_another_process():
    entry_points = sample._code({})
    script = f"from tasks.code_digest import code_digest\nprint(code_digest(*{entry_points!r}))"

    elsewhere = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True, cwd=Path("/")
    ).stdout.strip()

    assert elsewhere == code_digest(*entry_points)
    assert len(elsewhere) == 16
    int(elsewhere, 16)


def test_the_code_of_a_reward_of_ones_own_is_part_of_grading(tmp_path, monkeypatch):
    from task_examples import a_prompt, a_rollout, stored

    from artifacts import Store
    from tasks.settings import Grading

    monkeypatch.syspath_prepend(tmp_path)
    path = tmp_path / "my_own_reward.py"
    path.write_text("def reward(grade, response):\n    return 1.0\n", encoding="utf-8")
    store = Store(tmp_path / "store")
    arguments = {
        "rollouts": stored(store, [a_rollout()]), "prompts": stored(store, [a_prompt("p0")]),
        "grading": Grading(reward="my_own_reward:reward"), "seed": 0, "run": None,
    }  # fmt: skip
    before = grade.key(**arguments).digest

    path.write_text("def reward(grade, response):\n    return 2.0\n", encoding="utf-8")
    module.code_digest.cache_clear()
    module._read.cache_clear()

    assert grade.key(**arguments).digest != before
