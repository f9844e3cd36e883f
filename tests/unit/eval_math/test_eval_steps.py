"""Steps and their process rewards."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval_math import Policy, Reason, grade, rewards
from eval_math.process import steps
from eval_math.process.steps import MAX_CHECKS, MAX_STEPS, Step, check_steps, grade_steps, split
from eval_math.verdict import Grade

RIGHT, WRONG = Grade(True, Reason.SAME_TEXT, 1), Grade(False, Reason.DIFFERENT, 4)
UNKNOWN = Grade(None, Reason.GOLD_UNREADABLE, 0)


def texts(response: str) -> list[str]:
    return [response[start:end] for start, end in split(response)]


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        ("", [""]),
        ("one", ["one"]),
        ("one\ntwo\n", ["one\n", "two\n"]),
        ("one\ntwo\n\nthree", ["one\ntwo\n\n", "three"]),
        ("\n\n one\n \t\n\ntwo", ["\n\n one\n \t\n\n", "two"]),
        ("one\r\n\r\ntwo", ["one\r\n\r\n", "two"]),
        ("Step 1: a Step 2: b", ["Step 1: a ", "Step 2: b"]),
        ("**Step 1:** a\nb\n### Step 2. c", ["**Step 1:** a\nb\n", "### Step 2. c"]),
        ("By Step 1 we know\nmore", ["By Step 1 we know\n", "more"]),
        ("so\n\\[\n1\n+1\n\\]\nthen\n", ["so\n", "\\[\n1\n+1\n\\]\n", "then\n"]),
        ("so\n$$\n1\n$$\nthen", ["so\n", "$$\n1\n$$\n", "then"]),
        ("a \\\\[2pt]\nb", ["a \\\\[2pt]\n", "b"]),
        ("\n\n", ["\n\n"]),
    ],
)
def test_where_a_response_is_split(response: str, expected: list[str]) -> None:
    assert texts(response) == expected


@given(st.text(st.sampled_from("ab1=+ \n\t\r\\[]$*#:.Step"), max_size=200) | st.text(max_size=60))
def test_the_steps_put_together_are_the_response(response: str) -> None:
    found = check_steps(response)

    assert "".join(response[step.start : step.end] for step in found) == response
    assert [step.start for step in found[1:]] == [step.end for step in found[:-1]]
    assert len(found) == 1 or all(response[step.start : step.end].strip() for step in found)


def test_a_step_is_worth_its_equations_and_the_last_one_the_verdict() -> None:
    response = "3 + 4 = 7\n\n7 * 2 = 15, 1 + 1 = 2\n\nHence it is even.\n\n\\boxed{14}"
    assert [step.value for step in check_steps(response)] == [1.0, 0.0, None, None]

    right, wrong = grade_steps(RIGHT, response), grade_steps(WRONG, response)

    assert right is not None
    assert wrong is not None
    assert [step.value for step in right] == [1.0, 0.0, None, 1.0]
    assert [step.value for step in wrong] == [1.0, 0.0, None, 0.0]
    assert right[0] == Step(0, len("3 + 4 = 7\n\n"), 1.0)


def test_no_verdict_is_no_process_reward() -> None:
    assert grade_steps(UNKNOWN, "1 + 1 = 2") is None


def test_an_empty_response_is_one_step() -> None:
    assert grade_steps(WRONG, "") == (Step(0, 0, 0.0),)


def test_the_number_of_steps_and_of_checks_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(steps, "holds", lambda left, right: asked.append(left) or True)

    many = check_steps("1 + 1 = 2\n\n" * 3 * MAX_STEPS)
    check_steps("1 + 1 = 2, " * 3 * MAX_CHECKS)

    assert len(many) == MAX_STEPS
    assert len(asked) == 2 * MAX_CHECKS


@pytest.mark.parametrize(
    "text",
    ["1=" * 10**5, "1+" * 10**5 + "=2", " " * 3 * 10**5 + "=", "\n" * 3 * 10**5, "$" * 10**5 + "1=2", "{" * 10**5 + "=",
     "(10^8)! = 3\n" * 4000, "9^{9^{9^{9}}} = 3\n" * 4000, r"\text{" * 4 * 10**4 + "=1", "1,111" * 4 * 10**4 + "=2",
     "Step 1: 1+1=3 " * 10**4, "**" * 10**5 + "=2", r"\[" * 10**5 + "\n=", r"\sqrt{2}+\sqrt{3} = \sqrt{5}" * 2000,
     "1" * 2 * 10**5 + " = " + "2" * 10**5, "\x00 = \ud800 = 1+1 = 3"],
    ids=lambda text: text[:12],
)  # fmt: skip
def test_hostile_text_ends(text: str) -> None:
    assert check_steps(text)[-1].end == len(text)


def test_the_scalar_reward_is_that_of_the_worst_step() -> None:
    sound, slip = "3 + 4 = 7\n\n\\boxed{7}", "3 + 4 = 8, so\n\n\\boxed{7}"

    assert [rewards.step_rewards(RIGHT, text) for text in (sound, slip, "\\boxed{7}")] == [1.0, 0.5, 1.0]
    assert rewards.step_rewards(RIGHT, slip, penalty=1) == 0.0
    assert rewards.step_rewards(WRONG, sound) == 0.0


@given(st.integers(0, 20))
def test_true_equations_cannot_be_padded_to_raise_the_reward(padding: int) -> None:
    for response in ("3 + 4 = 8\n\n\\boxed{7}", "\\boxed{8}", "\\boxed{7}"):
        verdict = grade(response, "7", Policy.reward())
        padded = "1 + 1 = 2\n\n" * padding + response

        assert rewards.step_rewards(verdict, padded) == rewards.step_rewards(verdict, response)
