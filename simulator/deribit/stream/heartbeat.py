"""How long the venue waits: heartbeats, the death of an idle socket, and a clock for tests that cannot wait."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

IDLE_SECONDS: Final = 60.5
"""A socket without subscription and without heartbeat is dropped after so long."""
_FIRST_TEST: Final = 1.2
_NEXT_TEST: Final = 1.06
"""Parts of the interval; with 10 seconds, 12 s after the request and 10.6 s after each other."""


@dataclass(slots=True)
class Patience:
    """Makes every wait of the venue shorter or longer; the market itself goes on as ever."""

    scale: float = 1.0

    def seconds(self, seconds: float) -> float:
        """Return how long a wait of `seconds` is here."""
        return seconds * self.scale


class Heartbeat:
    """The heartbeat of one connection; moments in seconds of any clock that never goes back."""

    def __init__(self, interval: float, now: float) -> None:
        self._interval = interval
        self._next_test = now + _FIRST_TEST * interval
        self._asked_at: float | None = None

    def due(self, now: float) -> Literal["test_request", "close"] | None:
        """Return what is to be done now: the client is asked for a sign, or given up as it gave none."""
        if self._asked_at is not None and now >= self._asked_at + self._interval:
            return "close"
        if now < self._next_test:
            return None
        self._next_test = now + _NEXT_TEST * self._interval
        self._asked_at = now
        return "test_request"

    def answered(self) -> None:
        """Take the sign."""
        self._asked_at = None
