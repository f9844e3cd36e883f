"""GRPO with process supervision: every step of an answer has a reward of its own.

Shao et al. 2024 (DeepSeekMath), arXiv:2402.03300, section 4.1.3, with the loss of equation 3:

    r_j <- (r_j - mean) / (std + e)                    over all steps of all answers of the group
    A_t  = sum of r_j over the steps j that end at or after token t
    L    = that of `grpo`
    GC   = A_t + beta (pi_ref / pi - 1)    at pi = pi_old;   rho A_t 1[not clipped] in place of A_t after the first step

The stage `pair` makes the advantages (`tasks.pairing.process`): the reward of a step is whether the equations in it
hold, that of the last step the verdict. More steps make larger advantages at early tokens: watch the number of steps.
Shapes: N sequences, T tokens.
"""

from dataclasses import dataclass

from tasks.objectives import About
from tasks.objectives.grpo import Grpo


@dataclass(frozen=True, kw_only=True)
class GrpoProcess(Grpo):
    """Clipped surrogate with step-wise group-normalised advantages and a KL penalty to the reference."""

    advantage = "process"
    about = About(
        "G from pi_old", "rule on steps", "rho A_t 1[not clipped] + beta (pi_ref/pi - 1)", "1/(n|o|)",
        "2402.03300 sec. 4.1.3",
    )  # fmt: skip

    clip_eps: float = 0.2
    """Half-width of the ratio's range. Source: as in `grpo`."""
    beta_kl: float = 0.04
    """Weight of KL(pi || pi_ref) per token; 0 loads no reference. Source: the paper, section 4.2."""
