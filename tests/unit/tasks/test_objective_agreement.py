"""Which objectives a campaign may name, and which settings of other stages they exclude."""

import pytest

from flows.agreement import check_objective
from tasks import objectives
from tasks.settings import Pairing, Sampling, Training

GROUPS = [name for name in objectives.available() if objectives.find(name).trains == "policy"]


def check(name, *, chosen=None, samples=4, has_token_reward=None, **options):
    objective = objectives.load(name, **options)
    check_objective(
        objective,
        sample=Sampling(samples_per_prompt=samples),
        pair=Pairing(advantage=chosen or objective.advantage),
        train=Training(),
        chosen=chosen,
        has_token_reward=name == "rto" if has_token_reward is None else has_token_reward,
    )


@pytest.mark.parametrize("name", GROUPS)
def test_what_trains_a_policy_can_be_a_campaigns_objective(name):
    check(name)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("ppo_critic", "ppo_critic trains a critic and no policy: ppo uses it by itself; set objective=ppo"),
        ("rto_critic", "rto_critic trains a critic and no policy: rto uses it by itself; set objective=rto"),
        ("reward_model", "reward_model trains a reward model and no policy.*such as grpo.*under `reward_model`"),
    ],
)
def test_what_trains_none_cannot(name, message):
    with pytest.raises(ValueError, match=message):
        check(name)


def test_rto_needs_a_dpo_policy_and_nobody_else_takes_one():
    with pytest.raises(ValueError, match=r"rto rewards tokens by a policy that DPO trained before.*`token_reward`"):
        check("rto", has_token_reward=False)
    with pytest.raises(ValueError, match="token_reward is set, but ppo rewards no tokens"):
        check("ppo", has_token_reward=True)


@pytest.mark.parametrize(
    ("name", "chosen", "message"),
    [
        ("ppo", "whitened", r"pair\.advantage=whitened, but ppo makes its advantages with its critic"),
        ("rto", "reward", "rto makes its advantages with its critic"),
        ("grpo_process", "standardised", r"makes no use of steps, which grpo_process is for"),
        ("gspo", "process", "differs from token to token, and gspo takes one per answer"),
    ],
)
def test_advantages_that_an_objective_makes_no_use_of_are_refused(name, chosen, message):
    with pytest.raises(ValueError, match=message):
        check(name, chosen=chosen)


def test_steps_may_be_compared_under_other_token_losses():
    check("dr_grpo", chosen="process")
    check("grpo_process", chosen="process")


def test_process_supervision_compares_answers_and_a_critic_does_not():
    with pytest.raises(ValueError, match="grpo_process trains on groups; set it to at least 2"):
        check("grpo_process", samples=1)
    check("ppo", samples=1)
    check("rto", samples=1)
