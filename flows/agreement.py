"""Settings of different stages that must agree for an objective to compute what it says."""

from tasks.objectives import Objective
from tasks.pairing.advantages import NEED_CONTRAST
from tasks.settings import Pairing, Sampling, Training


def check_objective(
    objective: Objective, *, sample: Sampling, pair: Pairing, train: Training, chosen: str | None
) -> None:
    """Refuse settings of other stages under which this objective computes something else than it says.

    `chosen` is the config's own `pair.advantage`, None where the objective's was taken.

    Raises:
        ValueError: says which setting, why, and what to set.
    """
    contrast = objective.rows == "pairs" or objective.whole_groups
    contrast |= objective.rows == "groups" and pair.advantage in NEED_CONTRAST
    if contrast and sample.samples_per_prompt < 2:
        raise ValueError(
            f"sample.samples_per_prompt is {sample.samples_per_prompt}, but {objective.name} trains on "
            f"{objective.rows}; set it to at least 2 (8 is usual)"
        )
    has_ratio = "old_logprobs" in objective.columns
    if has_ratio and train.old_logprobs == "recorded" and (sample.temperature != 1 or sample.top_p != 1):
        raise ValueError(
            f"{objective.name} divides by the sampler's probabilities, which are not the policy's at "
            f"sample.temperature={sample.temperature} and sample.top_p={sample.top_p}; set both to 1, or "
            "train.old_logprobs=recomputed"
        )
    if train.max_kl is not None and not has_ratio:
        raise ValueError(
            f"train.max_kl stops on the ratio to the sampling policy, and {objective.name} has no such ratio"
        )
    if chosen and getattr(objective, "kl_coef", 0):
        raise ValueError(
            f"pair.advantage={chosen} and {objective.name}'s kl_coef exclude each other: with KL in the reward "
            f"{objective.name} makes its own advantages; set objective.kl_coef=0"
        )


def check_warm_up(train: Training) -> None:
    """Refuse settings that go by the sampling of the rows: demonstrations were sampled by nobody.

    Raises:
        ValueError: names the setting and its place.
    """
    for name in ("max_kl", "order", "old_logprobs"):
        found, usual = getattr(train, name), Training.model_fields[name].default
        if found != usual:
            raise ValueError(f"warmup.train.{name} is {found!r}, but nobody sampled the demonstrations; remove it")
