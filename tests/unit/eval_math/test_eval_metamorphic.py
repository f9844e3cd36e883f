"""What never changes a verdict: spacing, sizes of brackets, wrappers, prose, a missing unit, workers, order.

The seeds are the golden cases, the real golds where they are at hand, and small generators.
"""

import random
import re
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eval_math import Grade, Policy, Reason, extract, grade, grade_many
from tests.bench.answer_sets import DATA, Case, available, boxed, golden, real_golds, solution_texts

CASES = golden()
REWARD, BENCHMARK = Policy.reward(), Policy.benchmark()
needs_benchmarks = pytest.mark.skipif(not available(DATA), reason=f"no benchmark files in {DATA}")
# Shared cores are slow at times, and what cannot be spelled in a style is left out.
CHECKS = [HealthCheck.too_slow, HealthCheck.filter_too_much]
often = settings(max_examples=120, derandomize=True, suppress_health_check=CHECKS)


def answer_of(case: Case) -> str | None:
    """The boxed text of a golden case whose response is little more than its box."""
    found = extract(case.response, "strict")
    short = found is not None and len(found.text) < 200 and case.response == f"The answer is ${boxed(found.text)}$."
    return found.text if found and short and case.policy == REWARD else None


BOXED = [(answer, case.gold[0]) for case in CASES if (answer := answer_of(case))]


def verdict(answer: str, gold: str) -> bool | None:
    return grade(boxed(answer), gold, REWARD).correct


# What a rewriting does to a verdict is asked here; whether the verdict is right is what the golden test asks.
RIGHT = [(answer, gold) for answer, gold in BOXED if verdict(answer, gold)]
WRONG = [(answer, gold) for answer, gold in BOXED if verdict(answer, gold) is False]


def listed(pairs: list[tuple[str, str]], fails: Callable[[str, str], bool]) -> str:
    """The pairs that fail, a line each; empty when none does."""
    return "\n".join(f"{answer} ||| {gold}" for answer, gold in pairs if fails(answer, gold))


# What says the same in other characters.

SPELLINGS: dict[str, Callable[[str], str]] = {
    "dollars": lambda t: t if "$" in t else f"${t}$",
    "paragraph": lambda t: t if "$" in t or "\\[" in t else rf"\[ {t} \]",
    "braces": lambda t: f"{{{t}}}" if "$" not in t else t,
    "full stop": lambda t: t + "." if not t.endswith((".", ",", "\\")) else t,
    "displaystyle": lambda t: t if "$" in t else r"\displaystyle " + t,
    "big fractions": lambda t: t.replace(r"\frac", r"\dfrac"),
    "small fractions": lambda t: t.replace(r"\frac", r"\tfrac"),
    "thin spaces around signs": lambda t: re.sub(r"(?<=[0-9)}\]]) ?([+=<>]) ?(?=[0-9(\\])", r"\\,\1\\; ", t),
    "thin spaces at both ends": lambda t: rf"\, {t} \;",
    "wide spaces at both ends": lambda t: rf"\quad {t} \qquad",
    "line breaks": lambda t: f"\n{t}\n",
    "spaces after commas": lambda t: re.sub(r", (?=\S)", r",\\ ", t),
    "brackets of no size": lambda t: re.sub(r"\\(?:left|right)(?![a-z.])", "", t),
    "brackets of a size": lambda t: t.replace(r"\left", r"\Bigl").replace(r"\right", r"\Bigr") if "." not in t else t,
    "automatic brackets": lambda t: (
        t if "\\left" in t or "\\text" in t else re.sub(r"\(([^()\[\]{}]*)\)", r"\\left(\1\\right)", t)
    ),
    "unicode": lambda t: t.replace("-", "\u2212").replace(r"\pi}", "\u03c0}").replace(r"\infty", "\u221e"),
    "less or equal": lambda t: re.sub(r"\\(le|ge)q?(?![a-z])", r"\\\1qslant", t).replace("<=", r"\leq "),
    "square roots": lambda t: t.replace(r"\sqrt{", "\u221a{"),
    "upright text": lambda t: t.replace(r"\text{", r"\mathrm{"),
    "stars": lambda t: f"**{t}**" if "*" not in t else t,
}


@pytest.mark.parametrize("name", SPELLINGS)
def test_another_spelling_never_changes_true(name: str) -> None:
    pairs = [(SPELLINGS[name](answer), gold) for answer, gold in RIGHT]

    assert not listed(pairs, lambda answer, gold: verdict(answer, gold) is not True)


@pytest.mark.parametrize("name", SPELLINGS)
def test_another_spelling_of_the_gold_never_changes_true(name: str) -> None:
    pairs = [(answer, SPELLINGS[name](gold)) for answer, gold in RIGHT]

    assert not listed(pairs, lambda answer, gold: verdict(answer, gold) is not True)


@pytest.mark.parametrize("name", SPELLINGS)
def test_another_spelling_never_makes_a_wrong_answer_right(name: str) -> None:
    pairs = [(SPELLINGS[name](answer), gold) for answer, gold in WRONG]

    assert not listed(pairs, lambda answer, gold: verdict(answer, gold) is not False)


