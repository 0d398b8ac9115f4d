"""Candles: written in bulk, together with the account of them."""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import psycopg2.errors
from psycopg2.extras import Json, execute_values

from tapekeeper.clock import MICROSECONDS_PER_DAY, MICROSECONDS_PER_SECOND, day_of, from_microseconds
from tapekeeper.model.backfill import RowCounts

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date, datetime

    from psycopg2.extensions import cursor as Cursor

    from tapekeeper.model.answer import RejectedRow
    from tapekeeper.model.candle import Candles

INCOMING_TABLE: Final = """
    CREATE TEMPORARY TABLE IF NOT EXISTS incoming_candles (LIKE candles) ON COMMIT DELETE ROWS
"""
"""What a `Database` that writes candles has to prepare."""

_POSTGRESQL_EPOCH: Final = 946_684_800 * MICROSECONDS_PER_SECOND
"""2000-01-01, where PostgreSQL's binary timestamps begin."""
_COPY_HEADER: Final = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
_COPY_TRAILER: Final = b"\xff\xff"
_PRICE_COLUMNS: Final = ("open", "high", "low", "close", "volume", "cost")

_ANY_HELD: Final = """
    SELECT EXISTS (SELECT FROM candles WHERE series_id = %(series_id)s AND open_time BETWEEN %(first)s AND %(last)s)
"""
# The anti-join writes nothing where nothing changed; ON CONFLICT guards against a writer that did not take the lock.
# `xmax = 0` tells an inserted row from an updated one, so `held` grows by what was really inserted.
_MERGE: Final = """
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
        SELECT series_id, open_time, open, high, low, close, volume, cost, trade_count
        FROM changed
        ORDER BY open_time
        ON CONFLICT (series_id, open_time) DO UPDATE SET
            open = excluded.open, high = excluded.high, low = excluded.low, close = excluded.close,
            volume = excluded.volume, cost = excluded.cost, trade_count = excluded.trade_count
        RETURNING open_time, xmax = 0 AS is_new
    )
    SELECT
        (open_time AT TIME ZONE 'UTC')::date,
        count(*) FILTER (WHERE is_new),
        count(*) FILTER (WHERE NOT is_new),
        min(open_time) FILTER (WHERE is_new),
        max(open_time) FILTER (WHERE is_new)
    FROM written
    GROUP BY 1
    ORDER BY 1
"""
# What is explained follows from the rest, as `store/account.py` says; the caller holds the lock of the series, so what
# is read as it was before is what is updated.
_ACCOUNT: Final = """
    WITH gained AS (
        SELECT *
        FROM unnest(%(days)s::date[], %(inserted)s::bigint[], %(firsts)s::timestamptz[], %(lasts)s::timestamptz[])
            AS gained (day, inserted, first_event_time, last_event_time)
    ), before AS MATERIALIZED (
        SELECT day, explained FROM coverage WHERE series_id = %(series_id)s AND day = ANY(%(days)s::date[])
    ), after AS (
        INSERT INTO coverage AS account (series_id, day, held, first_event_time, last_event_time)
        SELECT %(series_id)s, day, inserted, first_event_time, last_event_time
        FROM gained
        ON CONFLICT (series_id, day) DO UPDATE SET
            held = account.held + excluded.held,
            explained = greatest(0, least(account.lost, account.expected - account.held - excluded.held)),
            first_event_time = least(account.first_event_time, excluded.first_event_time),
            last_event_time = greatest(account.last_event_time, excluded.last_event_time)
        RETURNING account.day, account.explained
    )
    UPDATE series_totals AS total SET
        held = total.held + gain.inserted,
        explained = total.explained + gain.explained,
        rows_held = total.rows_held + gain.inserted,
        first_event_time = least(total.first_event_time, gain.first_event_time),
        last_event_time = greatest(total.last_event_time, gain.last_event_time)
    FROM (
        SELECT
            sum(inserted) AS inserted,
            sum(after.explained - coalesce(before.explained, 0)) AS explained,
            min(first_event_time) AS first_event_time,
            max(last_event_time) AS last_event_time
        FROM gained
        JOIN after USING (day)
        LEFT JOIN before USING (day)
    ) AS gain
    WHERE total.series_id = %(series_id)s
"""


class _Day(NamedTuple):
    """What a write did to one UTC day."""

    day: date
    inserted: int
    updated: int
    first_inserted: datetime | None
    last_inserted: datetime | None


def lock_series(cursor: Cursor, series_id: int) -> None:
    """Hold the series until the transaction ends; whoever changes its rows or its account holds it first."""
    cursor.execute("SELECT pg_advisory_xact_lock(%s)", (series_id,))


def write_candles(cursor: Cursor, series_id: int, candles: Candles) -> RowCounts:
    """Insert what is new, update what differs, and change coverage by what was really inserted.

    The same candles written twice change no row. The cursor's connection needs `INCOMING_TABLE`.
    """
    if not len(candles):
        return RowCounts()
    # Everything that can be done before others have to wait for the lock is done before it.
    encoded = _encode(series_id, candles)
    lock_series(cursor, series_id)
    days = _add(cursor, series_id, candles, encoded)
    if days is None:
        days = _merge(cursor, series_id, candles, encoded)
    _account(cursor, series_id, [day for day in days if day.inserted])
    inserted, updated = sum(day.inserted for day in days), sum(day.updated for day in days)
    return RowCounts(len(candles), inserted, updated, len(candles) - inserted - updated)


