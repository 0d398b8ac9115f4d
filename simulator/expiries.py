"""When dated instruments are listed, when they expire, and how the venue writes the day."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, timedelta
from functools import lru_cache
from typing import Final, Literal

from simulator.moments import DAY, HOUR, day_of, day_start

SettlementPeriod = Literal["day", "week", "month", "perpetual"]

_MONTHS: Final = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_DAY_IN_NAME: Final = re.compile(r"(?<![A-Z0-9])(\d{1,2})([A-Z]{3})(\d{2})(?![A-Z0-9])")
_EXPIRY_HOUR: Final = 8 * HOUR
_LONGEST_LIFE: Final = 364
_FRIDAY: Final = 4


def expiry_code(day: date) -> str:
    """Return a day as it stands in names, such as 8JUN20: the day is not padded."""
    return f"{day.day}{_MONTHS[day.month - 1]}{day.year % 100:02d}"


def expiry_in_name(name: str) -> date | None:
    """Return the day that a name speaks of, or None."""
    match = _DAY_IN_NAME.search(name)
    if match is None or match[2] not in _MONTHS:
        return None
    try:
        return date(2000 + int(match[3]), _MONTHS.index(match[2]) + 1, int(match[1]))
    except ValueError:
        return None


def expires_at(day: date) -> int:
    """Return the instant of expiry in milliseconds: 08:00 UTC."""
    return day_start(day) + _EXPIRY_HOUR


@lru_cache(maxsize=8_192)
def settlement_period(day: date) -> SettlementPeriod:
    """Return month for the last Friday of a month, week for another Friday, else day."""
    if day.weekday() != _FRIDAY:
        return "day"
    return "month" if (day + timedelta(days=7)).month != day.month else "week"


@lru_cache(maxsize=8_192)
def listed_at(day: date) -> int:
    """Return when the instruments of an expiry are listed: a year ahead for quarters, else weeks or days."""
    period = settlement_period(day)
    days = {"day": 4, "week": 28, "month": _LONGEST_LIFE if day.month % 3 == 0 else 91}[period]
    return expires_at(day - timedelta(days=days))


def expiries_between(start: int, end: int) -> Iterator[date]:
    """Yield the days whose instruments are alive at some time in `[start, end]` (milliseconds), earliest first."""
    day, last = day_of(start - _EXPIRY_HOUR), day_of(end + _LONGEST_LIFE * DAY)
    while day <= last:
        if listed_at(day) <= end and expires_at(day) > start:
            yield day
        day += timedelta(days=1)
