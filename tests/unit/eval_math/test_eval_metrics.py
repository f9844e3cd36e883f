"""Scores against brute force and closed forms."""

import itertools
import math
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval_math import Policy
from eval_math.metrics import (
    curve_ks,
    maj_at_k,
    maj_curve,
    majority_values,
    mean_at_n,
    mean_values,
    paired_difference,
    pass_at_k,
    pass_curve,
    pass_values,
)
from eval_math.scores.estimate import paired_bootstrap

rows = st.lists(st.lists(st.booleans(), min_size=4, max_size=7), min_size=1, max_size=5)


def test_mean_at_n_weighs_problems_the_same() -> None:
    found = mean_at_n([[True, True, False, False], [True]])

    assert found.value == 0.75
    assert (found.num_problems, found.num_samples, found.num_unknown) == (2, 5, 0)


def test_the_standard_error_is_over_problems() -> None:
    shares = [1.0, 0.5, 0.0, 0.5]
    verdicts = [[True, True], [True, False], [False, False], [False, True]]

    found = mean_at_n(verdicts)

    assert found.standard_error == pytest.approx(statistics.stdev(shares) / math.sqrt(4))
    assert math.isnan(mean_at_n([[True, False]]).standard_error)


@given(rows, st.integers(1, 4))
def test_pass_at_k_is_the_mean_over_all_subsets(verdicts: list[list[bool]], k: int) -> None:
    expected = statistics.fmean(
        statistics.fmean(any(subset) for subset in itertools.combinations(row, k)) for row in verdicts
    )

    assert pass_at_k(verdicts, k).value == pytest.approx(expected, abs=1e-12)


@given(rows)
def test_pass_at_1_is_mean_at_n(verdicts: list[list[bool]]) -> None:
    one, mean = pass_at_k(verdicts, 1), mean_at_n(verdicts)

    assert one.value == pytest.approx(mean.value)
    assert one.standard_error == pytest.approx(mean.standard_error, nan_ok=True)


def test_unknown_verdicts_are_left_out_and_counted_never_wrong() -> None:
    verdicts = [[True, None], [None, None], [True, False]]

    found = mean_at_n(verdicts)

    assert found.value == 0.75
    assert (found.num_problems, found.num_samples, found.num_unknown) == (2, 3, 3)
    assert pass_at_k([[None, None], [True, False]], 2).value == 1.0


def test_pass_at_k_needs_k_known_verdicts() -> None:
    with pytest.raises(ValueError, match="problem 0 has 1 known verdicts; pass@2 needs at least 2"):
        pass_at_k([[True, None]], 2)
    with pytest.raises(ValueError, match="k >= 1"):
        pass_at_k([[True]], 0)


def test_the_majority_answer_decides() -> None:
    found = maj_at_k([["5", "5", "6"], ["5", "6", "6"]], [[True, True, False], [True, False, False]])

    assert found.value == 0.5


def test_answers_vote_by_their_normalised_text() -> None:
    answers = [["$5$", r"\boxed{5}", " 5.", "6", "6"]]

    assert maj_at_k(answers, [[True, True, True, False, False]]).value == 1.0


def test_ties_are_averaged_over_the_tied_answers() -> None:
    assert maj_at_k([["5", "6"]], [[True, False]]).value == 0.5
    assert maj_at_k([["5", "6", "7"]], [[True, False, False]]).value == pytest.approx(1 / 3)


def test_a_missing_answer_does_not_vote_and_a_problem_without_votes_is_wrong() -> None:
    assert maj_at_k([[None, None, "5"]], [[False, False, True]]).value == 1.0
    assert maj_at_k([[None, ""], ["5", "5"]], [[False, False], [True, True]]).value == 0.5


def test_equal_answers_in_different_spelling_vote_together() -> None:
    answers = [["1/2", "0.5", r"\frac{2}{4}", "3", "3"]]

    assert maj_at_k(answers, [[True, True, True, False, False]]).value == 1.0


