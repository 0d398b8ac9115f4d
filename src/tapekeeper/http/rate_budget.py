"""The rate budget that all workers of all processes share, as the HTTP client sees it."""

from __future__ import annotations

from enum import IntEnum
from typing import Protocol


class Priority(IntEnum):
    """Who goes first when the budget is short; a lower one leaves room for the higher ones."""

    BACKFILL = 0
    REPAIR = 1
    LIVE = 2


class RateBudget(Protocol):
    """Permits of one limit of one venue."""

    def acquire(self, weight: float, priority: Priority) -> float:
        """Take `weight` permits if they are there; return 0, or the seconds to wait before asking again."""
        ...

    def pause(self, seconds: float) -> None:
        """Let nobody ask for so long; the pace stays as it is."""
        ...

    def slow_down(self, retry_after_seconds: float | None) -> None:
        """Tell everybody that the venue asked for less: halve the pace, and pause for as long as the venue said."""
        ...
