"""What the status page, the command line and health checks tell; read-only, and as quick as the number of series."""

from __future__ import annotations

import logging
import os
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from tapekeeper.clock import MICROSECONDS_PER_SECOND, from_microseconds, now_microseconds
from tapekeeper.errors import AuthRejected, DatabaseUnavailable, SchemaTooOld, TapekeeperError
from tapekeeper.model.series import DATASETS, DERIBIT_PERPETUAL_CANDLES, Dataset, dataset_named
from tapekeeper.quality.report import PAGE
from tapekeeper.store.completeness import WINDOWS, dataset_completeness
from tapekeeper.store.quality_runs import LastQualityRun, last_run, newest_run
from tapekeeper.store.reader import Reader
from tapekeeper.store.status_queries import (
    BackfillProgress,
    DatasetTotals,
    backfill_progress,
    dataset_totals,
    open_gap_counts,
    table_bytes,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from psycopg2.extensions import cursor as Cursor

    from tapekeeper.settings import Settings

BACKEND: Final = "postgresql"
STALE_AFTER_INTERVALS: Final = 2
"""Data whose newest event is older than this many target intervals are stale."""
_BYTES_PER_MB: Final = 1_000_000
_READERS_MAXIMUM: Final = 8
COMPLETENESS_SECONDS: Final = 60
"""Completeness is read anew after so long, or after a quality run: it counts a month of all series."""
_LOG: Final = logging.getLogger(__name__)

# The page is seen by everybody who may log in, the log by those who run the system: hosts and logins stay there.
_SENTENCES: Final[dict[type[TapekeeperError], str]] = {
    DatabaseUnavailable: "The database cannot be reached or is too slow to answer: check that PostgreSQL runs and that"
    " TAPEKEEPER_READER_DATABASE_URL, or without it TAPEKEEPER_DATABASE_URL, is right.",
    SchemaTooOld: "The database lacks a table of this version: run tapekeeper migrate.",
    AuthRejected: "The database refuses the login: check its name and password, that the database exists, and that"
    " the login holds the role tapekeeper_reader.",
}
_ANY_OTHER_SENTENCE: Final = "The status cannot be read: the log of this process says why."


@dataclass(frozen=True, slots=True)
class IntradayDataStatus:
    """The eleven fields of `GET /api/data_status/intraday`; they keep their names and their order."""

    ok: bool
    """False if the database could not be asked; then `error` says why and the numbers mean nothing."""
    source: str
    backend: str
    rows_total: int
    days_covered: int
    """Last date - first date + 1, in UTC."""
    first_timestamp: datetime | None
    """Event time of the oldest row; for a candle its open time."""
    last_timestamp: datetime | None
    approx_size_mb: float
    """Millions of bytes on disk, indexes included; tables shared with other datasets are split by rows held."""
    target_interval_sec: int
    is_running: bool
    """The newest event is at most two target intervals old."""
    error: str | None

    def as_json(self) -> dict[str, Any]:
        """Return the fields with times as ISO 8601 in UTC."""
        return _as_json(self)


@dataclass(frozen=True, slots=True)
class QualityStatus:
    """What is proven about one dataset."""

    completeness: Mapping[str, float | None] = field(default_factory=lambda: dict.fromkeys(WINDOWS.values()))
    """By `24h`, `7d`, `30d`: held and explained of expected over days that are over; None where nothing is expected."""
    gaps_open: int = 0
    last_run: LastQualityRun | None = None
    has_report: bool = False
    """The report of the last run is where this process looks for it."""

    def as_json(self) -> dict[str, Any]:
        """Return the fields as the list of datasets shows them."""
        run = _as_json(self.last_run) | {"has_report": self.has_report} if self.last_run else None
        return {
            **{f"completeness_{window}": ratio for window, ratio in self.completeness.items()},
            "gaps_open": self.gaps_open,
            "last_quality_run": run,
        }


@dataclass(frozen=True, slots=True)
class DatasetStatus:
    """Everything there is to tell about one dataset."""

    dataset: str
    intraday: IntradayDataStatus
    freshness_seconds: float | None = None
    """Age of the newest event."""
    totals: DatasetTotals = field(default_factory=DatasetTotals)
    backfill: BackfillProgress = field(default_factory=BackfillProgress)
    quality: QualityStatus = field(default_factory=QualityStatus)

    @property
    def completeness(self) -> float | None:
        """Held and explained of expected, from 0 to 1; None where nothing is expected."""
        return self.totals.accounted / self.totals.expected if self.totals.expected else None

    def as_json(self) -> dict[str, Any]:
        """Return one flat object: the dataset's name, the eleven fields, and the rest."""
        last_run = self.backfill.last_run
        return {
            "dataset": self.dataset,
            **self.intraday.as_json(),
            "freshness_seconds": self.freshness_seconds,
            "series_count": self.totals.series_count,
            "held": self.totals.held,
            "explained": self.totals.explained,
            "expected": self.totals.expected,
            "completeness": self.completeness,
            **self.quality.as_json(),
            "chunks_pending": self.backfill.chunks_pending,
            "chunks_failed": self.backfill.chunks_failed,
            "last_run": _as_json(last_run) if last_run else None,
        }


def get_intraday_data_status(settings: Settings, dataset: str = DERIBIT_PERPETUAL_CANDLES.name) -> IntradayDataStatus:
    """Return how one dataset is; a database that is away makes an answer with `ok` False, not an error.

    Raises:
        ConfigInvalid: there is no such dataset; the message lists those that exist.
    """
    asked = dataset_named(dataset)
    try:
        return _reader(settings).run(lambda cursor: _intraday(cursor, asked, dataset_totals(cursor)))
    except TapekeeperError as error:
        return unavailable(asked, _sentence(error))


def get_all_statuses(settings: Settings) -> list[DatasetStatus]:
    """Return everything about every dataset; with the database away, an answer with `ok` False for each of them."""
    try:
        reader = _reader(settings)
        turn = now_microseconds() // (COMPLETENESS_SECONDS * MICROSECONDS_PER_SECOND)
        completeness = _completeness(reader, turn, reader.run(newest_run))
        folder = settings.quality.report_folder
        return reader.run(lambda cursor: _all(cursor, completeness, folder))
    except TapekeeperError as error:
        sentence = _sentence(error)
        return [DatasetStatus(dataset.name, unavailable(dataset, sentence)) for dataset in DATASETS.values()]


def unavailable(dataset: Dataset, error: str) -> IntradayDataStatus:
    """Return the status of a dataset about which nothing can be told but why."""
    return IntradayDataStatus(
        ok=False,
        source=dataset.source,
        backend=BACKEND,
        rows_total=0,
        days_covered=0,
        first_timestamp=None,
        last_timestamp=None,
        approx_size_mb=0.0,
        target_interval_sec=dataset.target_interval_seconds,
        is_running=False,
        error=error,
    )


def summarise(dataset: Dataset, totals: DatasetTotals, *, size_bytes: float, now: datetime) -> IntradayDataStatus:
    """Return the eleven fields that follow from the totals of a dataset at a moment."""
    first, last = totals.first_event_time, totals.last_event_time
    stale_after = timedelta(seconds=STALE_AFTER_INTERVALS * dataset.target_interval_seconds)
    return IntradayDataStatus(
        ok=True,
        source=dataset.source,
        backend=BACKEND,
        rows_total=totals.rows_held,
        days_covered=(last.astimezone(UTC).date() - first.astimezone(UTC).date()).days + 1 if first and last else 0,
        first_timestamp=first,
        last_timestamp=last,
        approx_size_mb=round(size_bytes / _BYTES_PER_MB, 1),
        target_interval_sec=dataset.target_interval_seconds,
        is_running=last is not None and now - last <= stale_after,
        error=None,
    )


def _intraday(cursor: Cursor, dataset: Dataset, totals: Mapping[str, DatasetTotals]) -> IntradayDataStatus:
    own = totals.get(dataset.name, DatasetTotals())
    sharing = [other.name for other in DATASETS.values() if other.table == dataset.table]
    rows_of_table = sum(totals[name].rows_held for name in sharing if name in totals)
    share = own.rows_held / rows_of_table if rows_of_table else 0.0
    return summarise(dataset, own, size_bytes=share * table_bytes(cursor, dataset.table), now=_now())


def _all(
    cursor: Cursor, completeness: Mapping[str, Mapping[str, float | None]], report_folder: Path
) -> list[DatasetStatus]:
    totals, gaps_open = dataset_totals(cursor), open_gap_counts(cursor)
    statuses = []
    for name, dataset in DATASETS.items():
        intraday = _intraday(cursor, dataset, totals)
        last = intraday.last_timestamp
        run = last_run(cursor, name)
        statuses.append(
            DatasetStatus(
                dataset=name,
                intraday=intraday,
                freshness_seconds=(_now() - last).total_seconds() if last else None,
                totals=totals.get(name, DatasetTotals()),
                backfill=backfill_progress(cursor, name),
                quality=QualityStatus(
                    completeness=completeness.get(name, QualityStatus().completeness),
                    gaps_open=gaps_open.get(name, 0),
                    last_run=run,
                    has_report=run is not None and (report_folder / str(run.run_id) / PAGE).is_file(),
                ),
            )
        )
    return statuses


@lru_cache(maxsize=_READERS_MAXIMUM)
def _completeness(reader: Reader, _turn: int, _newest_run: object) -> dict[str, dict[str, float | None]]:
    """Return how complete the datasets are, read anew in each turn and after each quality run."""
    return reader.run(dataset_completeness)


def _now() -> datetime:
    return from_microseconds(now_microseconds())


def _reader(settings: Settings) -> Reader:
    # A process that was forked must not share its parent's connections.
    return _reader_of_process(
        settings.reader_database_url.get_secret_value(), settings.database.connect_timeout_seconds, os.getpid()
    )


@lru_cache(maxsize=_READERS_MAXIMUM)
def _reader_of_process(url: str, connect_timeout_seconds: int, _process_id: int) -> Reader:
    return Reader(url, connect_timeout_seconds=connect_timeout_seconds)


def _sentence(error: TapekeeperError) -> str:
    _LOG.warning("the status cannot be read: %s", error)
    return _SENTENCES.get(type(error), _ANY_OTHER_SENTENCE)


def _as_json(record: Any) -> dict[str, Any]:
    """Return the fields of a dataclass with times as ISO 8601 in UTC."""
    return {name: _iso(value) for name, value in asdict(record).items()}


def _iso(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return value
