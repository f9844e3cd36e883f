"""A reward of this package as a reward function of TRL, and the other way round (TRL 1.16).

TRL calls `function(prompts=, completions=, completion_ids=, trainer_state=, **columns)` with lists of one entry per
completion, and takes None for "no reward" (`GRPOTrainer._calculate_rewards`).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from eval_math.adapters.references import AdapterError, gold_of, name_of, reference_of, reward_of
from eval_math.grade import grade
from eval_math.policy import Policy
from eval_math.rewards import Reward
from eval_math.verdict import Grade

TrlReward = Callable[..., "Sequence[float | None]"]


def as_trl(reward: Reward, *, column: str = "solution", policy: Policy | None = None) -> TrlReward:
    """A TRL reward function that grades every completion against its row of `column` and rewards the verdict.

    The column holds answers, lists of accepted answers, or worked solutions with the answer in a box. No verdict
    is None there too, which TRL leaves out of the sum.
    """
    return _AsTrl(reward, column, policy or Policy.reward())


@dataclass(frozen=True)
class _AsTrl:
    reward: Reward
    column: str
    policy: Policy

    @property
    def __name__(self) -> str:
        """Names the reward in TRL's logs."""
        return name_of(self.reward)

    def __call__(self, completions: Sequence[Any], **columns: Any) -> list[float | None]:
        if self.column not in columns:
            raise AdapterError(
                f"{self.__name__}: the dataset has no column {self.column!r} with the reference answers; "
                f"found {', '.join(sorted(columns)) or 'none'}. Name it with as_trl(..., column=...)"
            )
        golds = columns[self.column]
        if len(golds) != len(completions):
            raise AdapterError(f"{self.__name__}: {len(completions)} completions, but {len(golds)} {self.column!r}")
        found: list[float | None] = []
        for completion, gold in zip(completions, golds, strict=True):
            response = text_of(completion)
            found.append(self.reward(grade(response, gold_of(gold), self.policy), response))
        return found


def text_of(completion: Any) -> str:
    """The text of a TRL completion: a string, or a list of chat messages of which the last one counts.

    Raises:
        AdapterError: neither of them.
    """
    if isinstance(completion, str):
        return completion
    if isinstance(completion, list) and completion and isinstance(completion[-1], Mapping):
        content = completion[-1].get("content") or ""  # None in a message that only calls a tool
        if isinstance(content, list):  # the parts of a multimodal message
            content = "".join(part.get("text") or "" for part in content)
        if isinstance(content, str):
            return content
    raise AdapterError(
        f"expected a completion as a string or as messages [{{'role': ..., 'content': ...}}], found {completion!r:.80}"
    )


def from_trl(
    function: TrlReward,
    *,
    column: str = "solution",
    tokenize: Callable[[str], Sequence[int]] | None = None,
    without_gold: float | None = 0.0,
    dollars: bool = True,
    **columns: Any,
) -> Reward:
    """A reward that asks a TRL reward function about one response at a time, in TRL's conversational form.

    The function finds the grade's reference answer, in its normalised spelling, in `column` (between dollars, as
    TRL's own functions want it, unless told not to), the token ids of `tokenize` in `completion_ids`, and `columns`
    as one entry each. A response without an answer has a grade that names no reference: where the function wants
    one, the reward is `without_gold`.

    Raises:
        AdapterError: the function is asynchronous, or needs an argument that none of these provides.
    """
    if inspect.iscoroutinefunction(function):
        raise AdapterError(f"{name_of(function)} is asynchronous; wrap a function that returns its rewards")
    parameters = inspect.signature(function).parameters.values()
    named = [each for each in parameters if each.kind in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY)]
    needed = {each.name for each in named if each.default is each.empty}
    takes = None if any(each.kind is each.VAR_KEYWORD for each in parameters) else frozenset(x.name for x in named)
    offered = {"prompts", "completions", column, *columns} | ({"completion_ids"} if tokenize else set())
    if missing := sorted(needed - offered):
        advice = "; give tokenize=" if "completion_ids" in missing else "; give them as keyword arguments"
        raise AdapterError(f"{name_of(function)} needs {', '.join(missing)}{advice} or name the column= of the golds")
    return _FromTrl(function, column, tokenize, without_gold, dollars, columns, column in needed, takes)


@dataclass(frozen=True)
class _FromTrl:
    function: TrlReward
    column: str
    tokenize: Callable[[str], Sequence[int]] | None
    without_gold: float | None
    dollars: bool
    columns: Mapping[str, Any]
    needs_gold: bool
    takes: frozenset[str] | None
    """Names of the arguments the function accepts; None: any."""

    def __call__(self, graded: Grade, response: str) -> float | None:
        if graded.correct is None:
            return None
        reference = reference_of(graded)
        if self.needs_gold and reference is None:
            return self.without_gold
        arguments = {name: [value] for name, value in self.columns.items()}
        if self.tokenize:
            arguments["completion_ids"] = [list(self.tokenize(response))]
        if reference is not None:
            arguments[self.column] = [f"${reference}$" if self.dollars else reference]
        arguments["prompts"] = [[{"role": "user", "content": ""}]]
        arguments["completions"] = [[{"role": "assistant", "content": response}]]
        taken = {name: value for name, value in arguments.items() if self.takes is None or name in self.takes}
        found = self.function(**taken)
        if len(found) != 1:
            raise AdapterError(f"{name_of(self.function)} returned {len(found)} rewards for one completion")
        return reward_of(found[0], self.function)
