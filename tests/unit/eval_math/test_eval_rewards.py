"""Rewards, their names and their options."""

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval_math import Policy, Reason, grade, rewards
from eval_math.verdict import Grade

REWARD = Policy.reward()
RIGHT, WRONG = Grade(True, Reason.SAME_TEXT, 1), Grade(False, Reason.DIFFERENT, 4)
UNKNOWN = Grade(None, Reason.GOLD_UNREADABLE, 0)


@pytest.mark.parametrize(
    ("response", "boxed_correct", "seed_rule"),
    [(r"\boxed{5}", 1.0, 1.0), (r"\boxed{6}", 0.0, -0.5), ("5", 0.0, -1.0), (r"\boxed{}", 0.0, -1.0),
     (r"<think>\boxed{5}", 0.0, -1.0), ("", 0.0, -1.0)],
)  # fmt: skip
def test_the_reward_of_a_response(response: str, boxed_correct: float, seed_rule: float) -> None:
    verdict = grade(response, "5", REWARD)

    assert rewards.boxed_correct(verdict, response) == boxed_correct
    assert rewards.seed_rule(verdict, response) == seed_rule


@pytest.mark.parametrize(
    ("response", "plain", "with_think"),
    [
        (r"so \boxed{5}", 1.0, 0.0),
        (r"<think>a</think>\boxed{5}", 1.0, 1.0),
        (r"a</think>\boxed{5}", 1.0, 1.0),  # the prompt ended in <think>
        (r"<think>a \boxed{5}", 0.0, 0.0),
        (r"<think>\boxed{5}</think> five", 0.0, 0.0),
        (r"<think>a</think><think>b</think>\boxed{5}", 0.0, 0.0),
        (r"a</think>b</think>\boxed{5}", 0.0, 0.0),
        (r"</think><think>\boxed{5}", 0.0, 0.0),
        (r"\boxed{}", 0.0, 0.0),
        ("5", 0.0, 0.0),
        ("", 0.0, 0.0),
    ],
)
def test_the_format_of_a_response(response: str, plain: float, with_think: float) -> None:
    for verdict in (RIGHT, WRONG):
        assert rewards.format_reward(verdict, response) == plain
        assert rewards.format_reward(verdict, response, think=True) == with_think


@given(st.integers(0, 60), st.integers(1, 40), st.integers(0, 40))
def test_the_length_penalty_is_dapos(length: int, longest: int, cache: int) -> None:
    """The oracle is TRL's own function, fed with one token id per character."""
    trl_rewards = pytest.importorskip("trl.rewards")
    cache = min(cache, longest)
    expected = trl_rewards.get_soft_overlong_punishment(longest, cache)(completion_ids=[[0] * length])[0]

    found = rewards.length_penalty(RIGHT, "x" * length, max_chars=longest, cache_chars=cache)

    assert found == pytest.approx(expected)
    assert rewards.length_penalty(WRONG, "x" * length, max_chars=longest, cache_chars=cache) == found


@given(st.integers(0, 300), st.integers(0, 300), st.floats(0, 0.1), st.floats(0, 1))
def test_a_right_answer_is_worth_more_the_shorter_it_is(length: int, other: int, slope: float, at: float) -> None:
    def reward(n: int, verdict: Grade = RIGHT) -> float:
        found = rewards.correct_with_length_budget(verdict, "x" * n, budget_chars=100, slope=slope, at_budget=at)
        assert found is not None
        return found

    assert reward(length, WRONG) == 0.0
    assert 0.0 <= reward(length) <= 1.0
    assert reward(100) == at
    assert reward(min(length, other)) >= reward(max(length, other))


def test_the_length_budget_in_numbers() -> None:
    values = [
        rewards.correct_with_length_budget(RIGHT, "x" * n, budget_chars=1000, slope=0.001) for n in (0, 900, 1400, 9000)
    ]

    assert values == pytest.approx([1.0, 0.6, 0.1, 0.0])


