"""Pictures of a campaign, without a display."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl

mpl.use("Agg")

from matplotlib import pyplot as plt

if TYPE_CHECKING:
    from flows.comparison.panels import Panel

ACROSS = 4
"""Panels side by side."""


def plot_accuracy(campaigns: dict[str, dict[str, Any]], path: Path) -> None:
    """Accuracy by iteration: a panel per benchmark, a line per campaign and decoding, bars of one standard error."""
    lines: dict[str, dict[str, list[tuple[int, float, float]]]] = {}
    for name, facts in campaigns.items():
        for row in facts["iterations"]:
            for score in row["values"]:
                metric = score["metric"]
                if metric == "greedy" or metric.startswith("mean@"):
                    label = f"{name} {metric}" if len(campaigns) > 1 else metric
                    error = score["standard_error"] or 0.0
                    point = (row["iteration"], 100 * score["value"], 100 * error)
                    lines.setdefault(score["benchmark"], {}).setdefault(label, []).append(point)
    figure, axes = plt.subplots(1, max(1, len(lines)), figsize=(5 * max(1, len(lines)), 3.6), squeeze=False)
    for axis, (benchmark, series) in zip(axes[0], lines.items(), strict=False):
        for label, points in series.items():
            x, y, error = zip(*points, strict=True)
            axis.errorbar(x, y, yerr=error, marker="o", capsize=3, label=label)
        axis.set(title=benchmark, xlabel="iteration", ylabel="accuracy, %", ylim=(0, 100))
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.grid(alpha=0.3)
        axis.legend()
    _save(figure, path)


def plot_panels(rows: dict[str, list["Panel"]], path: Path) -> None:
    """A comparison: panels by benchmark, a line per campaign, bars of 95 %."""
    lines = [
        (name, row[start : start + ACROSS]) for name, row in rows.items() for start in range(0, len(row), ACROSS)
    ] or [("", [])]
    figure, axes = plt.subplots(len(lines), ACROSS, figsize=(3.6 * ACROSS, 3.1 * len(lines)), squeeze=False)
    for places, (name, panels) in zip(axes, lines, strict=True):
        for axis in places[len(panels) :]:
            axis.axis("off")
        for axis, panel in zip(places, panels, strict=False):
            _draw(axis, panel)
            axis.set_title(f"{name}: {panel.title}", fontsize=9)
    if rows:
        axes[0][0].legend(fontsize=8)
    _save(figure, path)


def _draw(axis: Any, panel: "Panel") -> None:
    for campaign, marks in panel.lines.items():
        x, y = [mark.x for mark in marks], [mark.y for mark in marks]
        errors = [mark.margin or 0.0 for mark in marks]
        axis.errorbar(x, y, yerr=errors, marker="o", markersize=4, capsize=2, label=campaign)
    axis.set_xlabel(panel.x_name)
    if panel.x_name in ("iteration", "k"):
        axis.xaxis.get_major_locator().set_params(integer=True)
    axis.grid(alpha=0.3)


def plot_training(curves: list[list[dict[str, float]]], path: Path) -> None:
    """Loss and reward margin (or log-likelihood) by optimizer step, iterations one after the other."""
    wanted = [
        n for n in ("loss", "rewards/margins", "nll_per_token", "grad_norm") if any(n in p for c in curves for p in c)
    ]
    figure, axes = plt.subplots(1, max(1, len(wanted)), figsize=(4 * max(1, len(wanted)), 3.2), squeeze=False)
    for axis, name in zip(axes[0], wanted, strict=False):
        offset = 0
        for number, curve in enumerate(curves, 1):
            points = [(offset + p["step"], p[name]) for p in curve if name in p]
            if points:
                axis.plot(*zip(*points, strict=True), label=f"iteration {number}")
            offset += len(curve)
        axis.set(title=name, xlabel="optimizer step")
        axis.grid(alpha=0.3)
    if wanted:
        axes[0][0].legend()
    _save(figure, path)


def _save(figure: Any, path: Path) -> None:
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    plt.close(figure)
