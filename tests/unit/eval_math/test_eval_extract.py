"""Where the final answer is found, and that every scan is linear."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval_math import extract


@pytest.mark.parametrize(
    ("text", "answer", "rule"),
    [
        (r"so \boxed{\frac{1}{2}}.", r"\frac{1}{2}", "boxed"),
        (r"\boxed{1} then \boxed{2}", "2", "boxed"),
        (r"\boxed{1} then \boxed{2", "1", "boxed"),
        (r"\boxed{\{1,2\}}", r"\{1,2\}", "boxed"),
        (r"\boxed{\boxed{3}}", "3", "boxed"),
        (r"{ \boxed{4}", "4", "boxed"),
        ("a <answer> 7 </answer> b", "7", "answer_tag"),
        ("x\n#### 1,234\n", "1,234", "hashes"),
        ("The answer is **12**.", "12", "marker"),
        ("The answer is $1$, $2$.", "$1$, $2$", "marker"),
        ("so we find $x = 5$.", "x = 5", "last_formula"),
        ("that makes 12 apples", "12", "last_number"),
    ],
)
def test_the_rule_and_the_answer(text: str, answer: str, rule: str) -> None:
    found = extract(text)

    assert found is not None
    assert (found.text, found.rule) == (answer, rule)
    assert text[found.start : found.end] == found.text


@pytest.mark.parametrize("text", ["<answer>5</answer>", "#### 5", "The answer is 5", "$5$", "5", ""])
def test_strict_reads_boxes_only(text: str) -> None:
    assert extract(text, "strict") is None


def test_joined_boxes_are_one_list_whose_span_covers_both() -> None:
    text = r"either \boxed{5} or \boxed{7}."

    found = extract(text, "strict")

    assert found is not None
    assert found.text == "5, 7"
    assert text[found.start : found.end] == r"5} or \boxed{7"


def test_text_inside_an_unfinished_think_is_no_answer() -> None:
    assert extract(r"<think>\boxed{5}") is None
    assert extract(r"<think>a</think> b <think>\boxed{5}") is None


def test_a_finished_think_is_cut_away_and_offsets_stay_those_of_the_response() -> None:
    text = r"<think>\boxed{3}</think> \boxed{5}"

    found = extract(text)

    assert found is not None
    assert found.text == "5"
    assert text[found.start : found.end] == "5"


def test_the_end_of_a_very_long_response_is_searched() -> None:
    text = "word " * 200_000 + r"\boxed{9}"

    found = extract(text)

    assert found is not None
    assert text[found.start : found.end] == "9"


@given(st.text(max_size=300), st.sampled_from(["lenient", "strict"]))
def test_extraction_never_raises_and_its_span_lies_in_the_text(text: str, style: str) -> None:
    found = extract(text, style)  # type: ignore[arg-type]

    assert found is None or 0 <= found.start <= found.end <= len(text)


_FRAGMENTS = [
    r"\boxed{",
    "}",
    "{",
    "$",
    "<think>",
    "</think>",
    "<answer>",
    "</answer>",
    "####",
    " answer is ",
    "5",
    "\n",
]


@given(st.lists(st.sampled_from(_FRAGMENTS), max_size=30))
def test_extraction_never_raises_on_broken_markup(parts: list[str]) -> None:
    text = "".join(parts)

    found = extract(text)

    assert found is None or 0 <= found.start <= found.end <= len(text)


@pytest.mark.parametrize(
    "unit",
    [r"\boxed{", r"\boxed{1}", "{", "<answer>", "####", "the answer is ", "$", r"\(", "1", "1,", "-", "1/", "<think>"],
)
def test_looping_output_is_scanned_in_linear_time(unit: str) -> None:
    text = unit * (200_000 // len(unit))
    started = time.perf_counter()

    extract(text)

    assert time.perf_counter() - started < 2.0
