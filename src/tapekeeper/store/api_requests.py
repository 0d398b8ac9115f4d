"""Every question that we asked a venue, answered or not."""

from __future__ import annotations

import logging
from collections import Counter, deque
from typing import TYPE_CHECKING, Final

from psycopg2.extras import Json, execute_values

from tapekeeper.clock import day_of, from_microseconds
from tapekeeper.errors import DatabaseUnavailable
from tapekeeper.store.partitions import ensure_partitions

if TYPE_CHECKING:
    from datetime import date

    from psycopg2.extensions import cursor as Cursor

    from tapekeeper.http.request_log import RequestRecord
    from tapekeeper.model.backfill import Purpose
    from tapekeeper.store.database import Database

_WAITING_MAXIMUM: Final = 10_000
_COUNT: Final = """
    INSERT INTO api_request_totals AS total (venue, method, outcome, requests) VALUES %s
    ON CONFLICT (venue, method, outcome) DO UPDATE SET requests = total.requests + excluded.requests
"""
_log = logging.getLogger(__name__)


class ApiRequestLog:
    """Writes records apart from the data, so that those of failed work are kept; not for two threads at once.

    While the database is away up to 10,000 records wait; beyond that the oldest go, counted in `dropped`.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: deque[tuple[RequestRecord, Purpose | None]] = deque()
        self._days_with_partition: set[date] = set()
        self.purpose: Purpose | None = None
        """What the next requests are for."""
        self.count = 0
        """Requests so far."""
        self.dropped = 0
        """Records lost because the database was away for too long."""

    def record(self, record: RequestRecord) -> None:
        """Write a record, and those that waited for the database."""
        self.count += 1
        self._waiting.append((record, self.purpose))
        if len(self._waiting) > _WAITING_MAXIMUM:
            self._waiting.popleft()
            self.dropped += 1
        try:
            self._database.run(self._write)
        except DatabaseUnavailable as error:
            _log.warning("%d request records wait for the database: %s", len(self._waiting), error)
            return
        # Known only now: what a transaction made is gone if its commit failed.
        self._days_with_partition |= {day_of(record.requested_at) for record, _ in self._waiting}
        self._waiting.clear()

    def _write(self, cursor: Cursor) -> None:
        days = {day_of(record.requested_at) for record, _ in self._waiting} - self._days_with_partition
        if days:
            ensure_partitions(cursor, "api_requests", sorted(days))
        execute_values(
            cursor,
            """
            INSERT INTO api_requests (requested_at, venue, method, parameters, status, outcome, reason, weight,
                latency_seconds, bytes, attempt, run_id, series_id, window_start)
            VALUES %s
            """,
            [_row(record, purpose) for record, purpose in self._waiting],
        )
        counts = Counter((record.venue, record.method, record.outcome) for record, _ in self._waiting)
        # In one order, so that two writers cannot deadlock.
        execute_values(cursor, _COUNT, [(*what, count) for what, count in sorted(counts.items())])


def _row(record: RequestRecord, purpose: Purpose | None) -> tuple[object, ...]:
    return (
        from_microseconds(record.requested_at),
        record.venue,
        record.method,
        Json(dict(record.parameters)),
        record.status,
        record.outcome,
        record.reason,
        record.weight,
        record.latency_seconds,
        record.bytes,
        record.attempt,
        purpose.run_id if purpose else None,
        purpose.series_id if purpose else None,
        from_microseconds(purpose.window.start) if purpose else None,
    )
