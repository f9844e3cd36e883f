r"""Arithmetic problems, each with a careful and a hasty answer.

The careful answer works in short lines and ends in `\boxed{...}`; the hasty one is the box alone. A model
this small can carry out the lines but not the whole problem in its head, so the two habits differ in how
often they are right: that gap is what preference training has to find.
"""

from dataclasses import dataclass
from random import Random

from flows.demo.families import FAMILIES


@dataclass(frozen=True, slots=True)
class Problem:
    """One question with its worked lines and its answer."""

    family: str
    question: str
    lines: tuple[str, ...]
    answer: int

    @property
    def careful(self) -> str:
        """The worked lines, then the boxed answer."""
        return "\n".join((*self.lines, self.hasty))

    @property
    def hasty(self) -> str:
        """The boxed answer alone."""
        return f"\\boxed{{{self.answer}}}"


def draw(rng: Random, family: str) -> Problem:
    """One problem of `family`."""
    drawn = FAMILIES[family].draw(rng)
    question = FAMILIES[family].template.format(**drawn.fields)
    return Problem(family, question, drawn.lines, drawn.answer)
