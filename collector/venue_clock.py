"""What time it is at the venue, told by the events that it sends: our own clock may jump."""

from __future__ import annotations

from typing import Final

from tapekeeper.clock import MICROSECONDS_PER_SECOND

BUCKET_SECONDS: Final = 60.0
"""The newest one to two minutes of events count, so that two clocks that drift apart are followed."""
NEVER: Final = -(2**62)


class VenueClock:
    """Estimates the venue's time from the least delayed event of the last minutes.

    An event cannot arrive before it happened, so its time is never after the venue's present; the estimate is
    therefore late by the shortest delay of the network, and never early.
    """

    def __init__(self, *, now: int, monotonic: float) -> None:
        """`now` is our own clock's time in microseconds since 1970, which has to do until the first event."""
        self._bucket_ends_at = monotonic + BUCKET_SECONDS
        self._first_guess = now - int(monotonic * MICROSECONDS_PER_SECOND)
        self._current = NEVER
        self._previous = NEVER
        self._slowest = self._slowest_before = 0

    @property
    def slowest(self) -> int:
        """How much later than the least delayed one an event of the last minutes came, in microseconds."""
        return max(self._slowest, self._slowest_before)

    def observe(self, event_time: int, monotonic: float) -> None:
        """Take an event of the venue, in microseconds since 1970, that arrived at a monotonic moment in seconds."""
        if monotonic >= self._bucket_ends_at:
            self._previous, self._current = self._current, NEVER
            self._slowest_before, self._slowest = self._slowest, 0
            self._bucket_ends_at = monotonic + BUCKET_SECONDS
        ahead = event_time - int(monotonic * MICROSECONDS_PER_SECOND)
        if ahead > self._current:
            self._current = ahead
        late = max(self._current, self._previous) - ahead
        if late > self._slowest:
            self._slowest = late

    def at(self, monotonic: float) -> int:
        """Return the venue's time at a monotonic moment, in microseconds since 1970."""
        ahead = max(self._current, self._previous)
        return int(monotonic * MICROSECONDS_PER_SECOND) + (self._first_guess if ahead == NEVER else ahead)
