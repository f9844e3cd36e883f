"""MLflow's copy of the aliases: the campaign as a registered model, its policies as versions by reference.

Nothing is copied. A tracking server refuses a folder as a version's source and takes a logged model; a database without
a server takes a folder, and would look for a logged model in whatever store the process has as its default. No failure
here fails a night: the next one moves the aliases again.
"""

import logging
from pathlib import Path
from typing import Any

from flows.nightly.record import Nights
from tasks.tracking import EXPERIMENT, tracking_uri, without_credentials
from tasks.workspace import Workspace

log = logging.getLogger(__name__)


def mirror(workspace: Workspace, nights: Nights) -> None:
    """Make MLflow's aliases those of the record."""
    from mlflow import MlflowClient

    uri = tracking_uri(workspace)
    client = MlflowClient(uri, registry_uri=uri)
    try:
        experiment = client.get_experiment_by_name(EXPERIMENT)
        if experiment is None:
            return  # the tracker could not reach the server either, and has said so
        versions = _versions(client, nights.campaign)
        for alias, entry in nights.aliases.items():
            version = versions.get(entry["digest"])
            if version is None:
                has_server = uri.startswith("http")
                version = _register(client, experiment.experiment_id, nights.campaign, entry, has_server=has_server)
                versions[entry["digest"]] = version
            client.set_registered_model_alias(nights.campaign, alias, version)
    except Exception as error:  # whatever a tracking server does, the record is the truth
        log.warning(
            "MLflow at %s does not take the aliases of %s (%s); the next night sends them again",
            without_credentials(uri), nights.campaign, without_credentials(str(error)),
        )  # fmt: skip


def _versions(client: Any, name: str) -> dict[str, str]:
    """Digest -> version of every policy that is registered; the registered model is made if there is none."""
    if not client.search_registered_models(f"name = '{name}'", max_results=1):
        client.create_registered_model(name, tags={"kind": "campaign"})
    found = client.search_model_versions(f"name = '{name}'")
    return {version.tags["sha256"]: version.version for version in found if "sha256" in version.tags}


def _register(client: Any, experiment_id: str, name: str, entry: dict[str, Any], *, has_server: bool) -> str:
    tags = {"path": entry["path"], "sha256": entry["digest"], "iteration": str(entry["iteration"])}
    if not has_server:
        place = Path(entry["path"]).as_uri()
        return str(client.create_model_version(name, place, tags=tags, await_creation_for=0).version)
    known = client.search_logged_models([experiment_id], f"tags.sha256 = '{entry['digest']}'", max_results=1)
    if known:
        model = known[0]
    else:
        label = f"{name}-iteration-{entry['iteration']}".replace(".", "-")
        model = client.create_logged_model(experiment_id, name=label, model_type="checkpoint", tags=tags)
        client.finalize_logged_model(model.model_id, "READY")
    version = client.create_model_version(
        name,
        f"models:/{model.model_id}",
        run_id=model.source_run_id,
        tags=tags,
        model_id=model.model_id,
        await_creation_for=0,
    )
    return str(version.version)
