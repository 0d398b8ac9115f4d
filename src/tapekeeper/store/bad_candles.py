"""Candles that were written and cannot be believed: out of the table and into quarantine, with their account."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tapekeeper.clock import day_of, from_microseconds, to_microseconds
from tapekeeper.model.answer import RejectedRow
from tapekeeper.store.account import Change, change_account
from tapekeeper.store.quarantine import quarantine
from tapekeeper.store.series_lock import lock_series

if TYPE_CHECKING:
    from collections.abc import Sequence

    from psycopg2.extensions import cursor as Cursor

_COLUMNS: Final = ("open", "high", "low", "close", "volume", "cost", "trade_count")
_DELETE: Final = """
    DELETE FROM candles WHERE series_id = %s AND open_time = ANY(%s::timestamptz[])
    RETURNING open_time, open, high, low, close, volume, cost, trade_count
"""
_EXTENT_OF_DAYS: Final = """
    UPDATE coverage SET first_event_time = extent.first, last_event_time = extent.last
    FROM unnest(%(days)s::date[]) AS changed (day)
    CROSS JOIN LATERAL (
        SELECT min(open_time) AS first, max(open_time) AS last
        FROM candles
        WHERE series_id = %(series_id)s
            AND open_time >= changed.day AT TIME ZONE 'UTC' AND open_time < (changed.day + 1) AT TIME ZONE 'UTC'
    ) AS extent
    WHERE coverage.series_id = %(series_id)s AND coverage.day = changed.day
"""
_TOTALS: Final = """
    UPDATE series_totals SET
        rows_held = rows_held - %(rows)s, first_event_time = extent.first, last_event_time = extent.last
    FROM (
        SELECT min(first_event_time) AS first, max(last_event_time) AS last
        FROM coverage
        WHERE series_id = %(series_id)s
    ) AS extent
    WHERE series_id = %(series_id)s
"""


def take_out(cursor: Cursor, series_id: int, open_times: Sequence[int], *, reason: str) -> list[int]:
    """Delete candles, keep them in quarantine, and return the open times of those that were held, ascending.

    Open times are in microseconds since 1970. What is held of their days goes down with them.
    """
    lock_series(cursor, series_id)
    cursor.execute(_DELETE, (series_id, [from_microseconds(moment) for moment in open_times]))
    rows = sorted((to_microseconds(moment), values) for moment, *values in cursor.fetchall())
    if not rows:
        return []
    quarantine(
        cursor,
        series_id,
        [
            RejectedRow(moment, reason, {"open_time": from_microseconds(moment).isoformat(), **_named(values)})
            for moment, values in rows
        ],
    )
    change_account(cursor, [Change(series_id, day_of(moment), held=-1) for moment, _ in rows])
    days = sorted({day_of(moment) for moment, _ in rows})
    cursor.execute(_EXTENT_OF_DAYS, {"series_id": series_id, "days": days})
    cursor.execute(_TOTALS, {"series_id": series_id, "rows": len(rows)})
    return [moment for moment, _ in rows]


def _named(values: Sequence[object]) -> dict[str, object]:
    return dict(zip(_COLUMNS, values, strict=True))
