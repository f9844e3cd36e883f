"""Tables for the terminal."""

from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.table import Table

from flows.report import headline
from flows.terminal import clean

if TYPE_CHECKING:
    from flows.plan import Line


def percent(value: float, error: float | None) -> str:
    """42.0 ± 1.9, in percent."""
    return f"{100 * value:.1f}" + (f" ± {100 * error:.1f}" if error is not None else "")


def plan_table(lines: list["Line"]) -> Table:
    """Stages, whether they run, and why."""
    table = Table("part", "stage", "", "why", "size", title="Plan")
    colour = {"cached": "green", "there": "green", "run": "yellow", "missing": "red", "later": "dim"}
    for line in lines:
        table.add_row(
            line.label,
            line.stage,
            f"[{colour[line.status]}]{line.status}[/]",
            plain(line.why),
            plain(line.size),
        )
    return table


def results_table(facts: dict[str, Any]) -> Table:
    """Accuracy by iteration, with standard errors, and where the time went."""
    rows = facts["iterations"]
    accuracies = [key for key in headline(rows[0]) if key[1] == "greedy" or "@" in key[1]]
    most = max((int(metric.rpartition("@")[2]) for _, metric in accuracies if "@" in metric), default=0)
    columns = [key for key in accuracies if key[1] == "greedy" or key[1].endswith(f"@{most}")]
    table = Table("iteration", *(f"{bench}\n{metric}, %" for bench, metric in columns), "tokens", "rows", "seconds")
    table.title = f"{facts['campaign']} ({facts['objective']}, seed {facts['seed']})"
    for row in rows:
        scores = headline(row)
        cells = [percent(*scores[key]) for key in columns]
        lengths = [value for (_, metric), (value, _) in scores.items() if metric.startswith("mean_tokens")]
        made = str(row["rows"]["rows"]) if "rows" in row else ""
        fresh = sum(stage["seconds"] for stage in row["stages"])
        cached = all(stage["cached"] for stage in row["stages"])
        name = str(row["iteration"]) if row["iteration"] else "base"
        seconds = f"{fresh:.1f}" + (" (cached)" if cached else "")
        table.add_row(name, *cells, f"{lengths[-1]:.1f}" if lengths else "", made, seconds)
    return table


PHASES = {
    "demonstrate": "warm-up rows",
    "sample": "sampling",
    "grade": "grading",
    "reward": "grading",
    "pair": "pairing",
    "score": "scoring of rows",
    "train": "training",
    "evaluate": "scoring",
}


def phases(facts: dict[str, Any], seconds: float) -> dict[str, float]:
    """Wall seconds of one run of the command by phase; what was cached took none."""
    spent: dict[str, float] = {}
    for stage in (stage for row in facts["iterations"] for stage in row["stages"]):
        name = "warm-up" if stage["label"] == "warm-up" and stage["stage"] == "train" else PHASES[stage["stage"]]
        spent[name] = spent.get(name, 0.0) + stage["seconds"]
    return {**spent, "everything else": seconds - sum(spent.values())}


def start_up(facts: dict[str, Any]) -> float:
    """Seconds in which engines and trainers were starting."""
    stages = (stage for row in facts["iterations"] for stage in row["stages"])
    return sum(child["start_up"] for stage in stages for child in stage["children"])


def phase_line(facts: dict[str, Any], seconds: float) -> str:
    """Where the wall time went."""
    shares = ", ".join(
        f"{name} {value:.0f} s ({100 * value / seconds:.0f} %)"
        for name, value in phases(facts, seconds).items()
        if value >= 0.5
    )
    return f"{seconds:.0f} s: {shares}; start-up of engines and trainers is {start_up(facts):.0f} s of it"


def plain(text: str) -> str:
    """What others have written is no markup, and no command to the terminal."""
    return escape(clean(text))