@needs_benchmarks
@pytest.mark.parametrize("name", SPELLINGS)
def test_another_spelling_of_a_real_gold_is_right(name: str) -> None:
    # Golds whose own dollars end amid a formula say nothing about spellings.
    pairs = [(SPELLINGS[name](gold), gold) for gold in real_golds(DATA) if "$" not in gold]

    assert not listed(pairs, lambda answer, gold: verdict(answer, gold) is not True)


PROSE = ["We compute.\n\n{}", "First $x=3$, then 5, so {} as claimed", "<think>maybe \\boxed{{7}}</think>\n{}",
         "Earlier \\boxed{{99}} was wrong. {}\n\nThis completes the solution: 1 + 1 = 2.", "{}" + " Done." * 50,
         "\\[ {} \\]", "> {}\n", "\u7b54\u6848\u662f {}\u3002"]  # fmt: skip


@pytest.mark.parametrize("policy", [REWARD, BENCHMARK], ids=str)
@pytest.mark.parametrize("text", PROSE)
def test_prose_around_the_box_never_changes_a_verdict(text: str, policy: Policy) -> None:
    def changes(answer: str, gold: str) -> bool:
        box = rf"\boxed{{{answer}}}"
        return grade(text.format(box), gold, policy).correct is not grade(box, gold, policy).correct

    assert not listed(BOXED, changes)


MARKED = ["The final answer is ${}$. I hope it is correct.", "Answer: ${}$", "<answer>{}</answer>", "#### {}",
          "So the answer is\n\n${}$", "**Final Answer:** ${}$"]  # fmt: skip


@pytest.mark.parametrize("text", MARKED)
def test_a_marked_answer_is_as_right_as_a_boxed_one_on_benchmarks(text: str) -> None:
    pairs = [
        (answer, gold) for answer, gold in RIGHT if "$" not in answer and "boxed" not in answer and answer[-1] != "."
    ]

    assert not listed(pairs, lambda answer, gold: grade(text.format(answer), gold, BENCHMARK).correct is not True)


@needs_benchmarks
def test_prose_that_ends_in_a_real_gold_is_right() -> None:
    cases = [case for name in available(DATA) for case in solution_texts(name, DATA)]
    pairs = [(f"{case.response}\n\nHence ${boxed(gold)}$. That is all.", gold) for case in cases for gold in case.gold]

    assert not listed(pairs, lambda text, gold: grade(text, gold, REWARD).correct is not True)


UNITS = [r"\text{ cm}", r" \text{ dollars}", r"\,\mathrm{m}", r"\text{ square inches}", " apples", r"\text{ cm}^2",
         r"\text{ units}", r"\text{ km/h}"]  # fmt: skip
plain = st.one_of(st.integers(2, 9999).map(str), st.sampled_from([r"\frac{3}{4}", r"2\sqrt{5}", "3.75", r"12\pi"]))


@often
@given(plain, st.sampled_from(UNITS), st.sampled_from(UNITS))
def test_a_unit_on_one_side_never_changes_true_and_hides_no_other_number(value: str, unit: str, other: str) -> None:
    changed = re.sub(r"\d", lambda m: str(int(m.group()) % 9 + 1), value, count=1)

    assert grade(boxed(value + unit), value, REWARD).correct is True
    assert grade(boxed(value), value + unit, REWARD).correct is True
    assert grade(boxed(value + unit), value + unit, REWARD).correct is True
    assert grade(boxed(changed + unit), value, REWARD).correct is False
    assert grade(boxed(changed), value + unit, REWARD).correct is False
    assert grade(boxed(changed + unit), value + unit, REWARD).correct is False


# Where and in which order an answer is graded.


def rows() -> list[tuple[str, str]]:
    """Golden responses, and golden golds against golds that are not theirs."""
    found = [(case.response, case.gold[0]) for case in CASES if len(case.response) < 20_000]
    return found + [(boxed(gold), other.gold[0]) for (_, gold), other in zip(BOXED, CASES, strict=False)]


@pytest.mark.parametrize("policy", [REWARD, BENCHMARK], ids=str)
def test_verdicts_depend_on_neither_worker_count_nor_order(policy: Policy) -> None:
    graded = rows()
    order = list(range(len(graded)))
    random.Random(0).shuffle(order)

    # The deadline is generous: a busy machine must not decide.
    runs = {
        "in another order": lambda: list(grade_many([graded[index] for index in order], policy, workers=0)),
        "two workers": lambda: list(grade_many([graded[index] for index in order], policy, workers=2, deadline=60.0)),
        "one worker": lambda: list(grade_many([graded[index] for index in order], policy, workers=1, deadline=60.0)),
    }
    alone = [grade(*row, policy) for row in graded]
    expected = [(alone[index].correct, alone[index].reason) for index in order]

    def differences(run: Callable[[], list[Grade]]) -> set[tuple[str, str, Reason, Reason]]:
        found = [(verdict.correct, verdict.reason) for verdict in run()]
        return {
            (*graded[index], want[1], got[1])
            for index, want, got in zip(order, expected, found, strict=True)
            if want != got
        }

    for name, run in runs.items():
        # A machine that stands still for seconds can cost one verdict; what depends on the order shows twice.
        differing = differences(run)
        assert not differing or not differing & differences(run), name
