"""Candles that were written and cannot be believed: out of the table and into quarantine, with their account."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Final

from tapekeeper.clock import day_of, from_microseconds, to_microseconds
from tapekeeper.model.answer import RejectedRow
from tapekeeper.model.series import dataset_named
from tapekeeper.store.account import Change, change_account
from tapekeeper.store.grid_rows import table_named
from tapekeeper.store.quarantine import quarantine
from tapekeeper.store.series_lock import lock_series

if TYPE_CHECKING:
    from collections.abc import Sequence

    from psycopg2.extensions import cursor as Cursor

    from tapekeeper.store.grid_rows import GridTable

_TABLE: Final = "SELECT dataset FROM series WHERE series_id = %s"
_DELETE: Final = """
    DELETE FROM {table.name} WHERE series_id = %s AND {table.time} = ANY(%s::timestamptz[])
    RETURNING {table.time}, {values}
"""
_EXTENT_OF_DAYS: Final = """
    UPDATE coverage SET first_event_time = extent.first, last_event_time = extent.last
    FROM unnest(%(days)s::date[]) AS changed (day)
    CROSS JOIN LATERAL (
        SELECT min({table.time}) AS first, max({table.time}) AS last
        FROM {table.name}
        WHERE series_id = %(series_id)s
            AND {table.time} >= changed.day AT TIME ZONE 'UTC' AND {table.time} < (changed.day + 1) AT TIME ZONE 'UTC'
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

    Open times, of daily candles of options their days, are in microseconds since 1970. What is held of their days goes
    down with them.
    """
    lock_series(cursor, series_id)
    table = _table_of(cursor, series_id)
    columns = (*table.exact, *table.numbers, *table.optional, *table.counts)
    moments = [from_microseconds(moment) for moment in open_times]
    cursor.execute(_DELETE.format(table=table, values=", ".join(columns)), (series_id, moments))
    rows = sorted((to_microseconds(moment), values) for moment, *values in cursor.fetchall())
    if not rows:
        return []
    names = (table.time, *columns)
    quarantine(
        cursor,
        series_id,
        [
            RejectedRow(moment, reason, {name: _plain(value) for name, value in zip(names, row, strict=True)})
            for moment, row in ((moment, (from_microseconds(moment), *values)) for moment, values in rows)
        ],
    )
    change_account(cursor, [Change(series_id, day_of(moment), held=-1) for moment, _ in rows])
    days = sorted({day_of(moment) for moment, _ in rows})
    cursor.execute(_EXTENT_OF_DAYS.format(table=table), {"series_id": series_id, "days": days})
    cursor.execute(_TOTALS, {"series_id": series_id, "rows": len(rows)})
    return [moment for moment, _ in rows]


def _table_of(cursor: Cursor, series_id: int) -> GridTable:
    cursor.execute(_TABLE, (series_id,))
    ((dataset,),) = cursor.fetchall()
    return table_named(dataset_named(dataset).table)


def _plain(value: object) -> object:
    return value.isoformat() if isinstance(value, datetime) else value
