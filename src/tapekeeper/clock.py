"""Time: int64 microseconds since 1970 inside, aware UTC datetimes at the edges."""

from __future__ import annotations

import re
import time
from datetime import UTC, date, datetime, timedelta
from typing import Final

from tapekeeper.errors import ConfigInvalid

MICROSECONDS_PER_MILLISECOND: Final = 1_000
MICROSECONDS_PER_SECOND: Final = 1_000_000
MICROSECONDS_PER_DAY: Final = 86_400 * MICROSECONDS_PER_SECOND
MILLISECONDS_MAXIMUM: Final = 250_000_000_000_000
"""A timestamp at or above this is none: it could not be shown as a date, whose years end at 9999."""
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

_HOW_TO_TYPE_A_TIME = "type a UTC time such as 2024-05-01, 2024-05-01T12:30Z, 7 days ago or now"
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_DAYS_AGO = re.compile(r"(\d{1,5}) days? ago")


def now_microseconds() -> int:
    """Return the time of this machine's clock in microseconds since 1970."""
    return time.time_ns() // 1_000


def to_microseconds(moment: datetime) -> int:
    """Return an aware datetime as microseconds since 1970, exactly.

    Raises:
        ConfigInvalid: the datetime is naive; a time without a zone is a guess.
    """
    if moment.tzinfo is None:
        raise ConfigInvalid(f"{moment.isoformat()} has no time zone: {_HOW_TO_TYPE_A_TIME}")
    return (moment - EPOCH) // timedelta(microseconds=1)


def from_microseconds(microseconds: int) -> datetime:
    """Return microseconds since 1970 as an aware UTC datetime."""
    return EPOCH + timedelta(microseconds=microseconds)


def day_of(microseconds: int) -> date:
    """Return the UTC day that holds the moment."""
    return from_microseconds(microseconds).date()


def day_start(day: date) -> int:
    """Return the first microsecond of a UTC day."""
    return to_microseconds(datetime(day.year, day.month, day.day, tzinfo=UTC))


def parse_moment(text: str, *, now: int) -> int:
    """Return what a person typed as a time, in microseconds since 1970.

    A date alone is that day's first moment in UTC, `now` is `now`, `7 days ago` is so long before it, everything else
    is ISO 8601 with a zone.

    Raises:
        ConfigInvalid: the text is no time, or has no zone.
    """
    stripped = text.strip()
    if stripped.lower() == "now":
        return now
    if ago := _DAYS_AGO.fullmatch(stripped.lower()):
        return now - int(ago[1]) * MICROSECONDS_PER_DAY
    try:
        if _DATE.fullmatch(stripped):
            return day_start(date.fromisoformat(stripped))
        moment = datetime.fromisoformat(stripped)
        # Near the years 1 and 9999 a time of another zone may have no UTC time.
        return to_microseconds(moment if moment.tzinfo is None else moment.astimezone(UTC))
    except (ValueError, OverflowError):
        raise ConfigInvalid(f"{text!r} is not a time: {_HOW_TO_TYPE_A_TIME}") from None


def format_moment(microseconds: int) -> str:
    """Return a moment as a person reads it, such as 2024-05-01T12:30:00Z."""
    return from_microseconds(microseconds).isoformat().replace("+00:00", "Z")
