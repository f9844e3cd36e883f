"""Points of curves on their way to a tracker: named, shifted to where an iteration begins, sent a few at a time."""

import time
from collections.abc import Callable, Mapping

from artifacts import Checkpoint
from tasks.train import curve_of

LIVE_SECONDS = 1.0
"""Training metrics that come faster wait for each other: a request takes as long as one of the demo's steps."""

Points = list[tuple[int, dict[str, float]]]
"""Step, values by name."""


class Live:
    """Collects points and sends them, at most once in `LIVE_SECONDS`."""

    def __init__(self, send: Callable[[Points], None]) -> None:
        self._send, self._points, self._last = send, Points(), -LIVE_SECONDS

    def follow(self, step: int, metrics: dict[str, float]) -> None:
        """Take the metrics of one optimizer step."""
        self._points.append((step, prefixed("train", metrics)))
        if time.monotonic() - self._last >= LIVE_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Send what waits."""
        points, self._points = self._points, []
        if points:
            self._send(points)
        self._last = time.monotonic()


def curve(prefix: str, policy: Checkpoint) -> Points:
    """What the training of this checkpoint said of each optimizer step."""
    return [(int(point.pop("step")), prefixed(prefix, point)) for point in curve_of(policy)]


def shifted(points: Points, by: int) -> Points:
    """The same, so many steps later."""
    return [(step + by, values) for step, values in points]


def prefixed(prefix: str, values: Mapping[str, float]) -> dict[str, float]:
    """Names that trackers group by what stands before the slash."""
    return {f"{prefix}/{name.replace(':', '').replace(' ', '_')}": float(value) for name, value in values.items()}
