"""How what a program tells now may have come about: a market with days and nights, and a venue that was away twice."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from prometheus_client.samples import Sample

    Numbers = NDArray[np.float64]
    Flags = NDArray[np.bool_]

MINUTE, HOUR, DAY = 60.0, 3_600.0, 86_400.0
AWAY: Final = ((19 * HOUR, 12 * MINUTE), (77 * HOUR, 25 * MINUTE))
"""How long ago the venue went away, and for how long."""
CHECKED_AT: Final = 2.25 * HOUR
"""When the checks of a night end, after midnight in UTC."""
PLANNED_EVERY_NIGHT: Final = 40
"""Chunks, for three quarters of an hour."""


@dataclass(frozen=True, slots=True)
class Past:
    """A time before now."""

    times: Numbers
    """Ascending, in seconds since 1970; the last one is now."""

    @property
    def now(self) -> float:
        """The end of it."""
        return float(self.times[-1])

    @property
    def last_night(self) -> float:
        """When the newest checks ended."""
        return float(self.nights[-1])

    @property
    def nights(self) -> Numbers:
        """When the newest checks before each moment ended."""
        return np.floor((self.times - CHECKED_AT) / DAY) * DAY + CHECKED_AT

    @property
    def away(self) -> Flags:
        """When the venue was away."""
        ago = self.now - self.times
        away = np.zeros_like(self.times, dtype=np.bool_)
        for began, length in AWAY:
            away |= (ago <= began) & (ago > began - length)
        return away

    def wave(self, of: str) -> Numbers:
        """Return numbers between 0 and 1 that change from hour to hour, the same in every run."""
        hours = np.arange(self.times[0], self.now + 2 * HOUR, HOUR)
        knots = np.random.default_rng(zlib.crc32(of.encode())).random(hours.size)
        wave: Numbers = np.interp(self.times, hours, knots)
        return wave

    def flow(self, per_second: float, of: str) -> Numbers:
        """Return a counter that grows by day more than by night, and not while the venue is away."""
        day = 1 + 0.5 * np.sin(2 * np.pi * (self.times / DAY - 0.4))
        pace = per_second * day * (0.85 + 0.3 * self.wave(of)) * ~self.away
        return np.floor(np.cumsum(pace * np.diff(self.times, prepend=self.times[0])))

    def since(self, value: float, moment: float) -> Numbers:
        """Return a gauge that was 0 before a moment."""
        return np.where(self.times >= moment, value, 0.0)


def told_before(sample: Sample, past: Past, *, counted_for: float | None) -> Numbers:
    """Return what a sample was at each moment.

    Args:
        counted_for: of a counter: for how many seconds it has counted; None for a gauge.
    """
    of = f"{sample.name}{sorted(sample.labels.items())}"
    if counted_for is not None:
        return _counter(sample, past, counted_for, of)
    for pattern, gauge in _GAUGES:
        if pattern.search(sample.name):
            return gauge(sample, past, of)
    return np.full_like(past.times, sample.value)


def _counter(sample: Sample, past: Past, counted_for: float, of: str) -> Numbers:
    if counted_for > DAY:
        # It was counted in the week before: from nothing to what it is.
        return np.floor(sample.value * np.clip(1 - (past.now - past.times) / counted_for, 0, 1))
    if re.search(r"messages|rows_written|seconds_(bucket|sum|count)", sample.name):
        # All parts of a histogram alike.
        return past.flow(sample.value / counted_for, re.sub(r"_(bucket|sum|count).*", "", of))
    counted = np.zeros_like(past.times)
    for began, length in AWAY:
        counted += past.since(sample.value, past.now - began + length)
    return counted


def _event_time(sample: Sample, past: Past, _: str) -> Numbers:
    """The newest event of a stream; it stands still while the venue is away."""
    newest = np.maximum.accumulate(np.where(past.away, -np.inf, past.times))
    return newest - min(MINUTE, max(0.0, past.now - sample.value))


def _oldest_open(sample: Sample, past: Past, _: str) -> Numbers:
    return np.where(past.times >= sample.value, sample.value, np.nan) if sample.value else np.zeros_like(past.times)


def _status(sample: Sample, past: Past, of: str) -> Numbers:
    """What is red is so since the last night, and some nights were bad before."""
    if sample.value == 0:
        return 1 - past.since(1, past.last_night)
    nights = past.nights
    red = [zlib.crc32(f"{of}{night}".encode()) % 41 == 0 for night in np.unique(nights)]
    red[-1] = False
    return 1 - np.array(red, dtype=np.float64)[np.searchsorted(np.unique(nights), nights)]


def _completeness(sample: Sample, past: Past, of: str) -> Numbers:
    days = np.floor(past.times / DAY)
    lacking = np.array([zlib.crc32(f"{of}{day}".encode()) % 7 == 0 for day in days]) * 0.0004
    return np.where((days == days[-1]) | (sample.labels["window"] != "24h"), sample.value, 1 - lacking)


def _chunks(sample: Sample, past: Past, _: str) -> Numbers:
    if sample.value == 0:
        return np.zeros_like(past.times)
    left = np.clip(1 - (past.times - past.nights) / (45 * MINUTE), 0, 1) * PLANNED_EVERY_NIGHT
    moved = {"pending": left, "done": -left}.get(sample.labels["state"], 0)
    return np.maximum(0, np.round(past.since(sample.value, past.last_night) + moved))


_GAUGES: Final[tuple[tuple[re.Pattern[str], Callable[[Sample, Past, str], Numbers]], ...]] = tuple(
    (re.compile(pattern), gauge)
    for pattern, gauge in (
        ("_last_(tick|commit|event)_timestamp", _event_time),
        ("_oldest_open_timestamp", _oldest_open),
        ("_quality_last_run_timestamp", lambda _, past, __: past.nights),
        ("_last_success_timestamp", lambda _, past, __: np.floor(past.times / (5 * MINUTE)) * 5 * MINUTE),
        ("_quality_check_status", _status),
        ("_completeness_ratio", _completeness),
        ("_backfill_chunks", _chunks),
        ("_gaps?_(open|seconds|longest)", lambda sample, past, _: past.since(sample.value, past.last_night)),
        ("_(connected|instruments_fresh)$", lambda sample, past, _: sample.value * ~past.away),
        ("_queue_depth", lambda sample, past, of: np.round(sample.value * 4 * past.wave(of))),
        ("_rate_budget_used", lambda _, past, of: 0.3 * past.wave(of) ** 3),
        ("_disk_free", lambda sample, past, _: sample.value + (past.now - past.times) * 6_000),
        ("_dataset_(rows|bytes)", lambda sample, past, _: sample.value * (1 - 0.02 * (past.now - past.times) / DAY)),
    )
)
