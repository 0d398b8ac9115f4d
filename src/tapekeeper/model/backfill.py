"""Backfill: what is asked for, what is planned, what came of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from tapekeeper.model.instrument import Instrument
from tapekeeper.model.resolution import Resolution
from tapekeeper.model.series import Dataset
from tapekeeper.model.window import Window


class Direction(StrEnum):
    """Which end of the window comes first."""

    NEWEST_FIRST = "newest first"
    OLDEST_FIRST = "oldest first"


class Mode(StrEnum):
    """Whether rows that are held are asked for again."""

    MISSING_ONLY = "missing only"
    FULL_REFRESH = "full refresh"


class Source(StrEnum):
    """Where the rows of a chunk are fetched from."""

    REST = "rest"
    ARCHIVE = "archive"


@dataclass(frozen=True, slots=True)
class BackfillRequest:
    """One asked-for backfill, already checked."""

    dataset: Dataset
    instruments: tuple[str, ...]
    window: Window
    resolution: Resolution
    """0 where the data have none, or each instrument its own."""
    direction: Direction = Direction.NEWEST_FIRST
    mode: Mode = Mode.MISSING_ONLY
    keep_fresh: bool = False
    """Follow the instruments from the window's start without an end, so that the live job goes on."""


@dataclass(frozen=True, slots=True)
class PlannedChunk:
    """A window that is fetched and committed as a whole."""

    window: Window
    source: Source


@dataclass(frozen=True, slots=True)
class InstrumentPlan:
    """What a backfill will do for one series of an instrument."""

    instrument: Instrument
    resolution: Resolution
    window: Window | None
    """The part of the asked window that the venue can have: inside the instrument's life and before now."""
    chunks: tuple[PlannedChunk, ...]
    rows_expected: int
    """Grid points of `window`; 0 where the series has no grid, so that nobody knows."""
    rows_missing: int
    """Grid points of `window` that are not held."""
    keep_fresh: bool = False
    """Follow it without an end."""
    note: str | None = None
    """A sentence for the person who asked, such as where the venue's history begins."""


@dataclass(frozen=True, slots=True)
class BackfillPlan:
    """What a backfill will do, before it does anything."""

    request: BackfillRequest
    instruments: tuple[InstrumentPlan, ...]
    requests_per_second: float

    @property
    def requests(self) -> int:
        """How many times the venue will be asked if nothing goes wrong."""
        return sum(len(plan.chunks) for plan in self.instruments)

    @property
    def rows_expected(self) -> int:
        """Rows that should be held when the backfill is done."""
        return sum(plan.rows_expected for plan in self.instruments)

    @property
    def rows_missing(self) -> int:
        """Rows that are not held yet."""
        return sum(plan.rows_missing for plan in self.instruments)

    @property
    def estimated_seconds(self) -> float:
        """How long the requests take at the granted pace."""
        return self.requests / self.requests_per_second


class Purpose(Protocol):
    """What requests are for, as it is kept with each of them."""

    @property
    def run_id(self) -> int | None:
        """The backfill; None for what is asked for apart from backfills, such as by a repair."""
        ...

    @property
    def series_id(self) -> int:
        """Whose rows are asked for."""
        ...

    @property
    def window(self) -> Window:
        """The part of the series."""
        ...


@dataclass(frozen=True, slots=True)
class Chunk:
    """A series times a window inside a run, leased by this worker: the unit of work and of commit."""

    run_id: int
    series_id: int
    instrument_name: str
    window: Window
    attempts: int
    """Tries so far, this one included."""
    resolution: Resolution
    source: Source


@dataclass(frozen=True, slots=True)
class RowCounts:
    """What a transaction did to the rows it was given."""

    fetched: int = 0
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    rejected: int = 0

    def __add__(self, other: RowCounts) -> RowCounts:
        return RowCounts(
            self.fetched + other.fetched,
            self.inserted + other.inserted,
            self.updated + other.updated,
            self.unchanged + other.unchanged,
            self.rejected + other.rejected,
        )


@dataclass(frozen=True, slots=True)
class RunSummary:
    """What a run did, as its last task and its last log line tell it."""

    run_id: int
    state: str
    instruments: tuple[str, ...]
    requested: int
    """Rows that the chunks of the run span; 0 where there is no grid, so that nobody knows."""
    rows: RowCounts
    requests: int
    chunks_done: int
    chunks_failed: int
    seconds: float
    earliest: str | None
    latest: str | None
    errors: tuple[str, ...] = field(default=())

    @property
    def rows_per_second(self) -> float:
        """Fetched rows by wall-clock time."""
        return round(self.rows.fetched / self.seconds, 1) if self.seconds else 0.0

    def as_json(self) -> dict[str, object]:
        """Return the summary with plain names, for XCom, logs and scripts."""
        return {
            "run_id": self.run_id,
            "state": self.state,
            "instruments": list(self.instruments),
            "requested": self.requested,
            "fetched": self.rows.fetched,
            "inserted": self.rows.inserted,
            "updated": self.rows.updated,
            "unchanged": self.rows.unchanged,
            "rejected": self.rows.rejected,
            "requests": self.requests,
            "chunks_done": self.chunks_done,
            "chunks_failed": self.chunks_failed,
            "seconds": round(self.seconds, 3),
            "rows_per_second": self.rows_per_second,
            "earliest": self.earliest,
            "latest": self.latest,
            "errors": list(self.errors),
        }
