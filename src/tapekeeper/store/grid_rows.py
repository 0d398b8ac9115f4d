"""Rows on a grid: written in bulk, together with the account of them.

Candles are such rows, and so is open interest: one row per series and moment, with numbers in columns of fixed width.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import psycopg2.errors

from tapekeeper.clock import MICROSECONDS_PER_DAY, MICROSECONDS_PER_SECOND, day_of, from_microseconds
from tapekeeper.model.backfill import RowCounts
from tapekeeper.store.series_lock import lock_series

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date, datetime

    from psycopg2.extensions import cursor as Cursor

    from tapekeeper.model.answer import Rows
    from tapekeeper.model.candle import Int64Column

_POSTGRESQL_EPOCH: Final = 946_684_800 * MICROSECONDS_PER_SECOND
"""2000-01-01, where PostgreSQL's binary timestamps begin."""
_COPY_HEADER: Final = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
_COPY_TRAILER: Final = b"\xff\xff"
_DOUBLE: Final = ">f8"
_INTEGER: Final = ">i4"


@dataclass(frozen=True, slots=True)
class GridTable:
    """A table of such rows, whose key is (series_id, time)."""

    name: str
    time: str
    """The column of moments; the columns of rows have the same names as those of the table."""
    numbers: tuple[str, ...]
    counts: tuple[str, ...] = ()
    """Whole numbers, which a venue may leave untold."""

    @property
    def incoming(self) -> str:
        """The name of the temporary table that rows are merged from."""
        return f"incoming_{self.name}"


CANDLES: Final = GridTable(
    "candles", "open_time", ("open", "high", "low", "close", "volume", "cost"), counts=("trade_count",)
)
OPEN_INTEREST: Final = GridTable("open_interest", "event_time", ("open_interest", "open_interest_value"))
_TABLES: Final = {table.name: table for table in (CANDLES, OPEN_INTEREST)}
INCOMING_GRID_TABLES: Final = "; ".join(
    f"CREATE TEMPORARY TABLE IF NOT EXISTS {table.incoming} (LIKE {table.name}) ON COMMIT DELETE ROWS"
    for table in _TABLES.values()
)
"""What a `Database` that writes such rows has to prepare."""

