"""A reward of this package as a `compute_score` of verl, and the other way round.

verl calls `compute_score(data_source=, solution_str=, ground_truth=, extra_info=, **reward_kwargs)` for each
response (`custom_reward_function.path` names the file it stands in) and takes a number, or a dict with the number
under `score` whose other entries are logged. It knows no missing reward, so one has to be chosen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from eval_math.adapters.references import AdapterError, gold_of, name_of, reference_of, reward_of
from eval_math.grade import grade
from eval_math.policy import Policy
from eval_math.rewards import Reward
from eval_math.verdict import Grade

ComputeScore = Callable[..., "float | Mapping[str, Any]"]


def as_verl(
    reward: Reward, *, policy: Policy | None = None, unknown: float | None = None
) -> Callable[..., dict[str, Any]]:
    """A `compute_score` for verl: {"score": the reward, "acc": right or not, "pred": the answer or ""}.

    `unknown` is the score where there is no verdict. By default that is an error: a number would be trained on, and
    not-a-number would spoil every response to the prompt. Drop prompts whose reference cannot be read beforehand.
    """
    return _AsVerl(reward, policy or Policy.reward(), unknown)


@dataclass(frozen=True)
class _AsVerl:
    reward: Reward
    policy: Policy
    unknown: float | None

    def __call__(
        self, data_source: str, solution_str: str, ground_truth: Any, extra_info: Any = None, **options: Any
    ) -> dict[str, Any]:
        del extra_info, options  # verl adds its own, such as sandbox_fusion_url
        graded = grade(solution_str, gold_of(ground_truth), self.policy)
        score = self.reward(graded, solution_str)
        if score is None:
            score = self.unknown
        if score is None:
            raise AdapterError(
                f"{data_source}: no verdict ({graded.reason}) against the reference {str(ground_truth)!r:.80}; "
                "drop this row, or say as_verl(..., unknown=...) what it is worth"
            )
        # The keys are the same for every row: verl makes columns of them.
        return {"score": score, "acc": bool(graded.correct), "pred": graded.answer or ""}


def from_verl(compute_score: ComputeScore, data_source: str, *, without_gold: float | None = 0.0) -> Reward:
    """A reward that asks a verl `compute_score` about the response and the reference answer of the grade.

    A response without an answer has a grade that names no reference: its reward is `without_gold`.
    """
    return _FromVerl(compute_score, data_source, without_gold)


@dataclass(frozen=True)
class _FromVerl:
    compute_score: ComputeScore
    data_source: str
    without_gold: float | None

    def __call__(self, graded: Grade, response: str) -> float | None:
        if graded.correct is None:
            return None
        reference = reference_of(graded)
        if reference is None:
            return self.without_gold
        found = self.compute_score(
            data_source=self.data_source, solution_str=response, ground_truth=reference, extra_info={}
        )
        if isinstance(found, Mapping):
            if "score" not in found:
                raise AdapterError(f"{name_of(self.compute_score)} returned {sorted(found)}; expected a key 'score'")
            found = found["score"]
        return reward_of(found, self.compute_score)
