"""`campaign/iteration` as the name of a model, beside folders and hub names."""

import json

from tasks.workspace import Workspace


def model_folder(workspace: Workspace, name: str) -> str:
    """The folder of `demo/3`, the policy after that iteration; any other name as it is.

    Raises:
        ValueError: the campaign has no such iteration.
    """
    campaign, slash, number = name.rpartition("/")
    results = workspace.results(campaign) if slash and "/" not in campaign else None
    if results is None or not number.isdigit() or not results.exists():
        return name
    iterations = json.loads(results.read_text(encoding="utf-8"))["iterations"]
    if int(number) >= len(iterations):
        raise ValueError(f"campaign {campaign} has iterations 0 to {len(iterations) - 1}, not {number}")
    return str(iterations[int(number)]["policy"]["path"])