_ANY_HELD: Final = """
    SELECT EXISTS (SELECT FROM {name} WHERE series_id = %(series_id)s AND {time} BETWEEN %(first)s AND %(last)s)
"""
# The anti-join writes nothing where nothing changed; ON CONFLICT guards against a writer that did not take the lock.
# `xmax = 0` tells an inserted row from an updated one, so `held` grows by what was really inserted.
_MERGE: Final = """
    WITH held AS MATERIALIZED (
        SELECT {time}, {values} FROM {name}
        WHERE series_id = %(series_id)s AND {time} BETWEEN %(first)s AND %(last)s
    ), changed AS (
        SELECT incoming.*
        FROM {incoming} AS incoming
        LEFT JOIN held USING ({time})
        WHERE held.{time} IS NULL OR {differs}
    ), written AS (
        INSERT INTO {name} (series_id, {time}, {values})
        SELECT series_id, {time}, {values}
        FROM changed
        ORDER BY {time}
        ON CONFLICT (series_id, {time}) DO UPDATE SET {set_values}
        RETURNING {time}, xmax = 0 AS is_new
    )
    SELECT
        ({time} AT TIME ZONE 'UTC')::date,
        count(*) FILTER (WHERE is_new),
        count(*) FILTER (WHERE NOT is_new),
        min({time}) FILTER (WHERE is_new),
        max({time}) FILTER (WHERE is_new)
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


def table_named(name: str) -> GridTable:
    """Return the table of that name.

    Raises:
        KeyError: its rows do not lie on a grid.
    """
    return _TABLES[name]


def write_rows(cursor: Cursor, table: GridTable, series_id: int, rows: Rows) -> RowCounts:
    """Insert what is new, update what differs, and change coverage by what was really inserted.

    The same rows written twice change none. The cursor's connection needs `INCOMING_GRID_TABLES`.
    """
    if not len(rows):
        return RowCounts()
    # Everything that can be done before others have to wait for the lock is done before it.
    incoming = _Incoming(table, series_id, rows)
    lock_series(cursor, series_id)
    days = incoming.add(cursor)
    if days is None:
        days = incoming.merge(cursor)
    _account(cursor, series_id, [day for day in days if day.inserted])
    inserted, updated = sum(day.inserted for day in days), sum(day.updated for day in days)
    return RowCounts(len(rows), inserted, updated, len(rows) - inserted - updated)


class _Incoming:
    """Rows of one series on their way into their table."""

    def __init__(self, table: GridTable, series_id: int, rows: Rows) -> None:
        self._table = table
        self._moments = rows.moments
        told = {name: getattr(rows, name) for name in (*table.numbers, *table.counts)}
        columns: dict[str, tuple[str, object]] = {
            "series_id": (_INTEGER, series_id),
            table.time: (">i8", rows.moments - _POSTGRESQL_EPOCH),
            **{name: (_DOUBLE, told[name]) for name in table.numbers},
            **{name: (_INTEGER, told[name]) for name in table.counts if told[name] is not None},
        }
        self._columns = tuple(columns)
        self._encoded = _encode(columns, len(rows))
        first, last = (from_microseconds(int(rows.moments[position])) for position in (0, -1))
        self._extent = {"series_id": series_id, "first": first, "last": last}

    def add(self, cursor: Cursor) -> list[_Day] | None:
        """Add rows that meet none which is held, three times as fast as merging them; return None if they may.

        A row of a writer that did not take the lock ends the COPY; then all of it is undone and left to `merge`.
        """
        cursor.execute(_ANY_HELD.format(name=self._table.name, time=self._table.time), self._extent)
        if cursor.fetchone() != (False,):
            return None
        cursor.execute("SAVEPOINT add_rows")
        try:
            self._copy(cursor, self._table.name)
        except psycopg2.errors.UniqueViolation:
            cursor.execute("ROLLBACK TO SAVEPOINT add_rows")
            return None
        cursor.execute("RELEASE SAVEPOINT add_rows")
        return _days_of(self._moments)

    def merge(self, cursor: Cursor) -> list[_Day]:
        """Insert what is new, update what differs, leave the rest alone."""
        self._copy(cursor, self._table.incoming)
        cursor.execute(_merge_statement(self._table), self._extent)
        return [_Day(*row) for row in cursor.fetchall()]

    def _copy(self, cursor: Cursor, table: str) -> None:
        statement = f"COPY {table} ({', '.join(self._columns)}) FROM STDIN (FORMAT binary)"
        cursor.copy_expert(statement, io.BytesIO(self._encoded))


def _merge_statement(table: GridTable) -> str:
    names = (*table.numbers, *table.counts)
    return _MERGE.format(
        name=table.name,
        incoming=table.incoming,
        time=table.time,
        values=", ".join(names),
        differs=" OR ".join(f"incoming.{name} IS DISTINCT FROM held.{name}" for name in names),
        set_values=", ".join(f"{name} = excluded.{name}" for name in names),
    )


def _account(cursor: Cursor, series_id: int, days: Sequence[_Day]) -> None:
    if days:
        gained = {
            "days": [day.day for day in days],
            "inserted": [day.inserted for day in days],
            "firsts": [day.first_inserted for day in days],
            "lasts": [day.last_inserted for day in days],
        }
        cursor.execute(_ACCOUNT, {"series_id": series_id, **gained})


def _days_of(moments: Int64Column) -> list[_Day]:
    """Return the days of rows that were all inserted."""
    starts = np.concatenate(([0], np.flatnonzero(np.diff(moments // MICROSECONDS_PER_DAY)) + 1))
    ends = np.append(starts[1:], len(moments))
    return [
        _Day(day_of(first), count, 0, from_microseconds(first), from_microseconds(last))
        for first, last, count in zip(
            moments[starts].tolist(), moments[ends - 1].tolist(), (ends - starts).tolist(), strict=True
        )
    ]


def _encode(columns: dict[str, tuple[str, object]], length: int) -> bytes:
    """Return rows in PostgreSQL's binary COPY format: one numpy record per row, all columns of fixed width."""
    fields = [("count", ">i2")]
    for name, (kind, _) in columns.items():
        fields += [(f"{name}_size", _INTEGER), (name, kind)]
    records = np.zeros(length, dtype=fields)
    records["count"] = len(columns)
    for name, (kind, values) in columns.items():
        records[f"{name}_size"] = np.dtype(kind).itemsize
        records[name] = values
    return _COPY_HEADER + records.tobytes() + _COPY_TRAILER
