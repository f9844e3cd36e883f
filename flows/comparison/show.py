"""A comparison on the terminal, and in words."""

from rich.table import Table

from flows.comparison.campaigns import Campaign
from flows.comparison.differences import Difference, Result, Score
from flows.comparison.significance import DRAWS
from flows.tables import percent

COLUMNS = ("campaign", "objective", "base, %", "last, %", "gain, points (95 %)", "against {}, points (95 %)",
           "problems", "p", "p, Holm")  # fmt: skip


def tables(results: list[Result]) -> list[Table]:
    """One per benchmark and decoding."""
    found: list[Table] = []
    for generation in dict.fromkeys(result.generation for result in results):
        rows = [result for result in results if result.generation == generation]
        table = Table(*(name.format(results[0].campaign) for name in COLUMNS), title=generation)
        for result in rows:
            table.add_row(*cells(result))
        found.append(table)
    return found


def cells(result: Result) -> list[str]:
    """What a table says of one campaign, by `COLUMNS`."""
    against = result.against
    return [
        result.campaign,
        result.objective,
        _score(result.base),
        _score(result.last),
        interval(result.gain) if result.gain else "",
        interval(against) if against else result.why_not,
        f"{against.problems:,}" if against else f"{result.last.problems:,}" if result.last else "",
        chance(against.p) if against else "",
        chance(against.adjusted) if against and against.adjusted is not None else "",
    ]


def interval(found: Difference) -> str:
    """+4.2 [+1.0, +7.5], in points."""
    low, high = 100 * found.low, 100 * found.high
    verdict = "" if low > 0 or high < 0 else ", within noise"
    return f"{100 * found.value:+.1f} [{low:+.1f}, {high:+.1f}]{verdict}"


def chance(p: float) -> str:
    """A p with as many digits as it has."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def notes(campaigns: list[Campaign], results: list[Result]) -> list[str]:
    """How the figures were made."""
    count = sum(result.against is not None for result in results)
    said = ["± is one standard error over problems; gains and differences are paired, problem by problem."]
    if count:
        said.append(
            f"Differences to {campaigns[0].name} are over the problems that both were asked (their number is given), p "
            f"by {DRAWS:,} random changes of sign, two-sided; Holm adjusts it for the {count} "
            f"{'differences' if count > 1 else 'difference'} shown. Intervals, and the gains, are of each one alone."
        )
    return said


def _score(found: Score | None) -> str:
    return percent(found.value, found.standard_error) if found else ""
