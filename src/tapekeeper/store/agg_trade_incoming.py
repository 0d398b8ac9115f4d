"""Aggregate trades on their way into their table: made binary, copied, and merged with those that are held."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from tapekeeper.clock import from_microseconds
from tapekeeper.store.binary_copy import Column, Kind, copy_rows, encode
from tapekeeper.store.day_extents import day_extents
from tapekeeper.store.partitions import ensure_partitions

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from psycopg2.extensions import cursor as Cursor

    from tapekeeper.model.agg_trade import AggTrades

INCOMING_AGG_TRADES: Final = (
    "CREATE TEMPORARY TABLE IF NOT EXISTS incoming_agg_trades (LIKE agg_trades) ON COMMIT DELETE ROWS"
)
"""What a `Database` that writes aggregate trades has to prepare."""

_COLUMNS: Final = (
    Column("instrument_id", Kind.INTEGER),
    Column("agg_trade_id", Kind.BIGINT),
    Column("event_time", Kind.TIMESTAMP),
    Column("price", Kind.DOUBLE),
    Column("quantity", Kind.DOUBLE),
    Column("first_trade_id", Kind.BIGINT),
    Column("last_trade_id", Kind.BIGINT),
    Column("is_buyer_maker", Kind.BOOLEAN),
)
_NAMES: Final = ", ".join(column.name for column in _COLUMNS)
_TOLD: Final = tuple(column.name for column in _COLUMNS[2:])
"""What may differ between two rows of one trade."""
_SLACK: Final = timedelta(days=1)
"""A trade whose time was corrected is looked for this far around, which spares the partitions of all other days."""

_MET: Final = """
    held.instrument_id = %(instrument_id)s AND held.agg_trade_id BETWEEN %(first_id)s AND %(last_id)s
    AND held.event_time >= %(from)s AND held.event_time <= %(to)s
"""
_ANY_HELD: Final = f"SELECT EXISTS (SELECT FROM agg_trades AS held WHERE {_MET})"  # noqa: S608 (constants)
# Taken out and put in anew: in the same statement the new row could meet the old one.
_TAKE_OUT: Final = f"""
    WITH replaced AS (
        DELETE FROM agg_trades AS held
        USING incoming_agg_trades AS incoming
        WHERE {_MET} AND incoming.agg_trade_id = held.agg_trade_id
            AND ({", ".join(f"held.{name}" for name in _TOLD)})
                IS DISTINCT FROM ({", ".join(f"incoming.{name}" for name in _TOLD)})
        RETURNING
            held.agg_trade_id, held.event_time, incoming.event_time <> held.event_time AS is_moved,
            to_jsonb(held) - 'instrument_id' AS before, to_jsonb(incoming) - 'instrument_id' AS after
    ), remembered AS (
        INSERT INTO corrections (series_id, event_time, before, after, source)
        SELECT %(series_id)s, event_time, before, after, %(source)s
        FROM replaced
        ORDER BY agg_trade_id
    )
    SELECT (event_time AT TIME ZONE 'UTC')::date, count(*), bool_or(is_moved) FROM replaced GROUP BY 1
"""  # noqa: S608 (made of constants of this module)
_PUT_IN: Final = f"""
    WITH written AS (
        INSERT INTO agg_trades ({_NAMES})
        SELECT {_NAMES}
        FROM incoming_agg_trades AS incoming
        WHERE NOT EXISTS (SELECT FROM agg_trades AS held WHERE {_MET} AND held.agg_trade_id = incoming.agg_trade_id)
        ORDER BY event_time, agg_trade_id
        RETURNING event_time
    )
    SELECT (event_time AT TIME ZONE 'UTC')::date, count(*) FROM written GROUP BY 1
"""  # noqa: S608 (made of constants of this module)


class Written(NamedTuple):
    """What a write did, by UTC day."""

    put_in: Mapping[date, int]
    taken_out: Mapping[date, int]
    """Rows that were replaced, by the day that they were held on."""
    moved_from: tuple[date, ...] = ()
    """The days of those that were replaced by a row with another time."""

    @property
    def gained(self) -> dict[date, int]:
        """By how many rows the days grew, below zero where they shrank; only days that did one of it."""
        days = sorted({*self.put_in, *self.taken_out})
        gained = {day: self.put_in.get(day, 0) - self.taken_out.get(day, 0) for day in days}
        return {day: rows for day, rows in gained.items() if rows}


class IncomingAggTrades:
    """At least one aggregate trade of one instrument on the way into the table."""

    def __init__(self, series_id: int, instrument_id: int, trades: AggTrades) -> None:
        """Raises InvariantBroken: a value cannot be written; the message names the column."""
        instruments = np.full(len(trades), instrument_id)
        told = [getattr(trades, column.name) for column in _COLUMNS[1:]]
        self._encoded = encode(_COLUMNS, [instruments, *told])
        self._known = {
            "series_id": series_id,
            "instrument_id": instrument_id,
            "first_id": int(trades.agg_trade_id[0]),
            "last_id": int(trades.agg_trade_id[-1]),
            "from": from_microseconds(int(trades.event_time[0])) - _SLACK,
            "to": from_microseconds(int(trades.event_time[-1])) + _SLACK,
        }
        self.days = day_extents(trades.event_time)
        self.last_id = int(trades.agg_trade_id[-1])

    def write(self, cursor: Cursor, *, source: str) -> Written:
        """Insert what is new, replace what differs, leave the rest alone. The caller holds the lock of the series."""
        ensure_partitions(cursor, "agg_trades", [day.day for day in self.days])
        cursor.execute(_ANY_HELD, self._known)
        if cursor.fetchone() == (True,):
            return self._merge(cursor, source)
        copy_rows(cursor, "agg_trades", _COLUMNS, self._encoded)
        return Written({day.day: day.rows for day in self.days}, {})

    def _merge(self, cursor: Cursor, source: str) -> Written:
        # The transaction may have merged other trades before.
        cursor.execute("TRUNCATE incoming_agg_trades")
        copy_rows(cursor, "incoming_agg_trades", _COLUMNS, self._encoded)
        cursor.execute(_TAKE_OUT, {**self._known, "source": source})
        replaced = cursor.fetchall()
        cursor.execute(_PUT_IN, self._known)
        moved_from = tuple(day for day, _, is_moved in replaced if is_moved)
        return Written(dict(cursor.fetchall()), {day: rows for day, rows, _ in replaced}, moved_from)
