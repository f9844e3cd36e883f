"""`campaign/iteration` by name: its tables, its problems and the template they were asked in."""

from dataclasses import dataclass
from typing import Any

from artifacts import ArtifactMissing, Prompt, Ref, Store
from artifacts.manifest import folder_of
from flows import report
from tasks.settings import Template
from tasks.workspace import Workspace


@dataclass(frozen=True)
class Iteration:
    """What one iteration of a finished campaign has left."""

    name: str
    store: Store
    prompts: dict[str, Prompt]
    """By `prompt_id`, in the order they were asked."""
    template: Template
    rollouts: Ref[Any]
    grades: Ref[Any]
    rows: Ref[Any]
    """What it trained on: pairs, accepted or groups."""
    sampler: str
    """Folder of the policy that sampled."""


def results_of(workspace: Workspace, name: str) -> tuple[str, int, list[dict[str, Any]]]:
    """Campaign, number and the results of all its iterations, of a name such as `demo/3`.

    Raises:
        ValueError: no such name, or the campaign has no such iteration.
        FileNotFoundError: no finished campaign of that name.
    """
    campaign, _, number = name.rpartition("/")
    if not campaign or "/" in campaign or campaign.startswith(".") or not (number.isascii() and number.isdigit()):
        raise ValueError(f"found {name!r}, expected CAMPAIGN/ITERATION such as demo/3")
    found = report.read(workspace, campaign)["iterations"]
    if int(number) >= len(found):
        raise ValueError(f"campaign {campaign} has iterations 0 to {len(found) - 1}, not {number}")
    return campaign, int(number), found


def find(workspace: Workspace, name: str) -> Iteration:
    """The tables behind a name such as `demo/3`.

    Raises:
        ValueError, FileNotFoundError: as for `results_of`, or the iteration sampled nothing.
        ArtifactError: a table is gone or damaged.
    """
    _, number, results = results_of(workspace, name)
    fields = results[number]
    if "rollouts" not in fields:
        raise ValueError(f"{name} is the model at the start, which has no rows; name an iteration from 1 on")
    store, rollouts = workspace.store, Ref.from_json(fields["rollouts"])
    made = store.manifest(rollouts)
    template = made.producer.get("template")
    if not isinstance(template, dict):
        raise ValueError(f"{name}: the rollouts do not say in which template they were asked; sample them again")
    prompts = _prompts(store, made.parents, name)
    return Iteration(
        name=name,
        store=store,
        prompts={prompt.prompt_id: prompt for prompt in store.read(prompts, Prompt)},
        template=Template(**template),
        rollouts=rollouts,
        grades=Ref.from_json(fields["grades"]),
        rows=Ref.from_json(fields["rows"]),
        sampler=str(results[number - 1]["policy"]["path"]),
    )


def _prompts(store: Store, parents: tuple[str, ...], name: str) -> Ref[Prompt]:
    """The table of problems among the parents of the rollouts."""
    kind = Prompt.KIND
    for digest in parents:
        try:
            return store.manifest(Ref(kind, digest, 0, 0, folder_of(kind, digest))).ref()
        except ArtifactMissing:
            continue
    raise ValueError(f"{name}: the problems that were asked are gone from the store; run the campaign again")
