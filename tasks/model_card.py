"""The README.md of a checkpoint: what it is and how it came to be. Of one that is published: scores and licence too."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import yaml

_TAGS = ("math", "preference-optimization")


def model_card(campaign: str, label: str, lineage: dict[str, Any]) -> str:
    """Markdown with the front matter that the hub reads, of a checkpoint that stays where it was made."""
    objective = lineage["objective"]
    return f"""{_block(_front_matter(objective["name"]))}
# {campaign} · {label}

Trained with the objective `{objective["name"]}` for {lineage["steps"]} optimizer steps
on the model's own graded answers. The licence of the base model applies.

{_json(lineage)}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class CardScore:
    """One score of the published model."""

    benchmark: str
    metric: str
    value: float
    """A share of the problems."""
    standard_error: float | None
    num_problems: int
    start: float | None
    """The same score of the model that the campaign began with."""
    dataset: str | None = None
    """Its name on the hub, if the score is over all of its problems."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """What the card of a model on the hub says."""

    name: str
    """campaign/iteration."""
    base: str
    """Of the model the campaign began with: its name on the hub, or the last part of its folder's."""
    base_is_public: bool
    """Whether that is a name on the hub."""
    lineage: dict[str, Any]
    """Facts of the training, digests of its parents among them."""
    ancestors: Sequence[tuple[str, str]]
    """Name and digest of each model on the way from the base model, in order."""
    scores: Sequence[CardScore]
    licence: str
    """For people."""
    licence_fields: dict[str, str]
    """For the front matter."""


def published_card(card: Published) -> str:
    """Markdown with the front matter that the hub reads (https://huggingface.co/docs/hub/model-cards).

    `model-index` has only scores over a whole benchmark that is on the hub: the hub compares by its name.
    """
    objective = card.lineage["objective"]
    matter: dict[str, Any] = {**_front_matter(objective["name"]), **card.licence_fields}
    if card.base_is_public:
        matter["base_model"] = card.base
    if results := [_result(score) for score in card.scores if score.dataset]:
        matter["model-index"] = [{"name": card.name, "results": results}]
    chain = "\n".join(f"{number}. {name}: `{digest}`" for number, (name, digest) in enumerate(card.ancestors, 1))
    return f"""{_block(matter)}
# {card.name}

Made from {card.base} by the objective `{objective["name"]}`, in {card.lineage["steps"]} optimizer steps of its last
iteration, on the model's own graded answers.

Licence: {card.licence}.

## Scores

{_table(card.scores)}

## Lineage

Every model is named by the sha256 over its configuration, weights and tokenizer.

{chain}

The last training, with the digests of what went into it:

{_json(card.lineage)}
"""


def _front_matter(objective: str) -> dict[str, Any]:
    return {"library_name": "transformers", "pipeline_tag": "text-generation", "tags": [*_TAGS, objective]}


def _block(matter: dict[str, Any]) -> str:
    return f"---\n{yaml.safe_dump(matter, sort_keys=False, allow_unicode=True)}---\n"


def _json(lineage: dict[str, Any]) -> str:
    return f"```json\n{json.dumps(lineage, indent=2, sort_keys=True)}\n```"


def _table(scores: Sequence[CardScore]) -> str:
    if not scores:
        return "The campaign measured none."
    lines = ["| benchmark | metric | score, % | at the start, % | problems |", "|---|---|---|---|---|"]
    for score in scores:
        error = "" if score.standard_error is None else f" ± {100 * score.standard_error:.1f}"
        start = "" if score.start is None else f"{100 * score.start:.1f}"
        lines.append(
            f"| {score.benchmark} | {score.metric} | {100 * score.value:.1f}{error} | {start} | {score.num_problems} |"
        )
    return "\n".join([*lines, "", "± is one standard error over problems."])


def _result(score: CardScore) -> dict[str, Any]:
    # The shape of huggingface_hub.EvalResult, which reads it back.
    return {
        "task": {"type": "text-generation"},
        "dataset": {"type": score.dataset, "name": score.benchmark},
        "metrics": [{"type": "accuracy", "name": f"{score.metric}, n={score.num_problems}", "value": score.value}],
    }
