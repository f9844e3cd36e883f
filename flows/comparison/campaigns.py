"""The campaigns of a comparison: their scores by iteration, and how much each had sampled and trained by then."""

from collections.abc import Callable
from dataclasses import dataclass

from artifacts import ArtifactError, Checkpoint, Ref
from flows.mirror.amounts import Amounts, amounts_of
from flows.page import accuracy, source
from flows.page.accuracy import Series
from flows.page.source import Source
from tasks.workspace import Workspace


@dataclass(frozen=True)
class Campaign:
    """One finished campaign."""

    name: str
    objective: str
    source: Source
    series: list[Series]
    amounts: list[Amounts | None]
    """Of all iterations up to each, by row of the results; None where an artifact is gone."""

    def find(self, benchmark: str, metric: str) -> Series | None:
        """One metric of one benchmark over the iterations."""
        return next((s for s in self.series if (s.benchmark, s.metric) == (benchmark, metric)), None)

    def along(self, amount: Callable[[Amounts], float]) -> dict[int, float]:
        """Iteration -> how much of something was done by then, as far as it is known."""
        rows = zip(self.source.iterations, self.amounts, strict=True)
        return {row.get("iteration", 0): amount(found) for row, found in rows if found is not None}


def read(workspace: Workspace, name: str) -> Campaign:
    """Open one.

    Raises:
        FileNotFoundError: there is none of that name; names the nearest.
        ValueError: its results or its config are no longer what a campaign writes.
    """
    found = source.read(workspace, name)
    return Campaign(name, str(found.results.get("objective", "")), found, accuracy.all_series(found), _amounts(found))


def caveats(campaigns: list[Campaign]) -> list[str]:
    """What else differs between them, or hides behind the figures."""
    said: list[str] = []
    starts = {campaign.name: campaign.source.iterations[0].get("policy", {}).get("digest") for campaign in campaigns}
    if len(set(starts.values())) > 1:
        said.append("They start from different policies, so look at the gains as well as at the last scores.")
    lengths = {campaign.name: len(campaign.source.iterations) - 1 for campaign in campaigns}
    if len(set(lengths.values())) > 1:
        counts = ", ".join(f"{name} {count}" for name, count in lengths.items())
        said.append(f"They have different numbers of iterations: {counts}.")
    if len(campaigns) > 1:
        said.append(
            "One run of each: the intervals cover which problems were asked, not how another seed would have trained."
        )
    return said


def _amounts(found: Source) -> list[Amounts | None]:
    total: Amounts | None = Amounts()
    sums: list[Amounts | None] = [total]
    for row in found.iterations[1:]:
        try:
            one = amounts_of(
                found.workspace.store,
                Ref.from_json(row["grades"]),
                Ref.from_json(row["rows"]),
                Checkpoint.from_json(row["policy"]),
            )
        except (ArtifactError, KeyError) as error:
            found.gone.append(f"tokens of {found.campaign} are unknown from iteration {row.get('iteration')}: {error}")
            one = None
        total = None if total is None or one is None else total + one
        sums.append(total)
    return sums
