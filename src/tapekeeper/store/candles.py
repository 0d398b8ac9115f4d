"""Candles: written in bulk, together with the account of them."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Final

import numpy as np
from psycopg2.extras import Json, execute_values

from tapekeeper.clock import MICROSECONDS_PER_SECOND, from_microseconds
from tapekeeper.model.backfill import RowCounts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from psycopg2.extensions import cursor as Cursor

    from tapekeeper.model.candle import Candles, RejectedRow

INCOMING_TABLE: Final = """
    CREATE TEMPORARY TABLE IF NOT EXISTS incoming_candles (
        open_time timestamptz, open double precision, high double precision, low double precision,
        close double precision, volume double precision, cost double precision, trade_count integer
    ) ON COMMIT DELETE ROWS
"""
"""What a `Database` that writes candles has to prepare."""

_POSTGRESQL_EPOCH: Final = 946_684_800 * MICROSECONDS_PER_SECOND
"""2000-01-01, where PostgreSQL's binary timestamps begin."""
_COPY_HEADER: Final = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
_COPY_TRAILER: Final = b"\xff\xff"
_PRICE_COLUMNS: Final = ("open", "high", "low", "close", "volume", "cost")

# The anti-join writes nothing where nothing changed; ON CONFLICT guards against a writer that did not take the lock.
# `xmax = 0` tells an inserted row from an updated one, so `held` grows by what was really inserted.
_WRITE: Final = """
    WITH held AS MATERIALIZED (
        SELECT open_time, open, high, low, close, volume, cost, trade_count
        FROM candles
        WHERE series_id = %(series_id)s AND open_time BETWEEN %(first)s AND %(last)s
    ), changed AS (
        SELECT incoming.*
        FROM incoming_candles AS incoming
        LEFT JOIN held USING (open_time)
        WHERE held.open_time IS NULL
            OR incoming.open IS DISTINCT FROM held.open
            OR incoming.high IS DISTINCT FROM held.high
            OR incoming.low IS DISTINCT FROM held.low
            OR incoming.close IS DISTINCT FROM held.close
            OR incoming.volume IS DISTINCT FROM held.volume
            OR incoming.cost IS DISTINCT FROM held.cost
            OR incoming.trade_count IS DISTINCT FROM held.trade_count
    ), written AS (
        INSERT INTO candles (series_id, open_time, open, high, low, close, volume, cost, trade_count)
        SELECT %(series_id)s, open_time, open, high, low, close, volume, cost, trade_count
        FROM changed
        ORDER BY open_time
        ON CONFLICT (series_id, open_time) DO UPDATE SET
            open = excluded.open, high = excluded.high, low = excluded.low, close = excluded.close,
            volume = excluded.volume, cost = excluded.cost, trade_count = excluded.trade_count
        RETURNING open_time, xmax = 0 AS is_new
    ), per_day AS (
        SELECT
            (open_time AT TIME ZONE 'UTC')::date AS day,
            count(*) FILTER (WHERE is_new) AS inserted,
            count(*) FILTER (WHERE NOT is_new) AS updated,
            min(open_time) AS first_event_time,
            max(open_time) AS last_event_time
        FROM written
        GROUP BY 1
    ), accounted AS (
        INSERT INTO coverage AS account (series_id, day, held, first_event_time, last_event_time)
        SELECT %(series_id)s, day, inserted, first_event_time, last_event_time
        FROM per_day
        WHERE inserted > 0
        ON CONFLICT (series_id, day) DO UPDATE SET
            held = account.held + excluded.held,
            first_event_time = least(account.first_event_time, excluded.first_event_time),
            last_event_time = greatest(account.last_event_time, excluded.last_event_time)
    ), totalled AS (
        UPDATE series_totals AS total SET
            held = total.held + gained.inserted,
            first_event_time = least(total.first_event_time, gained.first_event_time),
            last_event_time = greatest(total.last_event_time, gained.last_event_time)
        FROM (
            SELECT
                sum(inserted) AS inserted,
                min(first_event_time) FILTER (WHERE inserted > 0) AS first_event_time,
                max(last_event_time) FILTER (WHERE inserted > 0) AS last_event_time
            FROM per_day
        ) AS gained
        WHERE total.series_id = %(series_id)s AND gained.inserted > 0
    )
    SELECT coalesce(sum(inserted), 0)::bigint, coalesce(sum(updated), 0)::bigint FROM per_day
"""


def lock_series(cursor: Cursor, series_id: int) -> None:
    """Hold the series until the transaction ends; whoever changes its rows or its account holds it first."""
    cursor.execute("SELECT pg_advisory_xact_lock(%s)", (series_id,))


def write_candles(cursor: Cursor, series_id: int, candles: Candles) -> RowCounts:
    """Insert what is new, update what differs, and change coverage by what was really inserted.

    The same candles written twice change no row. The cursor's connection needs `INCOMING_TABLE`.
    """
    if not len(candles):
        return RowCounts()
    columns = ["open_time", *_PRICE_COLUMNS, *(["trade_count"] if candles.trade_count is not None else [])]
    lock_series(cursor, series_id)
    cursor.copy_expert(
        f"COPY incoming_candles ({', '.join(columns)}) FROM STDIN (FORMAT binary)", io.BytesIO(_encode(candles))
    )
    parameters = {
        "series_id": series_id,
        "first": from_microseconds(int(candles.open_time[0])),
        "last": from_microseconds(int(candles.open_time[-1])),
    }
    cursor.execute(_WRITE, parameters)
    row = cursor.fetchone()
    inserted, updated = row if row else (0, 0)
    return RowCounts(len(candles), inserted, updated, len(candles) - inserted - updated)


def quarantine(cursor: Cursor, series_id: int, rows: Sequence[RejectedRow]) -> None:
    """Keep rows that cannot be believed as they came; a row seen again is counted, not repeated."""
    execute_values(
        cursor,
        """
        INSERT INTO quarantine AS kept (series_id, event_time, reason, content) VALUES %s
        ON CONFLICT (series_id, md5(reason || content::text)) DO UPDATE SET
            times_seen = kept.times_seen + 1, last_seen_at = clock_timestamp()
        """,
        [
            (
                series_id,
                None if row.event_time is None else from_microseconds(row.event_time),
                row.reason,
                Json(row.row),
            )
            for row in rows
        ],
    )


def _encode(candles: Candles) -> bytes:
    """Return the candles in PostgreSQL's binary COPY format: one numpy record per row, all columns of fixed width."""
    fields: list[tuple[str, str]] = [("count", ">i2")]
    for name in ("open_time", *_PRICE_COLUMNS):
        fields += [(f"{name}_size", ">i4"), (name, ">i8" if name == "open_time" else ">f8")]
    if candles.trade_count is not None:
        fields += [("trade_count_size", ">i4"), ("trade_count", ">i4")]
    records = np.zeros(len(candles), dtype=fields)
    records["count"] = (len(fields) - 1) // 2
    for name in ("open_time", *_PRICE_COLUMNS):
        records[f"{name}_size"] = 8
        records[name] = getattr(candles, name)
    records["open_time"] -= _POSTGRESQL_EPOCH
    if candles.trade_count is not None:
        records["trade_count_size"] = 4
        records["trade_count"] = candles.trade_count
    return _COPY_HEADER + records.tobytes() + _COPY_TRAILER
