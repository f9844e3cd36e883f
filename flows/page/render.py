"""From a campaign to the text of its page: what each section shows, and the template that lays it out."""

from itertools import pairwise
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from flows.page import accuracy, charts, published
from flows.page.answers import Answers, answers_of
from flows.page.charts import Line, Mark
from flows.page.clock import clocks
from flows.page.examples import examples_of
from flows.page.inert import finalize, shortened
from flows.page.lineage import lineage
from flows.page.source import Source, at, name_of
from flows.page.training import Panel, panels
from flows.page.yields import yields_of

TEMPLATES = Path(__file__).parent
CONFIG = 40_000
"""Characters of the resolved config."""


def page(source: Source) -> str:
    """The whole page."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, finalize=finalize, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters |= {"percent": percent, "number": charts.number, "size": size}
    answers = [answers_of(source, row) for row in source.iterations]
    origin, examples = examples_of(source)
    artifacts, more = lineage(source)
    sections = {
        **_accuracy(source), **_answers(source, answers), **_training(source),
        "yields": yields_of(source, answers), "shares": charts.shares, "bar": charts.bar, "clocks": clocks(source),
        "examples_origin": origin, "examples": examples, "artifacts": artifacts, "more_artifacts": more,
    }  # fmt: skip
    # Last: reading the sections is what finds out what is gone.
    return environment.get_template("page.html.jinja").render(
        **sections, campaign=source.campaign, facts=_facts(source), config=shortened(source.config_text, CONFIG),
        gone=source.gone,
    )  # fmt: skip


def percent(value: float) -> str:
    """A fraction as 42.0."""
    return f"{100 * value:.1f}"


def size(count: float | None) -> str:
    """Bytes for people."""
    if count is None:
        return ""
    for unit in ("B", "KB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def _facts(source: Source) -> list[tuple[str, str]]:
    """What was run: a name and a word or two each."""
    config, objective = source.config, at(source.config, "objective") or {}
    settings = ", ".join(f"{name} {value}" for name, value in objective.items() if name != "name")
    name = str(source.results.get("objective") or at(objective, "name") or "unknown")
    each = at(config, "prompts", "per_iteration")
    benchmarks = ", ".join(str(at(bench, "name")) for bench in at(config, "evaluate", "benchmarks") or [])
    found = {
        "Objective": f"{name} ({settings})" if settings else name,
        "Model": at(config, "model"),
        "Problems": _joined(_place(at(config, "prompts")), each and f"{each:,} per iteration"),
        "Warm-up": _place(at(config, "warmup", "demonstrations")),
        "Answers": _joined(
            _said("{} per problem", at(config, "sample", "samples_per_prompt")),
            _said("temperature {}", at(config, "sample", "temperature")),
            _said("at most {} tokens", at(config, "sample", "max_tokens")),
        ),
        "Training": _joined(
            _said("learning rate {}", at(config, "train", "learning_rate")),
            _said("batches of {}", at(config, "train", "batch_size")),
            _said("{} epochs", at(config, "train", "epochs")),
        ),
        "Benchmarks": benchmarks or "none",
        "Iterations": str(len(source.iterations) - 1),
        "Seed": source.results.get("seed", at(config, "seed")),
    }
    return [(name, shortened(str(value), 300)) for name, value in found.items() if value is not None]


def _place(source: Any) -> Any:
    """The file or the hub name that a config's data come from."""
    return at(source, "path") or at(source, "dataset")


def _said(words: str, value: Any) -> str | None:
    return None if value is None else words.format(value)


def _joined(*parts: Any) -> str | None:
    return ", ".join(str(part) for part in parts if part) or None


