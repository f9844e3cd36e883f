"""A comparison as one HTML file that needs no network, no script and no other file."""

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

import flows.page
from flows.comparison.campaigns import Campaign
from flows.comparison.differences import Result
from flows.comparison.panels import TRAINING, Panel
from flows.comparison.show import COLUMNS, cells
from flows.page import charts
from flows.page.charts import Line
from flows.page.inert import finalize

COLOURS = 6
"""That the page's style has; a seventh campaign begins anew."""


def page(campaigns: list[Campaign], results: list[Result], rows: dict[str, list[Panel]], notes: list[str]) -> str:
    """The whole page."""
    environment = Environment(
        loader=FileSystemLoader([Path(__file__).parent, Path(flows.page.__file__).parent]),
        autoescape=True, finalize=finalize, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    kinds = {campaign.name: f"c{index % COLOURS}" for index, campaign in enumerate(campaigns)}
    generations = dict.fromkeys(result.generation for result in results)
    return environment.get_template("comparison.html.jinja").render(
        campaigns=[(c.name, c.objective, kinds[c.name], len(c.source.iterations) - 1) for c in campaigns],
        columns=[name.format(campaigns[0].name) for name in COLUMNS],
        tables=[(name, [cells(r) for r in results if r.generation == name]) for name in generations],
        rows=[(name, [_drawn(panel, kinds) for panel in row]) for name, row in rows.items()],
        notes=notes,
        training=TRAINING,
    )


def _drawn(panel: Panel, kinds: dict[str, str]) -> dict[str, Any]:
    lines = [Line(name, marks, kind=kinds[name]) for name, marks in panel.lines.items() if marks]
    chart = charts.line_chart(lines, f"{panel.title} by {panel.x_name}", panel.x_name, dots=True)
    return {"title": panel.title, "chart": chart}
