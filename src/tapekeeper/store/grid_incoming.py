"""Rows on a grid on their way into their table: made binary in numpy, copied, and merged with those that are held."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from tapekeeper.clock import from_microseconds
from tapekeeper.store.arrays import array_of
from tapekeeper.store.binary_copy import Column, Kind, copy_new_rows, copy_rows, encode

if TYPE_CHECKING:
    from datetime import date, datetime

    from psycopg2.extensions import cursor as Cursor

    from tapekeeper.model.answer import Rows
    from tapekeeper.model.candle import Int64Column
    from tapekeeper.store.grid_rows import GridTable

_ANY_HELD: Final = """
    SELECT EXISTS (
        SELECT FROM {name}
        WHERE series_id = ANY(%(series)s::integer[]) AND {time} BETWEEN %(first)s AND %(last)s
    )
"""
# The anti-join writes nothing where nothing changed; ON CONFLICT guards against a writer that did not take the lock, of
# which nothing can be remembered. `xmax = 0` tells an inserted row from an updated one, so `held` grows by what was
# really inserted.
_MERGE: Final = """
    WITH held AS MATERIALIZED (
        SELECT series_id, {time}, {values} FROM {name}
        WHERE series_id = ANY(%(series)s::integer[]) AND {time} BETWEEN %(first)s AND %(last)s
    ), changed AS MATERIALIZED (
        SELECT
            series_id, {time}, {told}, held.series_id IS NOT NULL AS is_held,
            CASE WHEN held.series_id IS NOT NULL THEN jsonb_build_object({values_before}) END AS before
        FROM {incoming} AS incoming
        LEFT JOIN held USING (series_id, {time})
        WHERE held.series_id IS NULL OR {differs}
    ), remembered AS (
        INSERT INTO corrections (series_id, event_time, before, after, source)
        SELECT series_id, {time}, before, jsonb_build_object({values_after}), %(source)s
        FROM changed
        WHERE is_held
        ORDER BY series_id, {time}
    ), written AS (
        INSERT INTO {name} AS held_by_now (series_id, {time}, {values})
        SELECT series_id, {time}, {values}
        FROM changed
        ORDER BY series_id, {time}
        ON CONFLICT (series_id, {time}) DO UPDATE SET {set_values}
        RETURNING series_id, {time}, xmax = 0 AS is_new
    )
    SELECT
        series_id,
        ({time} AT TIME ZONE 'UTC')::date AS day,
        count(*) FILTER (WHERE is_new),
        count(*) FILTER (WHERE NOT is_new),
        min({time}) FILTER (WHERE is_new),
        max({time}) FILTER (WHERE is_new)
    FROM written
    GROUP BY series_id, day
    ORDER BY series_id, day
"""


class ChangedDay(NamedTuple):
    """What a write did to one UTC day of a series."""

    series_id: int
    day: date
    inserted: int
    updated: int
    first_inserted: datetime | None
    last_inserted: datetime | None


class Incoming:
    """Rows on their way into their table; `series` is the id of all of them, or one for each of the n rows."""

    def __init__(self, table: GridTable, series: int | Int64Column, rows: Rows) -> None:
        """Raises InvariantBroken: a value cannot be written; the message names the column."""
        self._table = table
        self._columns = (
            Column("series_id", Kind.INTEGER),
            Column(table.time, Kind.TIMESTAMP),
            *(Column(name, Kind.TIMESTAMP) for name in table.exact),
            *(Column(name, Kind.DOUBLE) for name in table.numbers),
            *(Column(name, Kind.DOUBLE, nullable=True) for name in table.optional),
            *(Column(name, Kind.INTEGER) for name in table.counts if getattr(rows, name) is not None),
        )
        told = [getattr(rows, column.name) for column in self._columns[2:]]
        self._encoded = encode(self._columns, [np.full(len(rows), series), rows.moments, *told])
        first, last = (from_microseconds(int(rows.moments[position])) for position in (0, -1))
        self._extent = {"series": array_of(np.unique(series).tolist()), "first": first, "last": last}

    def meet_held_rows(self, cursor: Cursor) -> bool:
        """Return whether anything is held between the first and the last of these rows."""
        cursor.execute(_ANY_HELD.format(name=self._table.name, time=self._table.time), self._extent)
        return bool(cursor.fetchone() != (False,))

    def copy(self, cursor: Cursor) -> bool:
        """Copy the rows into their table; return False, with nothing done, if one is held already."""
        return copy_new_rows(cursor, self._table.name, self._columns, self._encoded)

    def merge(self, cursor: Cursor, *, source: str) -> list[ChangedDay]:
        """Insert what is new, update what differs, leave the rest alone; what is updated goes to `corrections`."""
        # The transaction may have merged other rows before.
        cursor.execute(f"SELECT EXISTS (SELECT FROM {self._table.incoming})")  # noqa: S608 (a name of ours)
        if cursor.fetchone() == (True,):
            cursor.execute(f"TRUNCATE {self._table.incoming}")
        copy_rows(cursor, self._table.incoming, self._columns, self._encoded)
        cursor.execute(_merge_statement(self._table), {**self._extent, "source": source})
        return [ChangedDay(*row) for row in cursor.fetchall()]


def _merge_statement(table: GridTable) -> str:
    """Return the statement; what is not told of a row that is held stays as it is, and is no difference."""
    told = {
        **{name: f"incoming.{name}" for name in (*table.exact, *table.numbers)},
        **{name: f"coalesce(incoming.{name}, held.{name})" for name in (*table.optional, *table.counts)},
    }
    return _MERGE.format(
        name=table.name,
        incoming=table.incoming,
        time=table.time,
        values=", ".join(told),
        told=", ".join(f"{expression} AS {name}" for name, expression in told.items()),
        differs=" OR ".join(f"{expression} IS DISTINCT FROM held.{name}" for name, expression in told.items()),
        values_before=", ".join(f"'{name}', held.{name}" for name in told),
        values_after=", ".join(f"'{name}', {name}" for name in told),
        set_values=", ".join(f"{name} = coalesce(excluded.{name}, held_by_now.{name})" for name in told),
    )
