"""Every line of golden/verdicts.jsonl: one response, one gold, the verdict it must get, and why."""

import json
import time
from pathlib import Path

import pytest

from eval_math import Policy, Reason, grade, grade_many

GOLDEN = Path(__file__).parents[2] / "golden" / "verdicts.jsonl"
CASES = [json.loads(line) for line in GOLDEN.read_text(encoding="utf-8").splitlines()]
POLICIES = {"reward": Policy.reward(), "benchmark": Policy.benchmark()}
SLOWEST_SECONDS = 1.0


def _name(case: dict[str, object]) -> str:
    return f"{case['why']}: {str(case['response'])[-60:-2]} ? {str(case['gold'])[:40]}"


@pytest.mark.parametrize("case", CASES, ids=_name)
def test_the_golden_verdict(case: dict[str, str]) -> None:
    started = time.perf_counter()

    found = grade(case["response"], case["gold"], POLICIES[case["policy"]])

    assert found.correct is case["expected"], f"{found.reason.value}: {case['why']}"
    assert found.reason is not Reason.GRADER_CRASHED
    assert time.perf_counter() - started < SLOWEST_SECONDS


def test_the_file_holds_wrong_right_and_unknown_in_number() -> None:
    expected = [case["expected"] for case in CASES]

    assert len(CASES) >= 200
    assert expected.count(True) >= 100
    assert expected.count(False) >= 80
    assert expected.count(None) >= 5


def test_no_hostile_answer_passes_for_another_hostile_one() -> None:
    hostile = [case["response"] for case in CASES if case["why"].startswith("hostile")]
    golds = ["0", "1", "5", "x", r"\frac{1}{2}", r"\text{east}", "(1,2)"]

    right = [
        (response[:60], gold)
        for response in hostile
        for gold in golds
        if grade(response, gold, POLICIES["reward"]).correct and gold != "5"
    ]

    assert right == []


def test_worker_processes_agree_with_the_golden_verdicts() -> None:
    cases = [case for case in CASES if case["policy"] == "reward"]

    found = grade_many(((case["response"], case["gold"]) for case in cases), Policy.reward(), workers=2)

    assert [verdict.correct for verdict in found] == [case["expected"] for case in cases]
