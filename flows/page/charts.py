"""Drawings as SVG: no script, no font, colours by class, so that the page's light and dark styles hold for them.

Every drawing is made for a column of about 340 pixels and is never enlarged much, so its words stay readable on a
telephone; wide pages put several side by side. What a mark means can be read by hovering over it (`<title>`).
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from flows.page.inert import label

WIDTH, HEIGHT = 340, 184
LEFT, RIGHT, TOP, BOTTOM = 54, 12, 12, 32


@dataclass(frozen=True)
class Mark:
    """A point of a line, with what 95 % of the time lies around it if that is known."""

    x: float
    y: float
    margin: float | None = None


@dataclass(frozen=True)
class Line:
    """Marks that belong together; `strong` has the accent colour, the others are grey and dashed."""

    name: str
    marks: Sequence[Mark]
    strong: bool = True
    kind: str = ""
    """A class of its own instead of those two, for pages that have a style for it."""


@dataclass(frozen=True)
class Axes:
    """From values to places of a drawing."""

    x_low: float
    x_high: float
    y_low: float
    y_high: float

    def x(self, value: float) -> float:
        """Pixels from the left."""
        return LEFT + (WIDTH - LEFT - RIGHT) * (value - self.x_low) / ((self.x_high - self.x_low) or 1)

    def y(self, value: float) -> float:
        """Pixels from the top."""
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (value - self.y_low) / ((self.y_high - self.y_low) or 1)


def number(value: float) -> str:
    """A figure as short as it can be read."""
    short = f"{value:,.0f}" if 100 <= abs(value) < 10000 else f"{value:.3g}"
    return short.replace("e-0", "e-").replace("e+0", "e").replace("e+", "e")


def ticks(low: float, high: float) -> list[float]:
    """Three to six round values between the two."""
    if high <= low:
        return [low]
    rough = (high - low) / 4
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [round(index * step, 12) for index in range(first, math.floor(high / step + 1e-9) + 1)]


def line_chart(
    lines: Sequence[Line], title: str, x_name: str, *, within: tuple[float, float] | None = None, dots: bool = False,
    breaks: Sequence[float] = (),
) -> Markup:  # fmt: skip
    """Lines over a common axis; `within` fixes the range of y; `dots` draws every mark; `breaks` part the axis."""
    xs = [mark.x for line in lines for mark in line.marks] or [0.0]
    axes = Axes(min(xs), max(xs) if max(xs) > min(xs) else min(xs) + 1, *(within or _range(lines)))
    body = [_grid(axes, x_name, whole=dots)]
    body += [f'<path class="break" d="M{axes.x(x):.1f} {TOP}V{HEIGHT - BOTTOM}"/>' for x in breaks]
    for line in lines:
        kind = line.kind or ("strong" if line.strong else "weak")
        path = "M" + "L".join(f"{axes.x(mark.x):.1f} {axes.y(mark.y):.1f}" for mark in line.marks)
        if len(line.marks) > 1:
            body.append(f'<path class="line {kind}" d="{path}"><title>{label(line.name)}</title></path>')
        if dots or len(line.marks) == 1:
            body += [_dot(axes, line, mark, kind) for mark in line.marks]
    return _drawing(title, body)


def histogram(bars: Sequence[tuple[str, int]], title: str, x_name: str) -> Markup:
    """One column per (label, count); the outermost ones, which teach nothing by contrast, are grey."""
    axes = Axes(0, len(bars), 0, max((count for _, count in bars), default=0) or 1)
    body = [_horizontal(axes)]
    every = math.ceil(len(bars) / 6)
    for index, (name, count) in enumerate(bars):
        left, right, top = axes.x(index + 0.1), axes.x(index + 0.9), axes.y(count)
        kind = "flat" if index in (0, len(bars) - 1) else "full"
        body.append(
            f'<rect class="{kind}" x="{left:.1f}" y="{top:.1f}" width="{right - left:.1f}" '
            f'height="{HEIGHT - BOTTOM - top:.1f}"><title>{label(name)}: {count:,}</title></rect>'
        )
        if index % every == 0 or index == len(bars) - 1:
            body.append(_text(axes.x(index + 0.5), HEIGHT - BOTTOM + 13, label(name), "middle"))
    return _drawing(title, [*body, _name_x(x_name)])


def shares(parts: Sequence[tuple[str, int, str]], title: str) -> Markup:
    """One bar of (name, count, class), as wide as its column."""
    total = sum(count for _, count, _ in parts) or 1
    body, left = [], 0.0
    for name, count, kind in parts:
        width = WIDTH * count / total
        body.append(
            f'<rect class="{kind}" x="{left:.1f}" y="0" width="{width:.1f}" height="14">'
            f"<title>{label(name)}: {count:,} ({100 * count / total:.1f} %)</title></rect>"
        )
        left += width
    return Markup(
        f'<svg class="shares" viewBox="0 0 {WIDTH} 14" preserveAspectRatio="none" role="img">'
        f"<title>{label(title)}</title>{''.join(body)}</svg>"
    )


def bar(value: float, part: float, most: float, title: str) -> Markup:
    """One bar against the longest of its table; `part` of it, at its start, is pale."""
    width, pale = (100 * share / (most or 1) for share in (value, part))
    return Markup(
        f'<svg class="bar" viewBox="0 0 100 10" preserveAspectRatio="none" role="img"><title>{label(title)}</title>'
        f'<rect class="pale" width="{pale:.2f}" height="10"/>'
        f'<rect class="full" x="{pale:.2f}" width="{width - pale:.2f}" height="10"/></svg>'
    )


def _range(lines: Iterable[Line]) -> tuple[float, float]:
    """What holds every mark with its margin, and a little more."""
    ends = [mark.y + side * (mark.margin or 0) for line in lines for mark in line.marks for side in (-1, 1)]
    low, high = (min(ends), max(ends)) if ends else (0.0, 1.0)
    spare = 0.08 * (high - low) or 0.1 * abs(high) or 0.5
    return (0.0 if 0 <= low < spare else low - spare), high + spare


def _dot(axes: Axes, line: Line, mark: Mark, kind: str) -> str:
    words = f"{label(line.name)}, {number(mark.x)}: {number(mark.y)}"
    x, y = axes.x(mark.x), axes.y(mark.y)
    whisker = ""
    if mark.margin is not None:
        words += f" ± {number(mark.margin)}"
        low, high = axes.y(mark.y - mark.margin), axes.y(mark.y + mark.margin)
        whisker = f'<path class="whisker {kind}" d="M{x - 3:.1f} {low:.1f}h6M{x:.1f} {low:.1f}V{high:.1f}m-3 0h6"/>'
    return f'<g>{whisker}<circle class="dot {kind}" cx="{x:.1f}" cy="{y:.1f}" r="3.2"/><title>{words}</title></g>'


def _grid(axes: Axes, x_name: str, *, whole: bool) -> str:
    wanted = [x for x in ticks(axes.x_low, axes.x_high) if not whole or x == int(x)]
    marks = [_text(axes.x(x), HEIGHT - BOTTOM + 13, number(x), "middle") for x in wanted]
    return _horizontal(axes) + "".join(marks) + _name_x(x_name)


def _horizontal(axes: Axes) -> str:
    lines = [
        f'<path class="grid" d="M{LEFT} {axes.y(y):.1f}H{WIDTH - RIGHT}"/>'
        + _text(LEFT - 6, axes.y(y) + 3.5, number(y), "end")
        for y in ticks(axes.y_low, axes.y_high)
    ]
    return "".join(lines)


def _name_x(name: str) -> str:
    return _text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 4, label(name), "middle")


def _text(x: float, y: float, words: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{words}</text>'


def _drawing(title: str, body: Iterable[str]) -> Markup:
    """`body` is markup made here; every word in it went through `label` or is a number."""
    opening = f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img"><title>{label(title)}</title>'
    return Markup(f"{opening}{''.join(body)}</svg>")
