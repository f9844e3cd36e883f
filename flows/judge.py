"""`odr reward-model`: from the name of an iteration to a section of a config."""

import yaml

from flows import report
from flows.config import load
from flows.local_server import local_server
from tasks.workspace import Workspace


def train_reward_model(workspace: Workspace, name: str, overrides: list[str]) -> str:
    """Run the flow on the rollouts of `campaign/iteration`; return the `reward_model:` section as YAML.

    Raises:
        ValueError: no such iteration, or one without rollouts.
        FileNotFoundError: no such campaign.
    """
    from flows.reward_model import reward_model

    campaign, _, number = name.rpartition("/")
    if not campaign or not number.isdigit() or int(number) < 1:
        raise ValueError(f"{name}: expected campaign/iteration, counted from 1, such as demo/1")
    iterations = report.read(workspace, campaign)["iterations"]
    if int(number) >= len(iterations):
        raise ValueError(f"campaign {campaign} has iterations 1 to {len(iterations) - 1}, not {number}")
    before, chosen = iterations[int(number) - 1], iterations[int(number)]
    if "rollouts" not in chosen:
        raise ValueError(
            f"the results of {campaign} do not say which rollouts it used; run it again, which takes seconds"
        )
    loaded = load(report.folder(workspace, campaign) / report.CONFIG, overrides)
    with local_server():
        section = reward_model(loaded, int(number), before["policy"], chosen["rollouts"], chosen["grades"])
    return yaml.safe_dump({"reward_model": section}, sort_keys=False).rstrip()
