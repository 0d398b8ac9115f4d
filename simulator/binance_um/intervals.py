"""The intervals of klines: where each begins, and where the next one does."""

from __future__ import annotations

from datetime import date
from typing import Final

from simulator.moments import DAY, MINUTE, day_of, day_start

MINUTES: Final = {
    "1m": 1, "3m": 3, "5m": 5, "15m": 15, "30m": 30,
    "1h": 60, "2h": 120, "4h": 240, "6h": 360, "8h": 480, "12h": 720, "1d": 1_440,
}  # fmt: skip
"""Intervals that divide a day."""
INTERVALS: Final = (*MINUTES, "3d", "1w", "1M")
_MONDAY: Final = 4
"""1970-01-05 was one."""
_LONGEST: Final = {"3d": 3 * DAY, "1w": 7 * DAY, "1M": 31 * DAY}


def opening(interval: str, moment: int) -> int:
    """Return when the interval that holds an instant begins, in milliseconds."""
    if interval in MINUTES:
        step = MINUTES[interval] * MINUTE
        return moment // step * step
    day = moment // DAY
    match interval:
        case "3d":
            return day // 3 * 3 * DAY
        case "1w":
            return ((day - _MONDAY) // 7 * 7 + _MONDAY) * DAY
    return day_start(day_of(moment).replace(day=1))


def following(interval: str, opened: int) -> int:
    """Return when the interval after the one that begins at `opened` begins."""
    if interval == "1M":
        first = day_of(opened)
        return day_start(date(first.year + first.month // 12, first.month % 12 + 1, 1))
    return opened + longest(interval)


def longest(interval: str) -> int:
    """Return how long such an interval can be, in milliseconds."""
    return MINUTES[interval] * MINUTE if interval in MINUTES else _LONGEST[interval]
