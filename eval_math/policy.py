"""What counts as right: one frozen, versioned object, printed beside every score.

Two policies exist because two mistakes have different prices. A reward is attacked by the model that
is trained on it, so `Policy.reward()` takes boxed answers only. A benchmark is compared with other
people's numbers, so `Policy.benchmark(name)` also reads unboxed final answers and applies the
tolerance customary for that benchmark.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

Style = Literal["lenient", "strict", "bare"]

VERSION = 2
"""Raise it whenever a verdict may change, so that scores of different graders are never compared."""

_TOLERANCE = {"minerva_math": 0.01}
"""Relative tolerance by benchmark: the physics answers of minerva_math are rounded to 2 or 3 digits."""


@dataclass(frozen=True, slots=True)
class Policy:
    """The rules of one grading."""

    name: str = "reward"
    version: int = VERSION
    style: Style = "strict"
    """`strict` reads boxes only; `lenient` also tags, markers, and the last formula or number; `bare` takes the
    whole response as the answer."""
    relative_tolerance: float = 0.0
    """Numbers within this relative distance are equal; 0 means exact."""
    min_digits: int = 5
    """A decimal answer to an exact, non-integer gold needs this many significant digits, all correct."""
    gold_digits: int = 3
    """An exact answer may round to a decimal gold that shows so many significant digits; a fraction also to 0.33."""
    choices: bool = True
    """Whether `(D) 14` may stand for the letter D or the value 14, whichever the gold is."""
    max_answer_chars: int = 4000
    """Longer answers are wrong (TOO_LONG) unless they equal the gold character by character."""

    @classmethod
    def reward(cls) -> Policy:
        """The policy for training rewards: strict extraction, no tolerance."""
        return cls()

    @classmethod
    def benchmark(cls, name: str = "") -> Policy:
        """The policy for reporting a score on benchmark `name`: lenient extraction, its tolerance."""
        tolerance = _TOLERANCE.get(name, 0.0)
        return cls(name=f"benchmark:{name}" if name else "benchmark", style="lenient", relative_tolerance=tolerance)

    def with_tolerance(self, relative_tolerance: float) -> Policy:
        """This policy with another tolerance; raises ValueError unless it lies in [0, 1)."""
        if not 0.0 <= relative_tolerance < 1.0:
            raise ValueError(f"relative_tolerance is {relative_tolerance}; expected a number in [0, 1)")
        return replace(self, relative_tolerance=relative_tolerance)

    def __str__(self) -> str:
        """Name, version and the settings a reader of a score needs."""
        return f"{self.name} v{self.version} ({self.style}, tolerance {self.relative_tolerance:g})"
