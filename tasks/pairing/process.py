"""Process supervision: from the rewards of the steps of a group's answers to an advantage on every token.

Shao et al. 2024 (DeepSeekMath), arXiv:2402.03300, section 4.1.3:

    r_j <- (r_j - mean) / (std + eps)          over all steps of all answers to the prompt; std with `ddof`
    A_t  = sum of r_j over the steps j of the answer that end at or after token t

The steps and their rewards are those of `eval_math.process.steps`: 1 where every equation of a step holds, 0 where one
fails, and the verdict for the last step. A step in which there is nothing to check has no reward and counts nowhere.
Steps are characters of the text and advantages stand on tokens: a token belongs to the step that holds its last
character. Texts are never tokenised again; the sampled ids are decoded. Shapes: C completion tokens.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate

from artifacts import Rollout
from eval_math.process.steps import check_steps

Decode = Callable[[list[int]], str]
"""Token ids to their text, special tokens visible: as the sampler decodes."""


@dataclass(frozen=True)
class Steps:
    """The steps of one answer that have a reward, in order."""

    rewards: list[float]
    ends: list[int]
    """Index of each step's last token; -1 where a step ends inside the first token."""


def steps_of(rollout: Rollout, correct: bool, decode: Decode) -> Steps | None:
    """The steps of an answer; None where its tokens are not those of its text."""
    ids = rollout.completion_ids
    if not ids or not decode(ids).startswith(rollout.text):
        return None
    *earlier, _ = check_steps(rollout.text)
    checked = [step for step in earlier if step.value is not None]
    return Steps(
        rewards=[float(step.value or 0.0) for step in checked] + [float(correct)],
        ends=[_last_token(ids, step.end, decode) for step in checked] + [len(ids) - 1],
    )


def _last_token(ids: list[int], characters: int, decode: Decode) -> int:
    """Index of the last token whose text ends within so many characters. The text grows with the tokens: bisection."""
    within, beyond = 0, len(ids)
    while within < beyond:
        middle = (within + beyond + 1) // 2
        if len(decode(ids[:middle])) <= characters:
            within = middle
        else:
            beyond = middle - 1
    return within - 1


def process_advantages(
    rewards: Sequence[Sequence[float]],
    ends: Sequence[Sequence[int]],
    lengths: Sequence[int],
    *,
    ddof: int = 1,
    eps: float = 1e-4,
) -> list[list[float]]:
    """[C] per answer of a group; exactly 0 throughout where all steps have the same reward."""
    every = [reward for of_answer in rewards for reward in of_answer]
    if not every or max(every) == min(every):
        return [[0.0] * length for length in lengths]
    mean = math.fsum(every) / len(every)
    scale = math.sqrt(math.fsum((reward - mean) ** 2 for reward in every) / (len(every) - ddof)) + eps
    found: list[list[float]] = []
    for of_answer, last, length in zip(rewards, ends, lengths, strict=True):
        ending = [0.0] * length
        for reward, end in zip(of_answer, last, strict=True):
            if end >= 0:
                ending[end] += (reward - mean) / scale
        found.append(list(accumulate(reversed(ending)))[::-1])
    return found
