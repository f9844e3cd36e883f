"""A config as trackers want it: one key per recipe, and flat names that can be searched and compared."""

import dataclasses
import hashlib
import json
from typing import Any

from flows.config import RunConfig


def campaign_key(config: RunConfig) -> str:
    """Names the parent run: the same recipe goes on in the same run, also with more iterations or other machines."""
    recipe = config.model_dump(mode="json", exclude={"iterations", "machine"})
    return f"{config.name}-{hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()[:16]}"


def flat_parameters(config: RunConfig) -> dict[str, Any]:
    """Dotted names as on the command line, with every default filled in that the algorithm itself chooses.

    Of two algorithms only `objective.*` differs in its names, and `critic.*`, which says where the training of a
    critic differs from `train.*`.
    """
    # Parameters of a run cannot change; these two may.
    fields = config.model_dump(mode="json", exclude={"iterations", "machine", "critic"})
    fields["objective"] = {"name": config.objective["name"], **_hyperparameters(config)}
    fields["reference"] = config.reference_policy()
    fields["pair"]["advantage"] = config.pairing().advantage
    if config.critic_settings():
        fields["critic"] = _differing(config.critic_training().model_dump(mode="json"), fields["train"])
    flat: dict[str, Any] = {}
    _flatten(fields, "", flat)
    return flat


def _hyperparameters(config: RunConfig) -> dict[str, Any]:
    objective: Any = config.loaded_objective()
    return {field.name: getattr(objective, field.name) for field in dataclasses.fields(objective)}


def _differing(fields: dict[str, Any], others: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value != others[name]}


def _flatten(value: Any, prefix: str, flat: dict[str, Any]) -> None:
    """A list of plain values stays one value; sections and lists of sections are gone into."""
    nested = isinstance(value, dict) or (isinstance(value, list | tuple) and any(isinstance(v, dict) for v in value))
    if not nested:
        flat[prefix] = ", ".join(map(str, value)) if isinstance(value, list | tuple) else value
        return
    for name, item in value.items() if isinstance(value, dict) else enumerate(value):
        _flatten(item, f"{prefix}.{name}" if prefix else str(name), flat)