def test_the_policy_decides_which_answers_are_equal() -> None:
    answers, verdicts = [["10.0", "10.05", "11", "11", "10.02"]], [[True, True, False, False, True]]

    assert maj_at_k(answers, verdicts).value == 0.0
    assert maj_at_k(answers, verdicts, policy=Policy.benchmark("minerva_math")).value == 1.0


@given(rows, st.integers(1, 4))
def test_maj_at_k_is_the_mean_over_all_subsets(verdicts: list[list[bool]], k: int) -> None:
    """With two possible answers, a right one and a wrong one; the mean over problems of the brute-force value."""
    answers = [["5" if right else "6" for right in row] for row in verdicts]

    def vote(drawn: tuple[bool, ...]) -> float:
        return 0.5 if 2 * sum(drawn) == len(drawn) else float(2 * sum(drawn) > len(drawn))

    each = [statistics.fmean(map(vote, itertools.combinations(row, k))) for row in verdicts]
    found = maj_at_k(answers, verdicts, k)

    assert found.value == pytest.approx(statistics.fmean(each))
    if len(each) > 1:
        assert found.standard_error == pytest.approx(statistics.stdev(each) / math.sqrt(len(each)))


@given(rows)
def test_maj_at_1_is_mean_at_n_when_every_sample_answers(verdicts: list[list[bool]]) -> None:
    answers = [["5" if right else "6" for right in row] for row in verdicts]

    assert maj_at_k(answers, verdicts, 1).value == pytest.approx(mean_at_n(verdicts).value)


def test_a_problem_without_a_verdict_takes_no_part_in_the_vote() -> None:
    found = maj_at_k([["5", "5"], ["6", "6"]], [[None, None], [True, True]], 2)

    assert (found.value, found.num_problems, found.num_unknown) == (1.0, 1, 2)


@pytest.mark.parametrize(
    ("n", "expected"), [(0, []), (1, [1]), (2, [1, 2]), (7, [1, 2, 4, 7]), (8, [1, 2, 4, 8]), (9, [1, 2, 4, 8, 9])]
)
def test_a_curve_has_the_powers_of_two_and_the_end(n: int, expected: list[int]) -> None:
    assert curve_ks(n) == expected


def test_curves_are_their_points() -> None:
    verdicts = [[True, False, False, True, None], [False, False, True, False, False]]
    answers = [["5", "6", "6", "5", "5"], ["1", "2", "3", "2", "2"]]

    passed, majority = pass_curve(verdicts), maj_curve(answers, verdicts)

    assert list(passed) == list(majority) == [1, 2, 4]
    assert all(passed[k] == pass_at_k(verdicts, k) for k in passed)
    assert all(majority[k] == maj_at_k(answers, verdicts, k) for k in majority)
    assert passed[1].value <= passed[2].value <= passed[4].value
    assert list(pass_curve(verdicts, [3])) == [3]


@pytest.mark.parametrize("empty", [[], [[]], [[None]], [[None], [None, None]]])
def test_a_curve_or_a_vote_of_nothing_is_an_error(empty: list[list[bool | None]]) -> None:
    answers = [["5"] * len(row) for row in empty]

    with pytest.raises(ValueError, match="a curve of nothing is no curve"):
        pass_curve(empty)
    with pytest.raises(ValueError, match="a curve of nothing is no curve"):
        maj_curve(answers, empty)
    with pytest.raises(ValueError, match=r"no score|needs at least"):
        maj_at_k(answers, empty)


def test_maj_at_k_needs_k_known_verdicts() -> None:
    with pytest.raises(ValueError, match="problem 0 has 1 known verdicts; maj@2 needs at least 2"):
        maj_at_k([["5", "5"]], [[True, None]], 2)
    with pytest.raises(ValueError, match="maj@k needs k >= 1"):
        maj_at_k([["5"]], [[True]], 0)


