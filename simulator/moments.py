"""Time as the venue tells it: integer milliseconds since 1970, UTC."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime
from typing import Final

MINUTE: Final = 60_000
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR
YEAR: Final = 365 * DAY
FOREVER: Final = 32_503_708_800_000
"""Where the venue puts the expiry of what never expires."""


class Clock:
    """The venue's clock: this machine's, moved by a fixed offset in milliseconds."""

    def __init__(self, offset: int = 0) -> None:
        self.offset = offset

    def microseconds(self) -> int:
        """Return the venue's time in microseconds."""
        return time.time_ns() // 1_000 + self.offset * 1_000

    def now(self) -> int:
        """Return the venue's time in milliseconds."""
        return self.microseconds() // 1_000


class FixedClock(Clock):
    """A clock that stands still until it is moved, for a world in which nothing happens by itself."""

    def __init__(self, moment: int) -> None:
        super().__init__()
        self.moment = moment

    def microseconds(self) -> int:
        """Return the moment it was set to, in microseconds."""
        return self.moment * 1_000


def day_start(day: date) -> int:
    """Return the first millisecond of a UTC day."""
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1_000


def day_of(moment: int) -> date:
    """Return the UTC day that holds the moment."""
    return datetime.fromtimestamp(moment / 1_000, tz=UTC).date()
