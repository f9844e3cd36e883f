"""A comparison in MLflow: a run of its own, which names the campaigns' runs and has the picture, the page, the figures.

It is attached to none of the campaigns' runs: it is about several, and a campaign's page would fill with what others
have compared it to.
"""

import hashlib
import json
from typing import Any
from urllib.parse import quote

from pydantic import ValidationError

from flows.comparison.campaigns import Campaign
from flows.comparison.compared import Compared
from flows.config import RunConfig
from flows.mirror.parameters import campaign_key
from tasks.tracking import SENT, Tracker, without_credentials
from tasks.workspace import Workspace


def log_comparison(workspace: Workspace, compared: Compared) -> str:
    """Send it, the same one only once; return the address of MLflow's own page that compares these campaigns.

    Empty without a server, which alone has such a page, or where MLflow has not seen two of the campaigns.
    """
    tracker = Tracker(workspace)
    parents = [found for campaign in compared.found.campaigns if (found := tracker.find(_key(campaign)))]
    names = compared.names
    facts = json.dumps([result.to_json() for result in compared.found.results])
    digest = hashlib.sha256(json.dumps([names, facts]).encode()).hexdigest()
    tags = {"kind": "comparison", "odr.compared": ", ".join(names), "odr.parents": ", ".join(parents)}
    title = " vs ".join(names)
    params = {"campaigns": ", ".join(names)}
    run_id = tracker.run(f"comparison-{digest[:16]}", title, params, tags, None, at_work=False)
    if not tracker.has(run_id, SENT, digest):
        tracker.metrics(run_id, 0, _figures(compared))
        if all([tracker.file(run_id, str(path)) for path in (compared.plot, compared.page)]):
            tracker.tag(run_id, {SENT: digest})
    tracker.end(run_id, "FINISHED")
    if tracker.client is None or len(parents) < 2 or not tracker.uri.startswith("http"):
        return ""
    runs, experiments = (quote(json.dumps(ids), safe="") for ids in (parents, [tracker.experiment()]))
    return f"{without_credentials(tracker.uri).rstrip('/')}/#/compare-runs?runs={runs}&experiments={experiments}"


def _key(campaign: Campaign) -> str:
    """Of its parent run; empty if its config is of another version and no longer read."""
    try:
        return campaign_key(RunConfig.model_validate(campaign.source.config))
    except ValidationError:
        return ""


def _figures(compared: Compared) -> dict[str, float]:
    found: dict[str, float] = {}
    for result in compared.found.results:
        place = f"{result.generation}/{result.campaign}"
        parts: dict[str, Any] = {"last": result.last, "gain": result.gain, "against": result.against}
        for name, part in parts.items():
            if part is not None:
                found[f"{name}/{place}"] = part.value
        if result.against is not None:
            found[f"p/{place}"] = result.against.p
    return found
