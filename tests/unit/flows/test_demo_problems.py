"""The demo's problems: every answer is solved again from the question's text alone."""

import re
from collections.abc import Callable
from random import Random

import pytest

from flows.demo.families import FAMILIES
from flows.demo.problems import draw

STEP = re.compile(r"(\d+)([-+*/])(\d+)=(\d+)")


def _expression(question: str) -> int:
    """The value of a sum written with digits, + - * and brackets."""
    text = re.sub(r"^(What is|Compute) |[?. ]", "", question)
    assert re.fullmatch(r"[-+*()\d]+", text)
    return eval(text)


def _equation(question: str) -> int:
    """The only small x that solves it, found by trying."""
    match = re.fullmatch(r"Solve (\d+)[a-z] ([-+]) (\d+) = (\d+)\.", question)
    assert match is not None
    a, b, c = int(match[1]), int(match[2] + match[3]), int(match[4])
    (solution,) = (x for x in range(100) if a * x + b == c)
    return solution


def _story(solve: Callable[..., int]) -> Callable[[str], int]:
    return lambda question: solve(*map(int, re.findall(r"\d+", question)))


SOLVE: dict[str, Callable[[str], int]] = {
    "sum": _expression,
    "difference": _expression,
    "chain": _expression,
    "bracket": _expression,
    "equation": _equation,
    "remainder": _story(lambda bag, total, box: total % bag + box),
    "give": _story(lambda bags, each, found, given: bags * each + found - given),
    "share": _story(lambda has, found, friends, had: (has + found) // friends + had),
    "boxes": _story(lambda total, each, sold, bought: total // each - sold + bought),
    "rest": _story(lambda purse, things, price, gift: purse - things * price + gift),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_the_answer_is_what_the_question_asks_for(family: str):
    rng = Random(1)

    for problem in (draw(rng, family) for _ in range(500)):
        assert problem.answer == SOLVE[family](problem.question), problem
        assert problem.answer >= 0


@pytest.mark.parametrize("family", FAMILIES)
def test_every_worked_line_is_true_and_the_last_one_gives_the_answer(family: str):
    rng = Random(2)

    for problem in (draw(rng, family) for _ in range(500)):
        *lines, box = problem.careful.splitlines()
        assert box == problem.hasty == f"\\boxed{{{problem.answer}}}"
        steps = [STEP.fullmatch(line) for line in lines]
        assert steps
        for step in steps:
            assert step is not None, problem
            left, sign, right, stated = int(step[1]), step[2], int(step[3]), int(step[4])
            undone = {"+": stated - right == left, "-": stated + right == left}
            undone |= {"*": left * right == stated, "/": stated * right == left}
            assert undone[sign], problem
        assert steps[-1] is not None
        assert int(steps[-1][4]) == problem.answer


def test_shares_and_boxes_come_out_even():
    rng = Random(3)

    for _ in range(500):
        has, found, friends, _ = map(int, re.findall(r"\d+", draw(rng, "share").question))
        total, each, sold, _ = map(int, re.findall(r"\d+", draw(rng, "boxes").question))
        assert (has + found) % friends == 0
        assert total % each == 0
        assert total // each > sold > 1
        assert has > 1


def test_the_same_random_state_draws_the_same_problem():
    assert [draw(Random("x"), family) for family in FAMILIES] == [draw(Random("x"), family) for family in FAMILIES]
