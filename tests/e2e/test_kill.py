"""Five kills, of the command and of what it has started, change nothing: `tests.e2e.kill` in the small."""

import json
import random
from pathlib import Path

import pytest

from tests.e2e import killing, sameness
from tests.e2e.kill import seconds_lost
from tests.e2e.killing import SPARED, Kill, Plan, Story, Timeline
from tests.e2e.small_campaign import SMALL, results

pytestmark = pytest.mark.slow

NAME = "kills"
ANEW = [*SMALL, f"name={NAME}", "grade.deadline=6", "warmup.train.save_steps=40", "train.save_steps=1"]
"""Other keys for grading and both trainings, and the same results; what the engines have answered is cached."""
STAGES = Timeline(
    {
        f"keys/{NAME}/warm-up demonstrate.json": 5.0,
        f"keys/{NAME}/warm-up train.json": 30.0,
        f"keys/{NAME}/iteration 1 pair.json": 32.0,
    },
    40.0,
)
"""Seconds that only say which stage a kill is meant for, and how long after the last one's end or the start."""


def test_five_kills_change_nothing_and_no_stage_is_executed_twice(home: Path) -> None:
    known, before = killing.finished_things(home), set(sameness.left_over(home))
    plan = Plan(STAGES, [2.0, 11.0, 25.0, 31.0, 35.0], random.Random(1), spared=(*SPARED, "temporary Prefect server"))
    story = killing.campaign(home, ["demo", *ANEW], plan)

    assert len(story.kills) == 5
    assert story.codes[-1] == 0
    assert sameness.executed_twice(story, NAME) == []
    assert set(sameness.executed(story)) <= {"warm-up · train", "iteration 1 · grade", "iteration 1 · train"}
    assert sameness.differences(home, home, NAME, other_name="demo") == []
    assert set(sameness.left_over(home)) <= before
    assert known <= killing.finished_things(home)
    row = results(home, NAME)["iterations"][1]
    lines = (Path(row["policy"]["path"]) / "training.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == list(range(1, len(lines) + 1))


def test_what_a_kill_cost_is_shared_out_and_adds_up() -> None:
    """Ten seconds undisturbed; two kills before the first thing cost 6 s, one after it 3 s."""
    undisturbed = Timeline({"a": 4.0, "b": 8.0}, 10.0)
    kills = [Kill(at, "command", "", 0, 0.1) for at in (3.0, 6.0, 12.0)]
    story = Story(Path(), seen={"a": 10.0, "b": 17.0, "c": 18.0}, kills=kills, end=19.0)

    lost = [seconds for _, seconds in seconds_lost(story, undisturbed)]

    assert lost == pytest.approx([3.0, 3.0, 3.0])
    assert sum(lost) == pytest.approx(story.end - undisturbed.end)
