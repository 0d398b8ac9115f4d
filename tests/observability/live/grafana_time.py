"""Ranges and intervals, as Grafana computes them (@grafana/data, datetime/rangeutil; its Prometheus data source)."""

from __future__ import annotations

import bisect
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

SCRAPE_SECONDS: Final = 15
"""`timeInterval` of the data source."""
POINTS: Final = 1_000
"""About the pixels of a panel, which is how many points are asked for."""
MOST_POINTS: Final = 11_000
"""More than this Prometheus refuses."""
_UNITS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800, "M": 2_592_000, "y": 31_536_000}
_BELOW: Final = (
    1.5,
    3.5,
    7.5,
    12.5,
    17.5,
    25,
    45,
    90,
    210,
    450,
    750,
    1_050,
    1_500,
    2_700,
    5_400,
    9_000,
    16_200,
    32_400,
)
_ROUND: Final = (1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1_200, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200)
"""What is below the n-th limit becomes the n-th interval."""


@dataclass(frozen=True, slots=True)
class TimeRange:
    """What a dashboard shows, in seconds since 1970."""

    start: float
    end: float

    @property
    def seconds(self) -> int:
        """How long it is."""
        return round(self.end - self.start)

    def step(self, panel: dict[str, Any]) -> int:
        """Return the distance of the points that a panel asks for, in seconds."""
        least = seconds_of(panel["interval"]) if panel.get("interval") else SCRAPE_SECONDS
        wanted = (self.end - self.start) / panel.get("maxDataPoints", POINTS)
        return max(least, _ROUND[bisect.bisect_right(_BELOW, wanted)], -(-self.seconds // MOST_POINTS))


def range_of(dashboard: dict[str, Any], now: float) -> TimeRange:
    """Return the range that a dashboard has at first."""
    told = dashboard["time"]
    return TimeRange(_moment(told["from"], now), _moment(told["to"], now))


def rate_interval(step: int) -> int:
    """Return `$__rate_interval` in seconds: four scrapes at least, so that a rate has two samples."""
    return max(step + SCRAPE_SECONDS, 4 * SCRAPE_SECONDS)


def seconds_of(interval: str) -> int:
    """Return the seconds of an interval such as `5m`."""
    found = re.fullmatch(r"(\d+)([smhdwMy])", interval.strip("'\" "))
    if found is None:
        raise ValueError(f"{interval!r} is no interval")
    return int(found[1]) * _UNITS[found[2]]


def as_text(moment: float) -> str:
    """Return a moment as Grafana writes it into SQL."""
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _moment(told: str, now: float) -> float:
    found = re.fullmatch(r"now(?:-(\d+[smhdwMy]))?", told)
    if found is None:
        raise ValueError(f"{told!r} is no time of a range")
    return now - seconds_of(found[1]) if found[1] else now
