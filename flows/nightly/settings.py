"""By what rule a night's policy is promoted or taken back."""

from pydantic import Field

from tasks.settings import Settings


class Nightly(Settings):
    """The section `nightly` of a config. The rule compares with the best policy so far, problem by problem."""

    benchmark: str | None = Field(
        default=None, description="Whose held-out problems decide; default: the first of evaluate.benchmarks."
    )
    metric: str | None = Field(
        default=None,
        pattern=r"^(greedy|mean|(pass|maj)@[1-9][0-9]{0,3})$",
        description="greedy, mean (of the sampled answers), pass@k or maj@k; default: mean where answers are sampled.",
    )
    min_gain: float = Field(
        default=0.0, ge=0.0, le=100.0, description="Points (percent) by which it must be better to become the best."
    )
    confidence: float = Field(
        default=0.95,
        gt=0.5,
        lt=1.0,
        description="Of the two-sided interval of the difference: all of it above zero is better, all below is worse.",
    )
    attempts: int = Field(
        default=2, ge=1, description="Nights that may fail on the same problems before the next ones are taken."
    )
