"""What the collector counts: plain integers and numbers, changed by one thread each, read by whoever asks."""

from __future__ import annotations

from bisect import bisect_left
from enum import StrEnum
from typing import TYPE_CHECKING, Final

import numpy as np

from tapekeeper.model.gap import Cause

if TYPE_CHECKING:
    from collections.abc import Sequence

VENUE: Final = "deribit"
LATENCY_BOUNDS: Final = (
    0.05,
    0.1,
    0.15,
    0.2,
    0.25,
    0.3,
    0.35,
    0.4,
    0.5,
    0.75,
    1.0,
    2.0,
    3.0,
    5.0,
    10.0,
    30.0,
    60.0,
    300.0,
)
WRITE_BOUNDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class MessageChannel(StrEnum):
    """What a frame is about."""

    BOOK = "book"
    TICKER = "ticker"
    TRADES = "trades"
    INSTRUMENT = "instrument"
    PLATFORM = "platform"
    CONTROL = "control"
    """Replies and heartbeats."""
    UNKNOWN = "unknown"


class Ending(StrEnum):
    """Why a connection had to be made again."""

    CLOSED = "closed"
    """The venue said goodbye."""
    RESET = "reset"
    """It was gone without a word."""
    SILENCE = "silence"
    """There was no frame for too long."""
    REFUSED = "refused"
    """It could not be made, or the venue did not answer a request on it."""
    OVERSIZED = "oversized"
    """A frame was larger than we take."""


class Table(StrEnum):
    """Where rows go."""

    QUOTES = "option_quotes"
    TRADES = "option_trades"


class Histogram:
    """Counts of values by upper bound, in seconds."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = tuple(bounds)
        self.counts = [0] * (len(bounds) + 1)
        """Of the values up to each bound and above the one before; the last ones have no bound."""
        self.sum = 0.0

    def observe(self, value: float) -> None:
        """Count one value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    def observe_all(self, values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> None:
        """Count many values, of shape (n,)."""
        places = np.searchsorted(self.bounds, values)
        for place, count in enumerate(np.bincount(places, minlength=len(self.counts)).tolist()):
            self.counts[place] += count
        self.sum += float(values.sum())

    def quantile(self, share: float) -> float:
        """Return the upper bound of the bucket that holds this share of the values; 0 without any."""
        wanted, seen = share * sum(self.counts), 0
        for bound, count in zip((*self.bounds, self.bounds[-1]), self.counts, strict=True):
            seen += count
            if seen and seen >= wanted:
                return bound
        return 0.0


class Counters:
    """Everything counted since the start of the process."""

    def __init__(self) -> None:
        self.messages: dict[str, int] = dict.fromkeys(MessageChannel, 0)
        self.decode_errors: dict[str, int] = dict.fromkeys(MessageChannel, 0)
        self.rows_written: dict[str, int] = dict.fromkeys(Table, 0)
        self.rows_dropped: dict[str, int] = dict.fromkeys(Table, 0)
        self.reconnects: dict[str, int] = dict.fromkeys(Ending, 0)
        self.gaps_recorded: dict[str, int] = dict.fromkeys(Cause, 0)
        self.sequence_breaks = 0
        self.repaired_trades = 0
        self.ingest_latency = Histogram(LATENCY_BOUNDS)
        self.write_duration = Histogram(WRITE_BOUNDS)
        self.last_tick_at = 0
        """Event time of the newest quote or trade, in microseconds since 1970."""
        self.last_commit_at = 0
        """Of our clock, in microseconds since 1970."""
