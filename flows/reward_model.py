"""Train a reward model on the pairs of one iteration: Bradley-Terry, and the scale of its scores."""

from typing import Any

from prefect import flow

from artifacts import Checkpoint, Ref
from flows.config import RunConfig
from flows.steps import Steps, derive_seed
from tasks import presence
from tasks.pair import pair
from tasks.score import score
from tasks.train import train
from tasks.workspace import Workspace, home

OBJECTIVE = {"name": "reward_model"}


@flow(name="reward model", flow_run_name="{config.name} · reward model of iteration {number}")
def reward_model(
    config: RunConfig, number: int, policy: dict[str, Any], rollouts: dict[str, Any], grades: dict[str, Any]
) -> dict[str, Any]:
    """Pair the graded rollouts, train a reward model on them from `policy`; return what `reward_model:` wants.

    Its scores on those pairs give the mean and the standard deviation that later scores are measured in.
    """
    steps = Steps.of(config, Workspace(home()))
    label = f"iteration {number} · reward model"
    with presence.at_work(steps.run.workspace.locks):
        start = Checkpoint.from_json(policy)
        arguments = steps.pair(number, Ref.from_json(rollouts), Ref.from_json(grades), start)
        arguments |= {"rows": "pairs", "pairing": config.pair, "tokenizer": None, "run": steps.labelled(label)}
        rows = pair(**arguments)
        model = train(
            policy=start, rows=rows, reference=None, objective=OBJECTIVE,
            training=config.critic_training(), seed=derive_seed(config.seed, "reward model", number),
            run=steps.labelled(label),
        )  # fmt: skip
        scored = score(
            model=model, rows=rows, scores="reward_model", dtype=config.train.dtype, run=steps.labelled(label)
        )
        summary = steps.run.workspace.store.manifest(scored).summary
    return {"model": model.path, "mean": summary["mean"], "std": summary["std"]}
