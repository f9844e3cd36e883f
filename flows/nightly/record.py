"""What a standing campaign's nights have come to, and which policies are called `best` and `newest`.

One JSON file beside the campaign's results, replaced whole after every night, is the truth; MLflow's aliases are a
copy. Which iteration is next and which policy it starts from follow from it.
"""

import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from artifacts import plain_json
from artifacts.durable import write_atomically
from tasks.workspace import Workspace

Outcome = Literal["base", "promoted", "kept", "rolled back", "failed"]
ALIASES = ("best", "newest")
"""`latest` is reserved in MLflow."""


@dataclass(frozen=True)
class Night:
    """One night; the first entry is the policy that the first night started from."""

    iteration: int
    outcome: Outcome
    why: str
    began: float
    """Seconds since 1970."""
    ended: float
    result: dict[str, Any] | None = None
    """What the iteration flow returns; None for a night that failed."""


@dataclass(frozen=True)
class Nights:
    """All nights of one campaign."""

    campaign: str
    nights: tuple[Night, ...] = ()
    best: int | None = None
    """Iteration of the best policy."""
    aliases: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Alias -> iteration, and path and digest of its checkpoint."""

    @property
    def results(self) -> list[dict[str, Any]]:
        """Of all iterations that came to an end, in order."""
        return [night.result for night in self.nights if night.result is not None]

    def result_of(self, iteration: int) -> dict[str, Any]:
        """What the iteration flow returned."""
        return next(result for result in self.results if result["iteration"] == iteration)

    def next_iteration(self, attempts: int) -> int:
        """The number of tonight's iteration: one that failed is tried again, so many times in all."""
        done = self.results[-1]["iteration"] if self.results else 0
        failures = [night.iteration for night in self.nights if night.outcome == "failed" and night.iteration > done]
        if not failures:
            return done + 1
        return failures[-1] if failures.count(failures[-1]) < attempts else failures[-1] + 1

    def start(self) -> dict[str, Any]:
        """The result whose policy tonight improves: the newest, or after a regression the best."""
        finished = [night for night in self.nights if night.result is not None]
        if finished[-1].outcome == "rolled back":
            assert self.best is not None
            return self.result_of(self.best)
        return self.results[-1]

    def with_night(self, night: Night) -> "Nights":
        """The same with one more night, its aliases moved."""
        best = night.iteration if night.outcome in ("base", "promoted") else self.best
        after = replace(self, nights=(*self.nights, night), best=best)
        if night.result is None:
            return after
        aliases = {"newest": _entry(night.result), "best": _entry(after.result_of(int(best or 0)))}
        return replace(after, aliases=aliases)


def path(workspace: Workspace, campaign: str) -> Path:
    """Where the record is kept."""
    return workspace.results(campaign).with_name("nights.json")


def read(workspace: Workspace, campaign: str) -> Nights:
    """The nights so far; none when there was none.

    Raises:
        ValueError: the file is no such record.
    """
    file = path(workspace, campaign)
    try:
        fields = plain_json.parse(file.read_bytes())
        nights = tuple(Night(**night) for night in fields.pop("nights"))
        return Nights(**fields, nights=nights)
    except FileNotFoundError:
        return Nights(campaign)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(
            f"{file} is no record of nights ({error}); put back a copy, or delete it: the next nights then begin with "
            "iteration 1 again, from what is cached"
        ) from error


def write(workspace: Workspace, nights: Nights) -> None:
    """Replace the record."""
    file = path(workspace, nights.campaign)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(file, json.dumps(asdict(nights), indent=1).encode())


def checkpoint_of(workspace: Workspace, campaign: str, alias: str) -> str:
    """The folder of `campaign@alias`.

    Raises:
        ValueError: no such alias, the campaign has had no night, or the checkpoint is gone.
    """
    if alias not in ALIASES:
        raise ValueError(f"{campaign}@{alias}: no such alias; there are: {', '.join(ALIASES)}")
    nights = read(workspace, campaign)
    if alias not in nights.aliases:
        raise ValueError(f"{campaign}@{alias}: no night of {campaign} has come to an end; `odr nightly` sets one up")
    folder = str(nights.aliases[alias]["path"])
    if not Path(folder).is_dir():
        raise ValueError(f"{campaign}@{alias}: its checkpoint {folder} is gone; the next night makes it again")
    return folder


def _entry(result: dict[str, Any]) -> dict[str, Any]:
    return {"iteration": result["iteration"], "path": result["policy"]["path"], "digest": result["policy"]["digest"]}
