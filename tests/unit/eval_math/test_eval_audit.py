"""The gold audit: which reference answers cannot be worked with."""

import os
from pathlib import Path

import pytest

from eval_math import benchmarks
from eval_math.audit import audit
from eval_math.benchmarks import Benchmark, Problem
from eval_math.policy import Policy

BENCHMARKS = Path(os.environ.get("ODR_BENCHMARKS", Path(__file__).parents[4] / "shared" / "data" / "benchmarks"))
needs_benchmarks = pytest.mark.skipif(not BENCHMARKS.is_dir(), reason=f"no benchmark files in {BENCHMARKS}")
# Misprints of the data set: "$t(0,4]$" for an interval of t, "$221,$8$" for "$221$,$8$".
KNOWN = {"olympiadbench/2045", "olympiadbench/2349"}


def objections(*golds: str) -> list[tuple[str, str]]:
    problems = [Problem(f"exam/{number}", "q", (gold,)) for number, gold in enumerate(golds)]
    return [(each.gold, each.reason) for each in audit(Benchmark("exam", problems, Policy.benchmark("exam")))]


def test_usable_golds_pass() -> None:
    assert objections("5", r"\frac{1}{2}", "(1,2)", r"x \le 3", "east", "(D)", r"5 \text{ cm}", "1,2,3") == []


def test_a_gold_that_cannot_be_read_is_named_with_the_reason() -> None:
    ((gold, reason),) = objections("5", r"\frac{1}{", "7")

    assert gold == r"\frac{1}{"
    assert "gold_unreadable" in reason or "not right for itself" in reason


def test_a_gold_that_ends_its_box_early_is_not_right_for_itself() -> None:
    ((gold, reason),) = objections("5}{", "7")

    assert gold == "5}{"
    assert reason.startswith("not right for itself")


@needs_benchmarks
@pytest.mark.parametrize("name", ["math500", "aime24", "amc23", "minerva_math", "olympiadbench", "gsm8k"])
def test_the_golds_of_the_benchmarks_are_usable_but_for_known_misprints(name: str) -> None:
    assert {each.problem_id for each in audit(benchmarks.load(name, BENCHMARKS))} <= KNOWN
