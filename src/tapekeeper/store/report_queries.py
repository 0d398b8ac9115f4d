"""What the reports of a quality run ask: the account per day and series, and the gaps with what became of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date, datetime

    from psycopg2.extensions import cursor as Cursor

_RUN: Final = "SELECT asked_by, started_at FROM quality_runs WHERE run_id = %s"

# A surplus of one series does not make up for what another one lacks.
_DAYS: Final = """
    SELECT series.dataset, coverage.day,
        sum(coverage.expected)::bigint,
        sum(least(coverage.held, coverage.expected))::bigint,
        sum(least(coverage.explained, greatest(coverage.expected - coverage.held, 0)))::bigint
    FROM coverage
    JOIN series USING (series_id)
    WHERE coverage.day BETWEEN %s AND %s AND series.dataset = ANY(%s)
    GROUP BY series.dataset, coverage.day
    ORDER BY series.dataset, coverage.day
"""

# Nor does that of one day.
_SERIES: Final = """
    SELECT series_id, dataset, instrument, resolution_seconds,
        sum(expected)::bigint,
        sum(held)::bigint,
        sum(explained)::bigint,
        sum(greatest(expected - held - explained, 0))::bigint AS missing,
        count(*) FILTER (WHERE state = 'red') AS days_red,
        min(first_event_time), max(last_event_time)
    FROM series_days
    WHERE day BETWEEN %s AND %s AND dataset = ANY(%s) AND state <> 'running'
    GROUP BY series_id, dataset, instrument, resolution_seconds
    ORDER BY dataset, days_red DESC, missing DESC, sum(explained) DESC, instrument, resolution_seconds
"""

_SERIES_DAYS: Final = """
    SELECT series_id, day, expected, held, explained, state
    FROM series_days
    WHERE day BETWEEN %s AND %s AND series_id = ANY(%s)
"""

_GAPS: Final = """
    SELECT gap.gap_id, series.dataset, instruments.name, series.resolution_seconds,
        gap.window_start, gap.window_end, gap.missing, gap.state, gap.cause, gap.attempts,
        gap.opened_at, gap.closed_at, gap.found_empty_at, gap.next_attempt_at,
        event.by, event.why, receipt.requests, receipt.rows_found, receipt.rows_missing,
        receipt.digest_before, receipt.digest_after
    FROM data_gaps AS gap
    JOIN series USING (series_id)
    JOIN instruments USING (instrument_id)
    LEFT JOIN repair_receipts AS receipt USING (gap_id)
    LEFT JOIN LATERAL (
        SELECT by, why FROM data_gap_events WHERE gap_id = gap.gap_id ORDER BY event_id DESC LIMIT 1
    ) AS event ON true
    WHERE series.dataset = ANY(%s)
"""
_LARGEST: Final = (
    _GAPS
    + """
        AND gap.window_start < %s AND gap.window_end > %s
    ORDER BY gap.closed_at IS NOT NULL, gap.missing DESC, gap.window_end DESC, gap.gap_id
    LIMIT %s
"""
)
_OPEN: Final = _GAPS + " AND gap.closed_at IS NULL ORDER BY gap.missing DESC, gap.window_end DESC, gap.gap_id LIMIT %s"
_CLOSED: Final = _GAPS + " AND gap.closed_at >= %s ORDER BY gap.closed_at DESC, gap.gap_id DESC LIMIT %s"
_COUNT_OPEN: Final = """
    SELECT count(*) FROM data_gaps JOIN series USING (series_id) WHERE dataset = ANY(%s) AND closed_at IS NULL
"""


@dataclass(frozen=True, slots=True)
class RunOrigin:
    """Who asked for a quality run, and when it began."""

    asked_by: str
    started_at: datetime


@dataclass(frozen=True, slots=True)
class DatasetDay:
    """The account of one UTC day of all series of a dataset."""

    dataset: str
    day: date
    expected: int
    held: int
    explained: int


@dataclass(frozen=True, slots=True)
class SeriesAccount:
    """The account of one series over some UTC days that are over."""

    series_id: int
    dataset: str
    instrument: str
    resolution_seconds: int
    expected: int
    held: int
    explained: int
    missing: int
    """What no day can explain."""
    days_red: int
    first_event_time: datetime | None
    last_event_time: datetime | None


@dataclass(frozen=True, slots=True)
class SeriesDay:
    """The account of one series and UTC day."""

    series_id: int
    day: date
    expected: int
    held: int
    explained: int
    state: str
    """running, complete, explained or red."""


@dataclass(frozen=True, slots=True)
class ReportedGap:
    """A gap, the last that happened to it, and its receipt where it has one."""

    gap_id: int
    dataset: str
    instrument: str
    resolution_seconds: int
    window_start: datetime
    window_end: datetime
    missing: int
    state: str
    cause: str
    attempts: int
    opened_at: datetime
    closed_at: datetime | None
    found_empty_at: datetime | None
    next_attempt_at: datetime | None
    by: str | None
    why: str | None
    requests: int | None
    rows_found: int | None
    rows_missing: int | None
    digest_before: str | None
    digest_after: str | None


def run_origin(cursor: Cursor, run_id: int) -> RunOrigin | None:
    """Return who asked for a quality run, or None where there is no such run."""
    cursor.execute(_RUN, (run_id,))
    row = cursor.fetchone()
    return RunOrigin(*row) if row else None


def dataset_days(cursor: Cursor, datasets: Sequence[str], first: date, last: date) -> list[DatasetDay]:
    """Return the account of each day from the first to the last, by dataset and day; days without series are absent."""
    cursor.execute(_DAYS, (first, last, list(datasets)))
    return [DatasetDay(*row) for row in cursor.fetchall()]


def series_accounts(cursor: Cursor, datasets: Sequence[str], first: date, last: date) -> list[SeriesAccount]:
    """Return the account of each series over the days that are over, worst first within each dataset."""
    cursor.execute(_SERIES, (first, last, list(datasets)))
    return [SeriesAccount(*row) for row in cursor.fetchall()]


def days_of_series(cursor: Cursor, series_ids: Sequence[int], first: date, last: date) -> list[SeriesDay]:
    """Return the followed days of some series, in no order."""
    cursor.execute(_SERIES_DAYS, (first, last, list(series_ids)))
    return [SeriesDay(*row) for row in cursor.fetchall()]


def largest_gaps(
    cursor: Cursor, datasets: Sequence[str], start: datetime, end: datetime, *, limit: int
) -> list[ReportedGap]:
    """Return the gaps that touch a window, open ones first, then the largest."""
    cursor.execute(_LARGEST, (list(datasets), end, start, limit))
    return [ReportedGap(*row) for row in cursor.fetchall()]


def largest_open_gaps(cursor: Cursor, datasets: Sequence[str], *, limit: int) -> list[ReportedGap]:
    """Return the gaps that nobody has closed yet, largest first."""
    cursor.execute(_OPEN, (list(datasets), limit))
    return [ReportedGap(*row) for row in cursor.fetchall()]


def newly_closed_gaps(cursor: Cursor, datasets: Sequence[str], since: datetime, *, limit: int) -> list[ReportedGap]:
    """Return the gaps that were closed since a moment, newest first."""
    cursor.execute(_CLOSED, (list(datasets), since, limit))
    return [ReportedGap(*row) for row in cursor.fetchall()]


def count_open_gaps(cursor: Cursor, datasets: Sequence[str]) -> int:
    """Return how many gaps of the datasets are not closed."""
    cursor.execute(_COUNT_OPEN, (list(datasets),))
    return int((cursor.fetchone() or (0,))[0])
