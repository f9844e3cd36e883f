"""Sets of reals as sorted, disjoint spans, and their union, intersection and complement."""

from __future__ import annotations

from typing import Any, NamedTuple

from eval_math.judging.numeric import context

PRECISION = 240
_SAME_BITS = 160
"""Ends that agree to so many bits are the same end."""


class Span(NamedTuple):
    """The reals between two ends, which are mpmath numbers or infinities."""

    low: Any
    low_in: bool
    high: Any
    high_in: bool


class Region(NamedTuple):
    """Sorted, disjoint spans, and the variable they are about, if one is named."""

    spans: tuple[Span, ...]
    name: str | None = None


def region_from(spans: list[Span], name: str | None = None) -> Region:
    """The union of some spans, in any order."""
    return Region(normalised(spans), name)


def normalised(spans: list[Span]) -> tuple[Span, ...]:
    """Sorted spans without empty ones; those that overlap or touch are joined."""
    ctx = context()
    kept: list[Span] = []
    fixed = [s._replace(low_in=s.low_in and s.low != -ctx.inf, high_in=s.high_in and s.high != ctx.inf) for s in spans]
    for span in sorted(fixed, key=lambda s: (s.low, not s.low_in)):
        extent = order(span.low, span.high)
        if extent > 0 or (extent == 0 and not (span.low_in and span.high_in)):
            continue
        if kept and ((gap := order(span.low, kept[-1].high)) < 0 or (gap == 0 and (span.low_in or kept[-1].high_in))):
            last = kept[-1]
            further = order(span.high, last.high)
            high_in = (span if further > 0 else last).high_in if further else span.high_in or last.high_in
            kept[-1] = last._replace(high=max(span.high, last.high), high_in=high_in)
        else:
            kept.append(span)
    return tuple(kept)


def order(one: Any, other: Any) -> int:
    """-1, 0 or 1, taking for equal what differs by rounding only."""
    ctx = context()
    if one == other:
        return 0
    if ctx.isfinite(one) and ctx.isfinite(other):
        size = max(ctx.mag(one) if one else -PRECISION, ctx.mag(other) if other else -PRECISION, 0)
        if ctx.mag(one - other) < size - _SAME_BITS:
            return 0
    return -1 if one < other else 1


def intersection(one: Region, other: Region) -> Region:
    """What both regions hold."""
    found: list[Span] = []
    for a in one.spans:
        for b in other.spans:
            lows, highs = order(a.low, b.low), order(a.high, b.high)
            low, low_in = (a.low, a.low_in and b.low_in) if not lows else (max(a, b, key=lambda s: s.low)[:2])
            high, high_in = (a.high, a.high_in and b.high_in) if not highs else (min(a, b, key=lambda s: s.high)[2:])
            found.append(Span(low, low_in, high, high_in))
    return region_from(found, one.name or other.name)


def complement(region: Region) -> Region:
    """The reals that the region does not hold."""
    ctx = context()
    found: list[Span] = []
    low, low_in = -ctx.inf, False
    for span in region.spans:
        found.append(Span(low, low_in, span.low, not span.low_in))
        low, low_in = span.high, not span.high_in
    found.append(Span(low, low_in, ctx.inf, False))
    return region_from(found, region.name)


def closed(region: Region) -> Region:
    """The region with all its finite ends included."""
    spans = (Span(s.low, True, s.high, True) for s in region.spans)
    return region._replace(spans=normalised(list(spans)))


def same_spans(one: Region, other: Region) -> bool:
    """Whether two regions are the same set."""
    return len(one.spans) == len(other.spans) and all(
        order(a.low, b.low) == 0 == order(a.high, b.high) and (a.low_in, a.high_in) == (b.low_in, b.high_in)
        for a, b in zip(one.spans, other.spans, strict=True)
    )