def quarantine(cursor: Cursor, series_id: int, rows: Sequence[RejectedRow]) -> None:
    """Keep rows that cannot be believed as they came; a row seen again is counted, not repeated."""
    execute_values(
        cursor,
        """
        INSERT INTO quarantine AS kept (series_id, event_time, reason, content, times_seen)
        SELECT series_id, min(event_time::timestamptz), reason, content::jsonb, count(*)
        FROM (VALUES %s) AS bad (series_id, event_time, reason, content)
        GROUP BY series_id, reason, content::jsonb
        ORDER BY min(event_time::timestamptz), reason
        ON CONFLICT (series_id, md5(reason || content::text)) DO UPDATE SET
            times_seen = kept.times_seen + excluded.times_seen, last_seen_at = clock_timestamp()
        """,
        [
            (
                series_id,
                None if row.event_time is None else from_microseconds(row.event_time),
                row.reason,
                Json(storable(row.row)),
            )
            for row in rows
        ],
    )


def _add(cursor: Cursor, series_id: int, candles: Candles, encoded: bytes) -> list[_Day] | None:
    """Add candles that meet none which is held, three times as fast as merging them; return None if they may.

    A row of a writer that did not take the lock ends the COPY; then all of it is undone and left to `_merge`.
    """
    cursor.execute(_ANY_HELD, _extent(series_id, candles))
    if cursor.fetchone() != (False,):
        return None
    cursor.execute("SAVEPOINT add_candles")
    try:
        _copy(cursor, "candles", candles, encoded)
    except psycopg2.errors.UniqueViolation:
        cursor.execute("ROLLBACK TO SAVEPOINT add_candles")
        return None
    cursor.execute("RELEASE SAVEPOINT add_candles")
    return _days_of(candles)


def _merge(cursor: Cursor, series_id: int, candles: Candles, encoded: bytes) -> list[_Day]:
    """Insert what is new, update what differs, leave the rest alone."""
    _copy(cursor, "incoming_candles", candles, encoded)
    cursor.execute(_MERGE, _extent(series_id, candles))
    return [_Day(*row) for row in cursor.fetchall()]


def _account(cursor: Cursor, series_id: int, days: Sequence[_Day]) -> None:
    if days:
        gained = {
            "days": [day.day for day in days],
            "inserted": [day.inserted for day in days],
            "firsts": [day.first_inserted for day in days],
            "lasts": [day.last_inserted for day in days],
        }
        cursor.execute(_ACCOUNT, {"series_id": series_id, **gained})


def _copy(cursor: Cursor, table: str, candles: Candles, encoded: bytes) -> None:
    columns = ["series_id", "open_time", *_PRICE_COLUMNS]
    columns += ["trade_count"] if candles.trade_count is not None else []
    cursor.copy_expert(f"COPY {table} ({', '.join(columns)}) FROM STDIN (FORMAT binary)", io.BytesIO(encoded))


def _extent(series_id: int, candles: Candles) -> dict[str, object]:
    first, last = (from_microseconds(int(candles.open_time[position])) for position in (0, -1))
    return {"series_id": series_id, "first": first, "last": last}


def _days_of(candles: Candles) -> list[_Day]:
    """Return the days of candles that were all inserted."""
    open_time = candles.open_time
    starts = np.concatenate(([0], np.flatnonzero(np.diff(open_time // MICROSECONDS_PER_DAY)) + 1))
    ends = np.append(starts[1:], len(candles))
    return [
        _Day(day_of(first), count, 0, from_microseconds(first), from_microseconds(last))
        for first, last, count in zip(
            open_time[starts].tolist(), open_time[ends - 1].tolist(), (ends - starts).tolist(), strict=True
        )
    ]


def storable(value: object) -> object:
    """Return a JSON value that PostgreSQL can hold: no NUL, no half of a character, no number that is none."""
    if isinstance(value, str):
        return value.replace("\x00", "\\u0000").encode(errors="backslashreplace").decode()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {str(storable(key)): storable(held) for key, held in value.items()}
    if isinstance(value, list | tuple):
        return [storable(held) for held in value]
    return value


def _encode(series_id: int, candles: Candles) -> bytes:
    """Return the candles in PostgreSQL's binary COPY format: one numpy record per row, all columns of fixed width."""
    columns: dict[str, tuple[str, object]] = {
        "series_id": (">i4", series_id),
        "open_time": (">i8", candles.open_time - _POSTGRESQL_EPOCH),
        **{name: (">f8", getattr(candles, name)) for name in _PRICE_COLUMNS},
    }
    if candles.trade_count is not None:
        columns["trade_count"] = (">i4", candles.trade_count)
    fields = [("count", ">i2")]
    for name, (kind, _) in columns.items():
        fields += [(f"{name}_size", ">i4"), (name, kind)]
    records = np.zeros(len(candles), dtype=fields)
    records["count"] = len(columns)
    for name, (kind, values) in columns.items():
        records[f"{name}_size"] = np.dtype(kind).itemsize
        records[name] = values
    return _COPY_HEADER + records.tobytes() + _COPY_TRAILER
