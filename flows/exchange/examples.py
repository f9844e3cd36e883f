"""What one iteration has left, with its texts, before it takes the columns of any tool.

Texts are the recorded ones: a completion is what the sampler decoded, without the token that ended it, and a prompt is
the problem as its author wrote it, in the run's own template. A completion that was cut at the token limit is left out,
because every other tool would teach it as a finished one. What is left out is counted.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from artifacts import Accepted, Grade, Group, Pair, Prompt, Rollout
from flows.exchange.iteration import Iteration

Message = dict[str, str]
"""`role` and `content`."""
Row = TypeVar("Row", Pair, Accepted, Group)
CUT = "cut at the token limit"
NO_VERDICT = "without a verdict"
NO_ANSWER = "without a reference answer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One problem, as its author wrote it and as the sampler put it."""

    prompt_id: str
    question: str
    answers: list[str]
    """Any of them is right; at least one, unless completions come with it."""
    source: str
    messages: list[Message]
    """The system's turn, if there is one, and the user's, which ends in the template's suffix."""
    prompt_ids: list[int]
    """[P] tokens the completions follow; empty for a problem without any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preference:
    """Two completions of one problem."""

    problem: Problem
    chosen: str
    rejected: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """One completion of a problem, and whether it is right."""

    problem: Problem
    text: str
    correct: bool


Example = Problem | Preference | Completion


def examples(iteration: Iteration, rows: str, dropped: Counter[str]) -> Iterator[Example]:
    """Yield the examples of one kind of rows, in the order of the store; count in `dropped` what is left out.

    Raises:
        ValueError: the iteration trained on another kind of rows.
        ArtifactError: a table is gone or damaged.
    """
    if rows == "problems":
        yield from _problems(iteration, dropped)
    elif rows == "rollouts":
        yield from _rollouts(iteration, dropped)
    elif rows != iteration.rows.kind:
        raise ValueError(
            f"{iteration.name} trained on {iteration.rows.kind}, not on {rows}; say --rows {iteration.rows.kind}, "
            "--rows rollouts or --rows problems"
        )
    elif rows == "pairs":
        yield from _pairs(iteration, dropped)
    else:
        yield from _completions(iteration, Accepted if rows == "accepted" else Group, dropped)


def _problems(iteration: Iteration, dropped: Counter[str]) -> Iterator[Problem]:
    for prompt in iteration.prompts.values():
        if prompt.answers:
            yield _problem(iteration, prompt, [])
        else:
            dropped[NO_ANSWER] += 1


def _pairs(iteration: Iteration, dropped: Counter[str]) -> Iterator[Preference]:
    for rows, sampled in _joined(iteration, Pair):
        for row in rows:
            chosen, rejected = sampled[row.chosen_index], sampled[row.rejected_index]
            if "length" in (chosen.finish_reason, rejected.finish_reason):
                dropped[CUT] += 1
                continue
            problem = _problem(iteration, iteration.prompts[row.prompt_id], row.prompt_ids)
            yield Preference(problem=problem, chosen=chosen.text, rejected=rejected.text)


def _completions(iteration: Iteration, kind: Any, dropped: Counter[str]) -> Iterator[Completion]:
    for rows, sampled in _joined(iteration, kind):
        for row in rows:
            correct = row.correct if isinstance(row, Group) else True
            yield from _completion(iteration, sampled[row.sample_index], correct, dropped)


def _rollouts(iteration: Iteration, dropped: Counter[str]) -> Iterator[Completion]:
    rollouts, grades = iteration.store.read(iteration.rollouts, Rollout), iteration.store.read(iteration.grades, Grade)
    for rollout, grade in zip(rollouts, grades, strict=True):
        yield from _completion(iteration, rollout, grade.correct, dropped)


def _completion(
    iteration: Iteration, rollout: Rollout, correct: bool | None, dropped: Counter[str]
) -> Iterator[Completion]:
    if rollout.finish_reason == "length":
        dropped[CUT] += 1
    elif correct is None:
        dropped[NO_VERDICT] += 1
    else:
        problem = _problem(iteration, iteration.prompts[rollout.prompt_id], rollout.prompt_ids)
        yield Completion(problem=problem, text=rollout.text, correct=correct)


def _joined(iteration: Iteration, kind: type[Row]) -> Iterator[tuple[list[Row], dict[int, Rollout]]]:
    """The rows of a problem and its rollouts by `sample_index`; rows are made in the order of the rollouts."""
    sampled = iteration.store.grouped(iteration.rollouts, Rollout)
    for rows in iteration.store.grouped(iteration.rows, kind):
        for group in sampled:
            if group[0].prompt_id == rows[0].prompt_id:
                yield rows, {rollout.sample_index: rollout for rollout in group}
                break
        else:
            raise ValueError(f"{iteration.name}: no rollout of problem {rows[0].prompt_id} is where its rows are")


def _problem(iteration: Iteration, prompt: Prompt, prompt_ids: list[int]) -> Problem:
    template = iteration.template
    messages = [{"role": "user", "content": prompt.question + template.suffix}]
    if template.system is not None:
        messages.insert(0, {"role": "system", "content": template.system})
    return Problem(
        prompt_id=prompt.prompt_id,
        question=prompt.question,
        answers=prompt.answers,
        source=prompt.source,
        messages=messages,
        prompt_ids=prompt_ids,
    )
