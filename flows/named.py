"""`campaign/iteration` and `campaign@alias` as the name of a model, beside folders and hub names."""

import json

from flows.nightly import record
from tasks.records import campaigns
from tasks.workspace import Workspace


def model_folder(workspace: Workspace, name: str) -> str:
    """The folder of `demo/3`, the policy after that iteration, or of `demo@best`; any other name as it is.

    Raises:
        ValueError: the campaign has no such iteration or alias, or the alias has no checkpoint.
    """
    campaign, at, alias = name.partition("@")
    if at and campaign in campaigns(workspace):
        return record.checkpoint_of(workspace, campaign, alias)
    campaign, slash, number = name.rpartition("/")
    results = workspace.results(campaign) if slash and "/" not in campaign else None
    if results is None or not number.isdigit() or not results.exists():
        return name
    rows = json.loads(results.read_text(encoding="utf-8"))["iterations"]
    found = {int(row.get("iteration", place)): row for place, row in enumerate(rows)}
    if int(number) not in found:
        raise ValueError(f"campaign {campaign} has iterations {_ranges(sorted(found))}, not {number}")
    return str(found[int(number)]["policy"]["path"])


def _ranges(numbers: list[int]) -> str:
    """0 to 3; a standing campaign may have given up one in between."""
    if numbers == list(range(len(numbers))):
        return f"0 to {len(numbers) - 1}"
    return ", ".join(map(str, numbers))
