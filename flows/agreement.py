"""Settings of different stages that must agree for an objective to compute what it says."""

from tasks import objectives
from tasks.objectives import Objective
from tasks.pairing.advantages import NEED_GROUP
from tasks.settings import Pairing, Sampling, Training

ONE_PER_ANSWER = ("gspo", "rloo")
"""Read one advantage per answer: of advantages that differ from token to token they would take the mean."""


def check_objective(
    objective: Objective,
    *,
    sample: Sampling,
    pair: Pairing,
    train: Training,
    chosen: str | None,
    has_token_reward: bool = False,
) -> None:
    """Refuse settings of other stages under which this objective computes something else than it says.

    `chosen` is the config's own `pair.advantage`, None where the objective's was taken; `has_token_reward` says whether
    the config names a DPO policy whose log-ratios reward each token.

    Raises:
        ValueError: says which setting, why, and what to set.
    """
    _check_trained(objective)
    _check_token_reward(objective, has_token_reward)
    contrast = objective.rows == "pairs" or objective.whole_groups
    contrast |= objective.rows == "groups" and pair.advantage in NEED_GROUP
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
    _check_advantage(objective, chosen)


def _check_trained(objective: Objective) -> None:
    if objective.trains == "critic":
        users = [name for name in objectives.available() if objectives.find(name).critic == objective.name]
        raise ValueError(
            f"{objective.name} trains a critic and no policy: {', '.join(users)} uses it by itself; "
            f"set objective={users[0]}"
        )
    if objective.trains == "reward_model":
        raise ValueError(
            f"{objective.name} trains a reward model and no policy: its scores join the rewards that a policy is "
            "trained on; name a policy's objective here, such as grpo, and the trained model under `reward_model`"
        )


def _check_token_reward(objective: Objective, has_token_reward: bool) -> None:
    needed = "dpo_logprobs" in objective.columns
    if needed and not has_token_reward:
        raise ValueError(
            f"{objective.name} rewards tokens by a policy that DPO trained before; run dpo first and name that policy "
            "and its reference under `token_reward`"
        )
    if has_token_reward and not needed:
        raise ValueError(f"token_reward is set, but {objective.name} rewards no tokens; remove it or set objective=rto")


def _check_advantage(objective: Objective, chosen: str | None) -> None:
    if chosen is None:
        return
    if objective.critic:
        raise ValueError(
            f"pair.advantage={chosen}, but {objective.name} makes its advantages with its critic; remove pair.advantage"
        )
    if objective.advantage == "process" and chosen != "process":
        raise ValueError(
            f"pair.advantage={chosen} makes no use of steps, which {objective.name} is for; remove it or set "
            "objective=grpo"
        )
    if chosen == "process" and objective.name in ONE_PER_ANSWER:
        raise ValueError(
            f"pair.advantage=process differs from token to token, and {objective.name} takes one per answer; set "
            "objective=grpo_process"
        )
    if getattr(objective, "kl_coef", 0):
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
