"""Window: a half-open piece of UTC time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime

from tapekeeper.clock import MICROSECONDS_PER_DAY, day_of, day_start, format_moment, from_microseconds
from tapekeeper.errors import ConfigInvalid


@dataclass(frozen=True, slots=True, order=True)
class Window:
    """`[start, end)` in microseconds since 1970; never empty.

    Raises:
        ConfigInvalid: the end is not after the start.
    """

    start: int
    end: int

    def __post_init__(self) -> None:
        if self.end <= self.start:
            raise ConfigInvalid(
                f"the start {format_moment(self.start)} is not before the end {format_moment(self.end)}: "
                "choose an earlier start or a later end"
            )

    def __str__(self) -> str:
        return f"[{format_moment(self.start)}, {format_moment(self.end)})"

    def intersect(self, other: Window) -> Window | None:
        """Return the part that both share, or None."""
        start, end = max(self.start, other.start), min(self.end, other.end)
        return Window(start, end) if start < end else None

    def days(self) -> Iterator[tuple[date, Window]]:
        """Yield each UTC day that the window touches, with the part of the window inside it."""
        start = self.start
        while start < self.end:
            day = day_of(start)
            next_day = day_start(day) + MICROSECONDS_PER_DAY
            yield day, Window(start, min(self.end, next_day))
            start = next_day

    def clipped_to_grid(self, step: int) -> Window | None:
        """Return the window moved onto multiples of `step` microseconds, or None where it holds none of them.

        A candle belongs to a window by its open time, so both ends move up to the next multiple:
        `[12:00:30, 12:02:30)` holds the open times 12:01 and 12:02, and becomes `[12:01, 12:03)`.
        """
        start, end = -(-self.start // step) * step, -(-self.end // step) * step
        return Window(start, end) if start < end else None

    def grid_points(self, step: int) -> int:
        """Return how many multiples of `step` microseconds lie inside."""
        return -(-self.end // step) - -(-self.start // step)

    def as_datetimes(self) -> tuple[datetime, datetime]:
        """Return both ends as aware UTC datetimes, for SQL parameters."""
        return from_microseconds(self.start), from_microseconds(self.end)