@pytest.mark.parametrize("empty", [[], [[]], [[None]], [[None], [None, None]]])
def test_a_score_of_nothing_is_an_error(empty: list[list[bool | None]]) -> None:
    with pytest.raises(ValueError, match=r"no score|needs at least"):
        mean_at_n(empty)
    with pytest.raises(ValueError, match=r"no score|needs at least"):
        pass_at_k(empty, 1)
    with pytest.raises(ValueError, match="no score"):
        paired_difference(empty, empty)


def test_shapes_must_fit() -> None:
    with pytest.raises(ValueError, match="1 problems with answers, but 2 with verdicts"):
        maj_at_k([["5"]], [[True], [True]])
    with pytest.raises(ValueError, match="problem 0: 2 answers, but 1 verdicts"):
        maj_at_k([["5", "6"]], [[True]])
    with pytest.raises(ValueError, match="run a has 1 problems and run b has 2"):
        paired_difference([[True]], [[True], [True]])


def test_a_paired_difference_uses_the_pairing() -> None:
    a = [[i % 2 == 0] for i in range(100)]
    b = [[i % 2 == 0 and i % 20 != 0] for i in range(100)]

    found = paired_difference(a, b)

    assert found.value == pytest.approx(0.05)
    assert found.interval is not None
    low, high = found.interval
    # Unpaired, the standard error would be about 0.07 and the interval would contain 0.
    assert 0 < low <= 0.05 <= high < 0.12
    assert paired_difference(a, b) == found
    assert paired_difference(b, a).value == pytest.approx(-0.05)


def test_the_bootstrap_interval_is_that_of_the_normal_law_for_many_problems() -> None:
    a = [[i % 4 != 0] for i in range(2000)]
    b = [[i % 3 == 0] for i in range(2000)]

    found = paired_difference(a, b)

    assert found.interval is not None
    for bound, sign in zip(found.interval, (-1, 1), strict=True):
        assert bound == pytest.approx(found.value + sign * 1.96 * found.standard_error, abs=0.004)


def test_a_problem_unknown_in_one_run_is_left_out_of_the_comparison() -> None:
    found = paired_difference([[True], [None], [True]], [[False], [True], [True]])

    assert (found.value, found.num_problems, found.num_unknown) == (0.5, 2, 1)


def test_any_metric_can_be_compared_problem_by_problem() -> None:
    a = [[True, False], [True, True], [None, None], [False, True]]
    b = [[False, False], [True, False], [True, True], [False, False]]
    answers = [["5", "6"]] * 4

    mean = paired_bootstrap(mean_values(a), mean_values(b))
    passed = paired_bootstrap(pass_values(a, 2), pass_values(b, 2))
    majority = paired_bootstrap(majority_values(answers, a), majority_values(answers, b))

    assert mean == paired_bootstrap(mean_values(a), mean_values(b))
    assert (mean.value, passed.value, majority.value) == pytest.approx((0.5, 2 / 3, 0.5))
    assert (mean.num_problems, mean.num_unknown) == (3, 1)
    assert mean.value == paired_difference(a, b).value
    assert mean.interval == paired_difference(a, b).interval


def test_a_comparison_has_one_value_per_problem_of_the_same_problems() -> None:
    with pytest.raises(ValueError, match="run a has 1 problems and run b has 2"):
        paired_bootstrap([1.0], [1.0, 0.0])
    with pytest.raises(ValueError, match="no score"):
        paired_bootstrap([None], [1.0])
    with pytest.raises(ValueError, match="40 or more"):
        paired_bootstrap([1.0], [1.0], num_resamples=39)


def test_the_interval_is_that_of_every_resample_for_a_tiny_case() -> None:
    """Two problems have four equally likely resamples, so the percentiles are known."""
    found = paired_bootstrap([1.0, 0.0], [0.0, 0.0], num_resamples=4000)

    assert found.interval == (0.0, 1.0)
    assert found.value == 0.5
