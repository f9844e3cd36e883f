"""Times of day and dates: 4:30 p.m. and 16:30, March 5th and 5 March."""

from __future__ import annotations

import re
from typing import NamedTuple

from eval_math.reading.normalise import as_words

_CLOCK = re.compile(r"(\d{1,2})(?:[:.h](\d\d))?(?:[:.](\d\d))?\s*(a\.?\s?m|p\.?\s?m)?\.?\Z")
_ORDINAL = re.compile(r"(?<=\d)\s*(?:\^?\{?\s*(?:st|nd|rd|th)\b\}?)")
HALF_DAY = 43_200
_NAMED_TIMES = {"noon": 720, "midnight": 0}
_MONTHS_TEXT = """january february march april may june july august september october november december"""
_MONTHS = tuple(_MONTHS_TEXT.split())
_MONTH = "|".join(f"{name[:3]}(?:{name[3:]})?" for name in _MONTHS)
_DATE = re.compile(
    rf"(?:the )?(?:(?P<m1>{_MONTH})\.? (?:the )?(?P<d1>\d{{1,2}})|(?P<d2>\d{{1,2}}) (?:of )?(?P<m2>{_MONTH}))"
    r"(?:,? (?P<year>\d{4}))?\Z"
)


class Moment(NamedTuple):
    """A time of day in seconds, or a date; what is not said is None."""

    seconds: int | None = None
    half_known: bool = False
    """Whether morning and afternoon are told apart."""
    date: tuple[int, int] | None = None
    """(month, day)."""
    year: int | None = None


def moment_of(text: str) -> Moment | None:
    """The time or date that the text is; None for anything else."""
    return _time(text) or _date(text)


def same_moment(one: Moment, other: Moment) -> bool:
    """Whether two can be the same: what one leaves open, the other may say."""
    if one.seconds is not None and other.seconds is not None:
        same_half = one.half_known == other.half_known
        return one.seconds == other.seconds if same_half else (one.seconds - other.seconds) % HALF_DAY == 0
    return one.date == other.date and (one.year == other.year or None in (one.year, other.year))


def _time(text: str) -> Moment | None:
    words = as_words(text).removesuffix(" o'clock").removeprefix("at ")
    if words in _NAMED_TIMES:
        return Moment(_NAMED_TIMES[words] * 60, True)
    match = _CLOCK.match(words)
    if match is None or not (match[2] or match[4]):
        return None
    hour, minute, second = (int(part or 0) for part in match.group(1, 2, 3))
    half = match[4][0] if match[4] else None
    if minute > 59 or second > 59 or hour > (12 if half else 24):
        return None
    if half:
        hour = hour % 12 + (12 if half == "p" else 0)
    return Moment((hour * 60 + minute) * 60 + second, half is not None or hour > 12 or hour == 0)


def _date(text: str) -> Moment | None:
    match = _DATE.match(_ORDINAL.sub("", as_words(text)))
    if match is None:
        return None
    month = match["m1"] or match["m2"]
    at = next(index for index, name in enumerate(_MONTHS, 1) if name.startswith(month[:3]))
    year = int(match["year"]) if match["year"] else None
    return Moment(date=(at, int(match["d1"] or match["d2"])), year=year)