def _accuracy(source: Source) -> dict[str, Any]:
    found = accuracy.changes(source)
    every = accuracy.all_series(source)
    shown = [series for series in every if accuracy.is_accuracy(series)]
    drawings = []
    for benchmark in dict.fromkeys(series.benchmark for series in shown):
        plain = [series for series in shown if series.benchmark == benchmark and accuracy.is_plain(series)]
        lines = [_percent_line(series, strong=index == 0) for index, series in enumerate(_judged_first(plain))]
        drawings.append((benchmark, charts.line_chart(lines, f"{benchmark}, %", "iteration", dots=True), lines))
    verdict, sentence = accuracy.headline(source, found)
    return {
        "verdict": verdict, "headline": sentence, "changes": found, "series": shown,
        "last_changes": accuracy.changes(source, -2) if len(source.iterations) > 2 else [],
        "accuracy_charts": drawings, "published": published.shared(source.config),
        "rows": [(row.get("iteration", index), name_of(row, source)) for index, row in enumerate(source.iterations)],
        "lengths": [s for s in every if s.metric.startswith(("mean_tokens", "truncated", "no_verdict", "too_long"))],
    }  # fmt: skip


def _judged_first(plain: list[accuracy.Series]) -> list[accuracy.Series]:
    return sorted(plain, key=lambda series: series.metric == "greedy")


def _percent_line(series: accuracy.Series, *, strong: bool) -> Line:
    marks = [Mark(p.iteration, 100 * p.value, None if p.error is None else 100 * p.error) for p in series.points]
    return Line(series.metric, marks, strong)


def _answers(source: Source, answers: list[Answers | None]) -> dict[str, Any]:
    known = [(row["iteration"], found) for row, found in zip(source.iterations, answers, strict=True) if found]
    drawings: list[tuple[str, Markup, list[Line]]] = []
    if known:
        lengths = [
            Line("right", [Mark(i, m) for i, a in known if (m := a.mean_length_of(True)) is not None]),
            Line("wrong", [Mark(i, m) for i, a in known if (m := a.mean_length_of(False)) is not None], strong=False),
        ]
        entropy = [Line("entropy", [Mark(i, a.entropy) for i, a in known if a.entropy is not None])]
        cut = [Line("cut off", [Mark(i, 100 * a.truncated / max(1, a.count)) for i, a in known])]
        for name, lines in (("tokens per answer", lengths), ("entropy per token, nats", entropy), ("cut off, %", cut)):
            drawn = [line for line in lines if line.marks]
            drawings.append((name, charts.line_chart(drawn, name, "iteration", dots=True), drawn))
    rates = [(i, charts.histogram(a.pass_rates(), f"iteration {i}", "pass rate of a problem")) for i, a in known]
    return {"answers": known, "answer_charts": drawings, "pass_rates": rates}


def _training(source: Source) -> dict[str, Any]:
    iterations, start = slice(1, None), slice(0, 1)
    return {
        "curves": {title: [_drawn(p, "iteration") for p in made] for title, made in panels(source, iterations).items()},
        "critic_curves": _flat(panels(source, iterations, "critic"), "iteration"),
        "warm_up_curves": _flat(panels(source, start), "warm-up"),
    }


Drawn = tuple[str, Markup, list[Line], float]
"""Name, drawing, legend, last value."""


def _flat(sections: dict[str, list[Panel]], word: str) -> list[Drawn]:
    return [_drawn(panel, word) for made in sections.values() for panel in made]


def _drawn(panel: Panel, word: str) -> Drawn:
    """One panel; what is taken once per iteration has the iterations as its axis."""
    lines, names = [], []
    for index, (side, parts) in enumerate(panel.lines.items()):
        if panel.once:
            lines.append(Line(side, [Mark(n, y) for n, part in enumerate(parts, 1) for _, y in part], index == 0))
        else:
            marks = [(f"{side} {word} {n}".strip(), [Mark(x, y) for x, y in part]) for n, part in enumerate(parts, 1)]
            lines += [Line(name, made, index == 0) for name, made in marks if made]
        names += [Line(side, [], index == 0)] if side else []
    if panel.once:
        return panel.name, charts.line_chart(lines, panel.name, word, dots=True), names, panel.last
    first = next(iter(panel.lines.values()))
    breaks = [(a[-1][0] + b[0][0]) / 2 for a, b in pairwise(first) if a and b]
    return panel.name, charts.line_chart(lines, panel.name, "optimizer step", breaks=breaks), names, panel.last
