"""Classes of equal answers, and the majority vote of k samples against brute force over all subsets."""

import itertools
import statistics

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eval_math import Policy
from eval_math.scores import answer_classes, voting
from eval_math.scores.answer_classes import MAX_COMPARED
from eval_math.scores.voting import Votes, count_votes, majority_value

BENCHMARK = Policy.benchmark()


def brute(labels: list[int | None], rights: list[bool], k: int) -> float:
    """The mean over all subsets of k samples of the share of right samples in its most frequent classes."""

    def share(label: int) -> float:
        return statistics.fmean(right for other, right in zip(labels, rights, strict=True) if other == label)

    def worth(chosen: tuple[int, ...]) -> float:
        votes = [labels[index] for index in chosen if labels[index] is not None]
        most = max((votes.count(label) for label in votes), default=0)
        tied = [share(label) for label in set(votes) if label is not None and votes.count(label) == most]
        return statistics.fmean(tied) if tied else 0.0

    return statistics.fmean(worth(chosen) for chosen in itertools.combinations(range(len(labels)), k))


samples = st.lists(st.tuples(st.sampled_from([0, 1, 2, 3, None]), st.booleans()), min_size=1, max_size=9)


@settings(max_examples=300)
@given(samples, st.data())
def test_the_majority_of_k_is_the_mean_over_all_subsets(
    drawn: list[tuple[int | None, bool]], data: st.DataObject
) -> None:
    labels, rights = [label for label, _ in drawn], [right for _, right in drawn]
    k = data.draw(st.integers(1, len(drawn)))
    classes = sorted({label for label in labels if label is not None})
    votes = Votes(tuple((labels.count(c), sum(r for x, r in drawn if x == c)) for c in classes), labels.count(None))

    assert majority_value(votes, k) == pytest.approx(brute(labels, rights, k), abs=1e-12)


def test_a_dear_expectation_is_sampled_with_a_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    votes = Votes(((9, 9), (8, 0), (3, 1)), 4)
    exact = majority_value(votes, 6)
    monkeypatch.setattr(voting, "EXACT_OPERATIONS", 0)

    found = majority_value(votes, 6, seed=1)

    # Six standard errors of 2000 draws of something in [0, 1].
    assert found == pytest.approx(exact, abs=6 * 0.5 / 2000**0.5)
    assert found != exact
    assert (majority_value(votes, 6, seed=1), majority_value(votes, 6, seed=2)) != (found, found)
    assert majority_value(votes, 6, seed=1) == found


@pytest.mark.parametrize("k", [0, -1, 5])
def test_k_must_be_drawable(k: int) -> None:
    with pytest.raises(ValueError, match=f"k is {k}, but there are 4 samples"):
        majority_value(Votes(((2, 1), (1, 0)), 1), k)


def test_many_samples_are_counted_exactly() -> None:
    assert majority_value(Votes(((1024, 1024), (1024, 0)), 0), 1) == 0.5
    assert majority_value(Votes(((60, 60), (4, 0)), 0), 32) == 1.0


def test_answers_are_one_class_by_text_value_or_mutual_grading() -> None:
    answers = ["1/2", r"$\frac{1}{2}$", "0.5", "x+1", "1 + x", "(1,2)", r"\left( 1, 2 \right)", "(2,1)",
               r"\frac{\sqrt{2}}{2}", r"\frac{1}{\sqrt 2}", "5", r"5 \text{ cm}", "north", "North",
               "(broken"]  # fmt: skip

    assert answer_classes.answer_classes(answers) == [0, 0, 0, 1, 1, 2, 2, 3, 4, 4, 5, 5, 6, 6, 7]


def test_a_tolerance_makes_close_numbers_one_class() -> None:
    answers = ["10.0", "10.05", "11"]

    assert answer_classes.answer_classes(answers) == [0, 1, 2]
    assert answer_classes.answer_classes(answers, BENCHMARK.with_tolerance(0.01)) == [0, 0, 1]


def test_classes_need_agreement_both_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    real = answer_classes.grade_answer
    monkeypatch.setattr(
        answer_classes, "grade_answer", lambda one, other, policy: real(one, one if one == "a" else other, policy)
    )

    assert answer_classes.answer_classes(["a", "b"]) == [0, 1]


def test_comparisons_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    real = answer_classes.grade_answer

    def counting(one: str, other: str, policy: Policy) -> object:
        asked.append(one)
        return real(one, other, policy)

    monkeypatch.setattr(answer_classes, "grade_answer", counting)

    numbers = answer_classes.answer_classes([str(n) for n in range(500)])
    formulas = answer_classes.answer_classes([f"x^{{{n}}}" for n in range(2, 302)])

    assert len(set(numbers)) == 500
    assert len(set(formulas)) == 300
    assert len(asked) == MAX_COMPARED * (MAX_COMPARED - 1) / 2


def test_slow_comparisons_end_the_comparing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answer_classes, "_same", lambda *_: (False, 1.0))

    assert answer_classes.answer_classes(["a", "b", "c", "d", "e", "b"]) == [0, 1, 2, 3, 4, 1]


@given(st.lists(st.text(max_size=12), max_size=6))
def test_no_text_raises_and_equal_texts_are_one_class(answers: list[str]) -> None:
    classes = answer_classes.answer_classes([*answers, *answers])

    assert classes[: len(answers)] == classes[len(answers) :]
    assert sorted(set(classes)) == list(range(len(set(classes))))


def test_votes_count_who_abstains_and_leave_out_who_has_no_verdict() -> None:
    votes = count_votes(["5", "5.0", "6", None, " ", "7"], [True, True, False, False, True, None], BENCHMARK)

    assert votes == Votes(((2, 2), (1, 0)), 2)
    assert votes.num_samples == 5
