"""Rows on a grid on their way into their table: made binary in numpy, copied, and merged with those that are held."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from tapekeeper.clock import MICROSECONDS_PER_SECOND, from_microseconds
from tapekeeper.store.arrays import array_of

if TYPE_CHECKING:
    from datetime import date, datetime

    from psycopg2.extensions import cursor as Cursor

    from tapekeeper.model.answer import Rows
    from tapekeeper.model.candle import Int64Column
    from tapekeeper.store.grid_rows import GridTable

_POSTGRESQL_EPOCH: Final = 946_684_800 * MICROSECONDS_PER_SECOND
"""2000-01-01, where PostgreSQL's binary timestamps begin."""
_COPY_HEADER: Final = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
_COPY_TRAILER: Final = b"\xff\xff"
_DOUBLE: Final = ">f8"
_INTEGER: Final = ">i4"
_MOMENT: Final = ">i8"

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
        self._table = table
        whole = {name: getattr(rows, name) for name in table.counts}
        columns: dict[str, tuple[str, object]] = {
            "series_id": (_INTEGER, series),
            table.time: (_MOMENT, rows.moments - _POSTGRESQL_EPOCH),
            **{name: (_MOMENT, getattr(rows, name) - _POSTGRESQL_EPOCH) for name in table.exact},
            **{name: (_DOUBLE, getattr(rows, name)) for name in (*table.numbers, *table.optional)},
            **{name: (_INTEGER, values) for name, values in whole.items() if values is not None},
        }
        self._columns = tuple(columns)
        self._encoded = _encode(columns, len(rows))
        first, last = (from_microseconds(int(rows.moments[position])) for position in (0, -1))
        self._extent = {"series": array_of(np.unique(series).tolist()), "first": first, "last": last}

    def meet_held_rows(self, cursor: Cursor) -> bool:
        """Return whether anything is held between the first and the last of these rows."""
        cursor.execute(_ANY_HELD.format(name=self._table.name, time=self._table.time), self._extent)
        return bool(cursor.fetchone() != (False,))

    def copy(self, cursor: Cursor) -> None:
        """Copy the rows into their table, where a row that is held already is an error."""
        self._copy(cursor, self._table.name)

    def merge(self, cursor: Cursor, *, source: str) -> list[ChangedDay]:
        """Insert what is new, update what differs, leave the rest alone; what is updated goes to `corrections`."""
        # The transaction may have merged other rows before.
        cursor.execute(f"SELECT EXISTS (SELECT FROM {self._table.incoming})")  # noqa: S608 (a name of ours)
        if cursor.fetchone() == (True,):
            cursor.execute(f"TRUNCATE {self._table.incoming}")
        self._copy(cursor, self._table.incoming)
        cursor.execute(_merge_statement(self._table), {**self._extent, "source": source})
        return [ChangedDay(*row) for row in cursor.fetchall()]

    def _copy(self, cursor: Cursor, name: str) -> None:
        statement = f"COPY {name} ({', '.join(self._columns)}) FROM STDIN (FORMAT binary)"
        cursor.copy_expert(statement, io.BytesIO(self._encoded))


def _merge_statement(table: GridTable) -> str:
    """Return the statement; what is not told of a row that is held stays as it is, and is no difference."""
    told = {
        **{name: f"incoming.{name}" for name in (*table.exact, *table.numbers)},
        **{name: f"coalesce(nullif(incoming.{name}, 'NaN'), held.{name})" for name in table.optional},
        **{name: f"coalesce(incoming.{name}, held.{name})" for name in table.counts},
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
