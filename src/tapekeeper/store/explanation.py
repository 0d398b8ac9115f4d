"""Explanation: where a row comes from or why there is none, and the verdict that follows from what is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import date, datetime
from enum import StrEnum
from typing import Any

from tapekeeper.clock import from_microseconds, to_microseconds
from tapekeeper.model.gap import Gap, GapState
from tapekeeper.model.gap_record import GapEvent, KeptReceipt, ListedGap
from tapekeeper.model.series import Series
from tapekeeper.store.origins import (
    ChangedRow,
    CollectorSession,
    CoveringChunk,
    Effect,
    SourceFile,
)
from tapekeeper.store.plain import plain
from tapekeeper.store.request_origins import ApiRequest
from tapekeeper.store.told import TOLD_DATASETS


class Verdict(StrEnum):
    """What there is to say about a moment of a series."""

    HELD = "held"
    """The row is in the database; of ticks the last up to the moment, and nothing says that a newer one is missing."""
    GAP = "gap"
    """A recorded gap that nothing has repaired."""
    QUARANTINED = "quarantined"
    """A row came that cannot be believed."""
    UNDER_WAY = "under way"
    """A chunk of a backfill has yet to be worked on, or a collector has yet to account for the moment."""
    FAILED = "failed"
    """The newest chunk that was to bring it failed."""
    NOT_OVER = "not over yet"
    BEFORE_LISTING = "before the listing"
    AFTER_EXPIRY = "after the expiry"
    NOT_FOLLOWED = "not followed"
    """Nobody asked us to hold it."""
    QUIET = "quiet"
    """Followed without a hole, and no tick came up to the moment."""
    MISSING = "missing"
    """Expected and not held, or followed and never told, and no gap is recorded yet."""


@dataclass(frozen=True, slots=True)
class GapStory:
    """A gap with all that became of it."""

    listed: ListedGap
    events: tuple[GapEvent, ...]
    """From its recording on."""
    receipt: KeptReceipt | None

    @property
    def gap(self) -> Gap:
        """The gap itself."""
        return self.listed.gap

    def as_json(self) -> dict[str, object]:
        """Return it as an object for scripts, with times as ISO 8601 in UTC."""
        return {**gap_json(self.listed), "events": plain(self.events), "receipt": plain(self.receipt)}


@dataclass(frozen=True, slots=True)
class QuarantinedRow:
    """A row that cannot be believed, kept as it came."""

    event_time: datetime
    reason: str
    """What is wrong with it."""
    content: Mapping[str, object]
    first_seen_at: datetime
    times_seen: int


@dataclass(frozen=True, slots=True)
class FollowedWindow:
    """A window that somebody asked us to hold."""

    window_start: datetime
    window_end: datetime | None
    """None: still followed."""
    reason: str

    def holds(self, moment: datetime) -> bool:
        """Return whether the moment lies inside."""
        return self.window_start <= moment and (self.window_end is None or moment < self.window_end)


@dataclass(frozen=True, slots=True)
class DayAccount:
    """The account of a UTC day of a series, in the unit of the dataset."""

    day: date
    expected: int
    held: int
    explained: int
    state: str


@dataclass(frozen=True, slots=True)
class SeriesLineage:
    """Everything that is known about one moment of one series."""

    series: Series
    window_start: datetime
    """The open time of the candle that holds the moment, the beginning of a chain's day; of ticks the moment itself."""
    window_end: datetime
    """The end of that candle or day; of ticks a microsecond after the moment."""
    now: datetime
    row: Mapping[str, Any] | None
    """By the names of its columns; of ticks the last up to the moment, of a chain how many candles its day has."""
    followed: tuple[FollowedWindow, ...] = ()
    """All of the series, ascending."""
    day: DayAccount | None = None
    gaps: tuple[GapStory, ...] = ()
    """Those that hold the moment, and of a trade those that hold its number."""
    quarantined: tuple[QuarantinedRow, ...] = ()
    """Of the candle; of ticks those after the row, up to the moment."""
    chunks: tuple[CoveringChunk, ...] = ()
    """Those that may have brought or changed the row first, each kind by the moment of its end."""
    requests: tuple[ApiRequest, ...] = ()
    """Requests that belong to no chunk of a backfill: of a repair, or of a collector that asked for trades again."""
    files: tuple[SourceFile, ...] = ()
    """Files of an archive from which the moment was taken, in the order in which they were loaded."""
    corrections: tuple[ChangedRow, ...] = ()
    """What the row was before, the oldest first."""
    sessions: tuple[CollectorSession, ...] = ()
    """Those that were open when the row came, or else at the moment."""
    accounted_until: datetime | None = None
    """Up to where a collector has accounted for quotes; of trades None where something else proves that none lacks."""
    was_told: bool = False
    """Of a series without a grid: the venue told the moment whole."""

    @property
    def has_candles(self) -> bool:
        """A row is expected of every step, whatever happens on the market."""
        return self.series.resolution.seconds > 0

    @property
    def is_asked_for(self) -> bool:
        """It has no grid, and nobody listens to it: the venue is asked for it, window by window."""
        return not self.has_candles and self.series.dataset.name in TOLD_DATASETS

    @property
    def first_change(self) -> CoveringChunk | None:
        """The chunk that was the first to bring the row, as far as its counts tell."""
        first = self.chunks[0] if self.chunks and self.row is not None else None
        return first if first and first.effect.is_change else None

    @property
    def is_first_change_certain(self) -> bool:
        """The chunk brought every row of its window, or nothing else can have brought the row."""
        first, changes = self.first_change, [chunk for chunk in self.chunks if chunk.effect.is_change]
        return first is not None and (first.effect is Effect.BROUGHT or (len(changes) == 1 and not self.requests))

    @property
    def unrepaired_gaps(self) -> tuple[GapStory, ...]:
        """The gaps that hold the moment itself and that nothing has repaired."""
        at = to_microseconds(self.window_start)
        return tuple(
            story
            for story in self.gaps
            if story.gap.state is not GapState.REPAIRED and story.gap.window.start <= at < story.gap.window.end
        )

    @property
    def is_followed(self) -> bool:
        """Somebody asked us to hold the moment."""
        return any(window.holds(self.window_start) for window in self.followed)

    @property
    def verdict(self) -> Verdict:
        """The one thing to say about the moment."""
        if self.row is not None and (self.has_candles or self.row["event_time"] == self.window_start):
            return Verdict.HELD
        found = self._outside_of_life() or self._trouble() or (None if self.was_told else self._unfinished())
        if found is not None:
            return found
        if not self.is_followed:
            return Verdict.NOT_FOLLOWED
        if self.has_candles or (self.is_asked_for and not self.was_told):
            return Verdict.MISSING
        return Verdict.QUIET if self.row is None else Verdict.HELD

    def as_json(self) -> dict[str, object]:
        """Return it as an object for scripts, with times as ISO 8601 in UTC."""
        first = self.first_change
        own = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "series"}
        return {
            "dataset": self.series.dataset.name,
            "resolution_seconds": self.series.resolution.seconds,
            "verdict": self.verdict.value,
            "first_change": None
            if first is None
            else {"run_id": first.run_id, "certain": self.is_first_change_certain},
            **{name: plain(value) for name, value in own.items()},
        }

    def _outside_of_life(self) -> Verdict | None:
        instrument = self.series.instrument
        if self.window_end <= from_microseconds(instrument.listed_at):
            return Verdict.BEFORE_LISTING
        if instrument.expires_at is not None and self.window_end > from_microseconds(instrument.expires_at):
            return Verdict.AFTER_EXPIRY
        return Verdict.NOT_OVER if self.window_end > self.now else None

    def _trouble(self) -> Verdict | None:
        if self.unrepaired_gaps:
            return Verdict.GAP
        return Verdict.QUARANTINED if self.quarantined else None

    def _unfinished(self) -> Verdict | None:
        if any(chunk.state in ("pending", "running") for chunk in self.chunks):
            return Verdict.UNDER_WAY
        if self.is_followed and self.accounted_until is not None and self.accounted_until <= self.window_start:
            return Verdict.UNDER_WAY
        ended = [chunk for chunk in self.chunks if chunk.finished_at is not None]
        last = max(ended, key=lambda chunk: (chunk.finished_at, chunk.run_id), default=None)
        return Verdict.FAILED if last is not None and last.state == "failed" else None


