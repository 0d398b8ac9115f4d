"""Which files the archive has, by their paths, and since when.

Source: the README of the venue's public data, and what its users report: daily files come the next day, monthly ones on
the first Monday; metrics are daily only, funding rates monthly only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from typing import Final

from simulator.binance_um.contracts import Contract
from simulator.binance_um.intervals import MINUTES
from simulator.binance_um.open_interest import SINCE
from simulator.moments import DAY, HOUR, day_of, day_start

_PATH: Final = re.compile(
    r"(?P<period>daily|monthly)/(?P<dataset>klines|aggTrades|metrics|fundingRate)/(?P<symbol>[A-Z0-9]+)/"
    r"(?:(?P<interval>[0-9]+[a-z]+)/)?(?P<name>[A-Za-z0-9]+-[A-Za-z0-9]+)-(?P<date>\d{4}-\d{2}(?:-\d{2})?)\.zip"
    r"(?P<checksum>\.CHECKSUM)?"
)
_INTERVALS: Final = {**{name: name for name in MINUTES}, "3d": "3d", "1w": "1w", "1mo": "1M"}


@dataclass(frozen=True, slots=True)
class ArchiveTerms:
    """How the archive is kept; moments in milliseconds."""

    header_from: int = 1_640_995_200_000
    """Files of klines and trades have a header from this day on, 2022-01-01."""
    delay: int = 3 * HOUR
    """How long after midnight files come."""


@dataclass(frozen=True, slots=True)
class ArchiveFile:
    """One file, or its checksum; it holds `[start, end)` in milliseconds, metrics `(start, end]`."""

    period: str
    dataset: str
    symbol: str
    interval: str | None
    """As the endpoint of klines calls it."""
    name: str
    """Without an ending."""
    date: str
    start: int
    end: int
    is_checksum: bool

    def is_published(self, contract: Contract, terms: ArchiveTerms, now: int) -> bool:
        """Return whether the archive has it now."""
        since = SINCE if self.dataset == "metrics" else contract.onboard_at
        return since < self.end and self.start < contract.end and self._published_at() + terms.delay <= now

    def has_header(self, terms: ArchiveTerms) -> bool:
        """Return whether its table begins with the names of the columns."""
        return self.dataset in ("metrics", "fundingRate") or self.start >= terms.header_from

    def _published_at(self) -> int:
        if self.period == "daily":
            return self.end
        return self.end + (7 - day_of(self.end).weekday()) % 7 * DAY


def file_of(path: str) -> ArchiveFile | None:
    """Return the file that a path below `data/futures/um/` names; None where no such file can be."""
    match = _PATH.fullmatch(path)
    if match is None:
        return None
    period, dataset, symbol, day = match["period"], match["dataset"], match["symbol"], match["date"]
    interval = _INTERVALS.get(match["interval"] or "")
    if not _is_offered(period, dataset, interval, has_interval=match["interval"] is not None):
        return None
    if match["name"] != f"{symbol}-{match['interval'] or dataset}":
        return None
    window = _window(period, day)
    if window is None:
        return None
    name, is_checksum = f"{match['name']}-{day}", match["checksum"] is not None
    return ArchiveFile(period, dataset, symbol, interval, name, day, *window, is_checksum)


def _is_offered(period: str, dataset: str, interval: str | None, *, has_interval: bool) -> bool:
    match dataset:
        case "klines":
            return interval is not None and (period == "monthly" or interval in MINUTES)
        case "metrics":
            return period == "daily" and not has_interval
        case "fundingRate":
            return period == "monthly" and not has_interval
    return not has_interval


def _window(period: str, day: str) -> tuple[int, int] | None:
    """Return the first millisecond of a day or a month, and of the next one; None where the calendar has no such."""
    if (len(day) == len("2024-03-01")) != (period == "daily"):
        return None
    try:
        first = date.fromisoformat(day if period == "daily" else f"{day}-01")
    except ValueError:
        return None
    start = day_start(first)
    if period == "daily":
        return start, start + DAY
    return start, day_start(date(first.year + first.month // 12, first.month % 12 + 1, 1))
