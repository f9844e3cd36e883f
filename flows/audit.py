"""`odr benchmarks`: what the benchmarks are, and which of their reference answers need a look."""

from pathlib import Path

from rich.table import Table
from rich.text import Text

from eval_math import Policy, benchmarks
from eval_math.audit import audit


def entries_table() -> Table:
    """Every registered benchmark, as its entry has it."""
    table = Table("benchmark", "dataset", "revision", "rows", "n", "metric", "tolerance", "version")
    for name in benchmarks.names():
        entry = benchmarks.entry(name)
        tolerance = Policy.benchmark(name).relative_tolerance
        table.add_row(
            name,
            f"{entry.dataset}{f' ({entry.subset})' if entry.subset else ''}",
            (entry.revision or "newest")[:12],
            " or ".join(map(str, entry.num_rows)),
            str(entry.n),
            entry.metric,
            f"{tolerance:g}",
            str(entry.version),
        )
    return table


def audit_report(name: str, data_dir: Path | None) -> list[str | Table]:
    """What was read, and a table of the golds that the audit objects to, if any.

    Raises:
        ValueError: the benchmark cannot be loaded as its entry promises.
    """
    found = benchmarks.load(name, None if name.endswith((".jsonl", ".parquet")) else data_dir)
    exceptions = audit(found)
    line = f"{found.name}: {len(found.problems)} problems, {len(exceptions)} exceptions. {found.policy}. {found.source}"
    if not exceptions:
        return [line]
    table = Table("problem", "gold", "reason")
    for each in exceptions:
        table.add_row(Text(each.problem_id), Text(each.gold), each.reason)
    return [line, table]