@dataclass(frozen=True, slots=True)
class Explanation:
    """Where the rows of an instrument at a moment come from, or why there are none."""

    instrument: str
    moment: datetime
    series: tuple[SeriesLineage, ...]
    """One for each dataset and resolution that was ever asked for."""

    def as_json(self) -> dict[str, object]:
        """Return it as an object for scripts, with times as ISO 8601 in UTC."""
        told = [each.as_json() for each in self.series]
        return {"instrument": self.instrument, "moment": plain(self.moment), "series": told}


def gap_json(listed: ListedGap) -> dict[str, object]:
    """Return a gap as an object for scripts, with times as ISO 8601 in UTC."""
    gap, (start, end) = listed.gap, listed.gap.window.as_datetimes()
    others = {field.name: getattr(listed, field.name) for field in fields(listed) if field.name != "gap"}
    own = {
        "gap_id": gap.gap_id,
        "window_start": start,
        "window_end": end,
        "first_sequence": None if gap.sequences is None else gap.sequences.first,
        "last_sequence": None if gap.sequences is None else gap.sequences.last,
        "missing": gap.missing,
        "cause": gap.cause.value,
        "state": gap.state.value,
        "evidence": gap.evidence,
    }
    return {name: plain(value) for name, value in {**own, **others}.items()}