@pytest.mark.parametrize("name", rewards.names())
def test_no_verdict_is_no_reward(name: str) -> None:
    assert rewards.load(name)(UNKNOWN, r"1 + 1 = 3, \boxed{5}") is None


@pytest.mark.parametrize("name", rewards.names())
@given(response=st.text())
def test_a_verdict_is_a_reward_whatever_the_text(name: str, response: str) -> None:
    reward = rewards.load(name)

    assert all(isinstance(reward(verdict, response), float) for verdict in (RIGHT, WRONG))


@pytest.mark.parametrize("name", rewards.names())
def test_a_reward_can_be_sent_to_another_process(name: str) -> None:
    assert pickle.loads(pickle.dumps(rewards.load(name)))(RIGHT, "x") == rewards.load(name)(RIGHT, "x")


def test_a_reward_is_loaded_by_name_or_by_module_and_function() -> None:
    assert rewards.load("seed_rule") is rewards.seed_rule
    assert rewards.load("format") is rewards.format_reward
    assert rewards.load("eval_math.rewards:boxed_correct") is rewards.boxed_correct
    assert set(rewards.names()) >= {
        "boxed_correct", "seed_rule", "format", "length_penalty", "correct_with_length_budget", "step_rewards",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("seed_rul", "did you mean 'seed_rule'"),
        ("zzz", "unknown reward 'zzz'"),
        ("no_such_module:f", "cannot import module 'no_such_module'"),
        ("eval_math.rewards:boxed_corect", "did you mean 'boxed_correct'"),
        ("eval_math.rewards:__doc__", "has no function"),
        (":f", "cannot import module ''"),
    ],
)
def test_an_unknown_name_is_an_error_that_names_the_nearest(name: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        rewards.load(name)


def test_options_are_set_by_name() -> None:
    reward = rewards.load("length_penalty", {"max_chars": 10, "cache_chars": 4})

    assert [reward(RIGHT, "x" * n) for n in (6, 8, 11)] == [0.0, -0.5, -1.0]


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("length_penalty", {"max_char": 5}, "has no option 'max_char'; did you mean 'max_chars'?"),
        ("boxed_correct", {"zzz": 5}, "has no option 'zzz'; Known: none"),
        ("boxed_correct", {"grade": 5}, "has no option 'grade'"),
        ("length_penalty", {"max_chars": 5}, "expected numbers with 0 <= cache_chars <= max_chars"),
        ("length_penalty", {"max_chars": "12288"}, "max_chars is '12288'"),
        ("length_penalty", {"cache_chars": True}, "cache_chars True"),
        ("correct_with_length_budget", {"at_budget": 2}, r"at_budget in \[0, 1\]"),
        ("correct_with_length_budget", {"slope": float("nan")}, "slope >= 0"),
        ("step_rewards", {"penalty": -1}, r"penalty is -1; expected a number in \[0, 1\]"),
    ],
)
def test_a_wrong_option_is_refused_when_the_reward_is_loaded(
    name: str, options: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        rewards.load(name, options)


def needing(grade: Grade, response: str, *, weight: float) -> float:
    return weight * len(response)


def open_to_all(grade: Grade, response: str, **options: float) -> float:
    return options["anything"]


def test_a_reward_of_ones_own_has_options_too() -> None:
    assert rewards.load(f"{__name__}:needing", {"weight": 2.0})(RIGHT, "abc") == 6.0
    assert rewards.load(f"{__name__}:open_to_all", {"anything": 3.0})(RIGHT, "") == 3.0
    with pytest.raises(ValueError, match="needs the option 'weight'; set it in reward_options"):
        rewards.load(f"{__name__}:needing")
    with pytest.raises(ValueError, match="has no option 'wieght'; did you mean 'weight'"):
        rewards.load(f"{__name__}:needing", {"wieght": 1.0, "weight": 1.0})
