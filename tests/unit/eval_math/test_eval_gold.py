"""References compiled once: several accepted ones, and hints that settle what the text leaves open."""

import threading

import pytest

from eval_math import Policy, compile_gold, grade, grade_many
from eval_math.judging.gold import AnswerType

REWARD = Policy.reward()


def _correct(answer: str, gold: str, answer_type: AnswerType | None = None) -> bool | None:
    return grade(rf"\boxed{{{answer}}}", compile_gold(gold, answer_type), REWARD).correct


@pytest.mark.parametrize(
    ("answer", "gold", "hint", "expected"),
    [
        ("1<x<2", "(1,2)", None, True),
        ("1<x<2", "(1,2)", "interval", True),
        ("1<x<2", "(1,2)", "tuple", False),
        ("(1,2]", "(1,2)", "interval", False),
        ("2,1", "(1,2)", "tuple", False),
        ("2,1", "(1,2)", "set", True),
        (r"\{2,1\}", "1,2", "set", True),
        ("1234", "1,234", "number", True),
        ("d", "D", "choice", True),
        ("(D) 14", "D", "choice", True),
        (r"\text{East}", "east", "text", True),
        ("e", "east", "text", False),
    ],
)
def test_a_hint_settles_what_the_text_leaves_open(
    answer: str, gold: str, hint: AnswerType | None, expected: bool
) -> None:
    assert _correct(answer, gold, hint) is expected


def test_an_unknown_hint_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"answer type 'intervall'; expected one of number, .*interval"):
        compile_gold("(1,2)", "intervall")  # type: ignore[arg-type]


def test_any_of_several_references_is_right() -> None:
    gold = compile_gold(["12", r"\frac{1}{2}"])

    assert gold.texts == ("12", r"\frac{1}{2}")
    assert grade(r"\boxed{0.5}", gold, REWARD).correct
    assert grade(r"\boxed{12.0}", gold, REWARD).correct
    assert grade(r"\boxed{13}", gold, REWARD).correct is False


def test_compiling_twice_changes_nothing() -> None:
    gold = compile_gold("(1,2)", "tuple")

    assert compile_gold(gold) is gold


@pytest.mark.parametrize("workers", [0, 2])
def test_hints_reach_the_workers(workers: int) -> None:
    rows = [(rf"\boxed{{{n}<x<{n + 1}}}", compile_gold(f"({n},{n + 1})", "tuple")) for n in range(5)]

    assert [found.correct for found in grade_many(rows, REWARD, workers=workers)] == [False] * 5


@pytest.mark.parametrize(
    ("gold", "kind"),
    [
        ("7", "number"), (r"\sqrt{2}", "number"), ("x+1", "expression"), ("5 cm", "quantity"),
        (r"5\text{ cm}", "quantity"), ("y=2x", "equation"), ("x<2", "inequality"), ("[1,2)", "interval"),
        ("(1,2)", "tuple"), (r"\{1,2\}", "set"), ("1,2", "list"), (r"\begin{pmatrix}1\\2\end{pmatrix}", "matrix"),
        ("(C)", "choice"), (r"\text{east}", "text"), (r"2k+1, k\in\mathbb{Z}", "family"),
    ],
)  # fmt: skip
def test_the_grade_says_what_was_asked_for(gold: str, kind: str) -> None:
    assert grade(r"\boxed{17}", gold, REWARD).kind == kind


def test_both_normalised_forms_are_reported() -> None:
    found = grade(r"\boxed{\dfrac{2}{4}}", r"\frac 12", REWARD)

    assert (found.answer_form, found.gold_form) == (r"\frac{2}{4}", r"\frac12")


def test_one_gold_may_be_read_by_many_threads() -> None:
    gold = compile_gold(r"\frac{\pi}{4}+\frac{k\pi}{2}, k\in\mathbb{Z}")
    found: list[bool | None] = []

    def work() -> None:
        for _ in range(20):
            found.append(grade(r"\boxed{\frac{(2k+1)\pi}{4}, k\in\mathbb{Z}}", gold, REWARD).correct)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)

    assert found == [True] * 80
