"""Which part of a campaign a command computes: --refresh, --from-iteration, --stop-after.

A stage is named plainly, or `stage@part` for that of one iteration, such as train@2; the part before the first
iteration is called warm-up.
"""

import difflib
from collections.abc import Sequence
from dataclasses import replace

from flows.config import RunConfig
from flows.plan import Line

WARM_UP = ("demonstrate",)
ITERATION = ("sample", "grade", "reward", "pair", "score", "train", "evaluate")
STAGES = (*WARM_UP, *ITERATION)
STOPS = tuple(stage for stage in STAGES if stage not in ("reward", "score"))
"""Where a run can be asked to end: not after what an iteration may do several times, or not at all."""


def check_stage(option: str, name: str, stages: Sequence[str] = STAGES) -> None:
    """Pass silently if the option knows such a stage.

    Raises:
        ValueError: names the nearest one.
    """
    if name in stages:
        return
    near = difflib.get_close_matches(name, stages, n=1, cutoff=0.4)
    guess = f" did you mean {near[0]!r}?" if near else ""
    raise ValueError(f"{option} {name}: no such stage;{guess} there are: {', '.join(stages)}")


def refreshed(config: RunConfig, stages: Sequence[str], from_iteration: int | None) -> tuple[str, ...]:
    """What is computed anew although its result is there.

    Raises:
        ValueError: no such stage or iteration.
    """
    for name in stages:
        check_stage("--refresh", name)
    if from_iteration is None:
        return tuple(stages)
    if not 1 <= from_iteration <= config.iterations:
        has = f"iterations 1 to {config.iterations}" if config.iterations else "no iterations"
        raise ValueError(f"--from-iteration {from_iteration}: {config.name} has {has}")
    later = range(from_iteration, config.iterations + 1)
    return (*stages, *(f"{stage}@{number}" for number in later for stage in ITERATION))


def stopping_point(config: RunConfig, stage: str, lines: Sequence[Line]) -> str:
    """The stage of the first iteration that is not finished, by its plan; empty when nothing is left to stop.

    Raises:
        ValueError: no such stage, or none in this campaign.
    """
    check_stage("--stop-after", stage, STOPS)
    if stage in WARM_UP:
        if config.warmup is None:
            raise ValueError(f"--stop-after {stage}: {config.name} has no warm-up")
        return f"{stage}@warm-up"
    for line in lines:
        label = _part(line)
        if label.startswith("iteration ") and line.status != "cached":
            return f"{stage}@{label.removeprefix('iteration ')}"
    return ""


def is_finished(lines: Sequence[Line]) -> bool:
    """Whether every result of the plan is there, so that a run would compute nothing."""
    return all(line.status in ("cached", "there") for line in lines)


def until(lines: Sequence[Line], stop: str) -> list[Line]:
    """The plan with what follows the stopping point marked as not reached."""
    stage, _, part = stop.partition("@")
    labels = (part, f"iteration {part}")
    last = next((i for i, line in enumerate(lines) if line.stage == stage and line.label in labels), len(lines))
    rest = [replace(line, status="later", why=f"after --stop-after {stage}") for line in lines[last + 1 :]]
    return [*lines[: last + 1], *rest]


def _part(line: Line) -> str:
    return line.label.partition(" · ")[0]
