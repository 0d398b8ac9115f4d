"""What an HTTP client needs beside the venue: a budget that grants everything, and a log that keeps nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tapekeeper.http.rate_budget import Priority
    from tapekeeper.http.request_log import RequestRecord


class Budget:
    """Grants everything and counts it."""

    def __init__(self) -> None:
        self.taken = 0.0

    def acquire(self, weight: float, priority: Priority) -> float:
        self.taken += weight
        return 0.0

    def pause(self, seconds: float) -> None:
        raise AssertionError("nothing here is spent")

    def slow_down(self, retry_after_seconds: float | None) -> None:
        raise AssertionError("nothing here is limited")


class NoLog:
    """Keeps nothing."""

    def record(self, record: RequestRecord) -> None:
        pass
