"""Rows on a grid: written in bulk, together with the account of them.

Candles are such rows, and so are open interest and funding rates: one row per series and moment, with numbers in
columns of fixed width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tapekeeper.clock import from_microseconds
from tapekeeper.model.backfill import RowCounts
from tapekeeper.store.day_extents import day_extents
from tapekeeper.store.grid_incoming import ChangedDay, Incoming
from tapekeeper.store.series_lock import lock_series

if TYPE_CHECKING:
    from collections.abc import Sequence

    from psycopg2.extensions import cursor as Cursor

    from tapekeeper.model.answer import Rows


@dataclass(frozen=True, slots=True)
class GridTable:
    """A table of such rows, whose key is (series_id, time)."""

    name: str
    time: str
    """The column of moments; the columns of rows have the same names as those of the table."""
    numbers: tuple[str, ...]
    counts: tuple[str, ...] = ()
    """Whole numbers; a venue tells them of all rows or of none."""
    exact: tuple[str, ...] = ()
    """Further moments, which lie on no grid."""
    optional: tuple[str, ...] = ()
    """Numbers that a venue may leave untold of any row: NaN in the column, null in the table."""

    @property
    def incoming(self) -> str:
        """The name of the temporary table that rows are merged from."""
        return f"incoming_{self.name}"


CANDLES: Final = GridTable(
    "candles", "open_time", ("open", "high", "low", "close", "volume", "cost"), counts=("trade_count",)
)
OPEN_INTEREST: Final = GridTable("open_interest", "event_time", ("open_interest", "open_interest_value"))
FUNDING_RATES: Final = GridTable(
    "funding_rates", "due_at", ("funding_rate",), exact=("paid_at",), optional=("mark_price",)
)
OPTION_CANDLES: Final = GridTable(
    "option_candles", "day", ("open", "high", "low", "close", "volume"), exact=("open_time",)
)
_TABLES: Final = {table.name: table for table in (CANDLES, OPEN_INTEREST, FUNDING_RATES, OPTION_CANDLES)}
INCOMING_GRID_TABLES: Final = "; ".join(
    f"CREATE TEMPORARY TABLE IF NOT EXISTS {table.incoming} (LIKE {table.name}) ON COMMIT DELETE ROWS"
    for table in _TABLES.values()
)
"""What a `Database` that writes such rows has to prepare."""

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


def table_named(name: str) -> GridTable:
    """Return the table of that name.

    Raises:
        KeyError: its rows do not lie on a grid.
    """
    return _TABLES[name]


def write_rows(cursor: Cursor, table: GridTable, series_id: int, rows: Rows, *, source: str = "rest") -> RowCounts:
    """Insert what is new, update what differs, and change coverage by what was really inserted.

    The same rows written twice change none. Of every row that is updated `corrections` keeps what it was, what it is
    now, and the source that told it. The cursor's connection needs `INCOMING_GRID_TABLES`.

    Raises:
        InvariantBroken: a value cannot be written; the message names the column.
    """
    if not len(rows):
        return RowCounts()
    # Everything that can be done before others have to wait for the lock is done before it.
    incoming = Incoming(table, series_id, rows)
    lock_series(cursor, series_id)
    days = _add(cursor, series_id, rows, incoming)
    if days is None:
        days = incoming.merge(cursor, source=source)
    _account(cursor, series_id, [day for day in days if day.inserted])
    inserted, updated = sum(day.inserted for day in days), sum(day.updated for day in days)
    return RowCounts(len(rows), inserted, updated, len(rows) - inserted - updated)


def _add(cursor: Cursor, series_id: int, rows: Rows, incoming: Incoming) -> list[ChangedDay] | None:
    """Add rows that meet none which is held, three times as fast as merging them; return None if they may.

    A row of a writer that did not take the lock ends the COPY; then all of it is left to the merge.
    """
    if incoming.meet_held_rows(cursor) or not incoming.copy(cursor):
        return None
    return [
        ChangedDay(series_id, day, count, 0, from_microseconds(first), from_microseconds(last))
        for day, count, first, last in day_extents(rows.moments)
    ]


def _account(cursor: Cursor, series_id: int, days: Sequence[ChangedDay]) -> None:
    if days:
        gained = {
            "days": [day.day for day in days],
            "inserted": [day.inserted for day in days],
            "firsts": [day.first_inserted for day in days],
            "lasts": [day.last_inserted for day in days],
        }
        cursor.execute(_ACCOUNT, {"series_id": series_id, **gained})
