"""Paired differences: between a campaign's last policy and its first, and the last policy of the first campaign."""

import math
from dataclasses import asdict, dataclass, replace
from typing import Any

from artifacts import ArtifactError
from eval_math import metrics
from flows import report
from flows.comparison.campaigns import Campaign
from flows.comparison.significance import holm, sign_flip
from tasks.workspace import Workspace

Verdicts = dict[str, list[bool | None]]
"""By problem."""


@dataclass(frozen=True)
class Score:
    """A mean over problems, as a fraction."""

    value: float
    standard_error: float | None
    """None for a single problem."""
    problems: int


@dataclass(frozen=True)
class Difference:
    """Of two scores on the problems that both have verdicts for; fractions."""

    value: float
    low: float
    high: float
    """95 % bootstrap interval over problems, of this difference alone."""
    p: float
    """Two-sided, of this difference alone."""
    problems: int
    adjusted: float | None = None
    """p adjusted for all differences of the comparison."""


@dataclass(frozen=True)
class Result:
    """One campaign on one benchmark and decoding."""

    campaign: str
    objective: str
    generation: str
    """Such as math500/greedy."""
    base: Score | None = None
    last: Score | None = None
    gain: Difference | None = None
    """Of the last policy over the one at the start."""
    against: Difference | None = None
    """Of the last policy over that of the first campaign; None for that one itself."""
    why_not: str = ""
    """Why something above is missing."""

    def to_json(self) -> dict[str, Any]:
        """Its fields."""
        return asdict(self)


def generations(campaigns: list[Campaign]) -> list[str]:
    """What any of them was evaluated on, in the order of the first that was."""
    return list(dict.fromkeys(name for c in campaigns for name in c.source.last.get("generations", {})))


def results_of(workspace: Workspace, campaigns: list[Campaign], generation: str) -> list[Result]:
    """Every campaign on one benchmark and decoding; differences are to the first that has it."""
    found: list[Result] = []
    reference: Verdicts | None = None
    for campaign in campaigns:
        blank = Result(campaign.name, campaign.objective, generation)
        rows = campaign.source.iterations
        try:
            before, after = (_verdicts(workspace, row, generation) for row in (rows[0], rows[-1]))
        except ArtifactError as error:
            found.append(replace(blank, why_not=f"its verdicts cannot be read: {error}"))
            continue
        if after is None:
            found.append(replace(blank, why_not="not evaluated on this"))
            continue
        result = replace(blank, last=_score(after), base=_score(before) if before else None)
        if before and len(rows) > 1:
            result = replace(result, gain=_difference(after, before))
        if reference is None:
            reference = after
        else:
            against = _difference(after, reference)
            result = replace(result, against=against, why_not="" if against else "no problems in common")
        found.append(result)
    return found


def adjusted(results: list[Result]) -> list[Result]:
    """The same, with the p of every difference to the first campaign adjusted for all of them (Holm)."""
    tested = [result.against for result in results if result.against]
    each = iter(holm([difference.p for difference in tested]))
    return [
        replace(result, against=replace(result.against, adjusted=next(each))) if result.against else result
        for result in results
    ]


def _verdicts(workspace: Workspace, row: dict[str, Any], generation: str) -> Verdicts | None:
    kept = row.get("generations", {}).get(generation)
    return report.verdicts(workspace, kept) if kept else None


def _score(verdicts: Verdicts) -> Score | None:
    try:
        found = metrics.mean_at_n(list(verdicts.values()))
    except ValueError:  # no problem has a known verdict
        return None
    error = None if math.isnan(found.standard_error) else found.standard_error
    return Score(found.value, error, found.num_problems)


def _difference(a: Verdicts, b: Verdicts) -> Difference | None:
    shared = [problem for problem in a if problem in b and _known(a[problem]) and _known(b[problem])]
    if not shared:
        return None
    ours, theirs = ([of[problem] for problem in shared] for of in (a, b))
    found = metrics.paired_difference(ours, theirs)
    assert found.interval is not None
    pairs = zip(metrics.mean_values(ours), metrics.mean_values(theirs), strict=True)
    p = sign_flip([one - other for one, other in pairs if one is not None and other is not None])
    return Difference(found.value, *found.interval, p, found.num_problems)


def _known(verdicts: list[bool | None]) -> bool:
    return any(verdict is not None for verdict in verdicts)
