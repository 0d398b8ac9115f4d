"""Every request that was sent is kept: what was asked, what came back, and what it cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

Outcome = Literal["ok", "retry", "give up"]


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """One request, whether or not it was answered."""

    venue: str
    method: str
    """The venue's own name of what was asked, such as `public/get_time`."""
    parameters: dict[str, object]
    requested_at: int
    """In microseconds since 1970."""
    status: int | None
    """The HTTP status; None where no whole answer came."""
    outcome: Outcome
    reason: str
    """Why it was not ok; empty where it was."""
    weight: float
    """Permits that it took from the rate budget."""
    latency_seconds: float
    """From sending to the last byte of the answer, or to giving up on it."""
    bytes: int
    """Length of the decompressed body."""
    attempt: int
    """1 for the first try."""


class RequestLog(Protocol):
    """Where the records go."""

    def record(self, record: RequestRecord) -> None:
        """Keep one record."""
        ...
