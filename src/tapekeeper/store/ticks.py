"""Ticks: quotes and trades written in bulk, together with the account of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from tapekeeper.clock import EPOCH, MICROSECONDS_PER_DAY
from tapekeeper.errors import InvariantBroken, Stop
from tapekeeper.model.quote import Quote
from tapekeeper.model.series import DERIBIT_OPTION_QUOTES, DERIBIT_OPTION_TRADES, Dataset
from tapekeeper.model.trade import Trade
from tapekeeper.store.arrays import array_of
from tapekeeper.store.binary_copy import Column, Kind, copy_new_rows, copy_rows, encode
from tapekeeper.store.partitions import ensure_partitions

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    import numpy.typing as npt
    from psycopg2.extensions import cursor as Cursor

INCOMING_TABLES: Final = """
    CREATE TEMPORARY TABLE IF NOT EXISTS incoming_option_quotes (LIKE option_quotes) ON COMMIT DELETE ROWS;
    CREATE TEMPORARY TABLE IF NOT EXISTS incoming_option_trades (LIKE option_trades) ON COMMIT DELETE ROWS
"""
"""What a `Database` that writes ticks has to prepare."""

_KEY_POSITIONS: Final = (0, 1, 3)
"""Where instrument, event time and sequence are in a quote and in a trade."""
_MERGE: Final = """
    WITH written AS (
        INSERT INTO {table} ({columns})
        SELECT {columns} FROM incoming_{table} ORDER BY event_time, instrument_id, {sequence}
        ON CONFLICT DO NOTHING
        RETURNING instrument_id, event_time, {sequence} AS sequence
    )
    SELECT
        instrument_id,
        (event_time AT TIME ZONE 'UTC')::date - date '1970-01-01',
        count(*),
        (extract(epoch FROM min(event_time)) * 1000000)::bigint,
        (extract(epoch FROM max(event_time)) * 1000000)::bigint,
        max(sequence)
    FROM written
    GROUP BY 1, 2
"""
# Inserting rows changes expected and held alike, so what is explained stays as it is.
_ACCOUNT: Final = """
    WITH gained AS (
        SELECT
            series.series_id,
            date '1970-01-01' + gain.day AS day,
            gain.rows,
            gain.rows * %(units_per_row)s AS units,
            timestamptz 'epoch' + gain.first * interval '1 microsecond' AS first_event_time,
            timestamptz 'epoch' + gain.last * interval '1 microsecond' AS last_event_time,
            CASE WHEN %(units_per_row)s > 0 THEN gain.sequence END AS sequence
        FROM unnest(
            %(instruments)s::integer[], %(days)s::integer[], %(rows)s::bigint[],
            %(firsts)s::bigint[], %(lasts)s::bigint[], %(sequences)s::bigint[]
        ) AS gain (instrument_id, day, rows, first, last, sequence)
        JOIN series USING (instrument_id)
        WHERE series.dataset = %(dataset)s AND series.resolution_seconds = 0
    ), accounted AS (
        INSERT INTO coverage AS account (series_id, day, expected, held, first_event_time, last_event_time)
        SELECT series_id, day, units, units, first_event_time, last_event_time
        FROM gained
        ORDER BY series_id, day
        ON CONFLICT (series_id, day) DO UPDATE SET
            expected = account.expected + excluded.expected,
            held = account.held + excluded.held,
            first_event_time = least(account.first_event_time, excluded.first_event_time),
            last_event_time = greatest(account.last_event_time, excluded.last_event_time)
    ), summed AS (
        INSERT INTO series_totals AS total
            (series_id, rows_held, expected, held, first_event_time, last_event_time, last_sequence)
        SELECT series_id, sum(rows), sum(units), sum(units), min(first_event_time), max(last_event_time), max(sequence)
        FROM gained
        GROUP BY series_id
        ORDER BY series_id
        ON CONFLICT (series_id) DO UPDATE SET
            rows_held = total.rows_held + excluded.rows_held,
            expected = total.expected + excluded.expected,
            held = total.held + excluded.held,
            first_event_time = least(total.first_event_time, excluded.first_event_time),
            last_event_time = greatest(total.last_event_time, excluded.last_event_time),
            last_sequence = greatest(total.last_sequence, excluded.last_sequence)
    )
    SELECT count(*) FROM gained
"""


@dataclass(frozen=True, slots=True)
class TickCounts:
    """What a write did to the rows it was given; those that were held already are in none of the counts."""

    quotes_inserted: int = 0
    trades_inserted: int = 0
    quarantined: int = 0
    """Quotes and trades that cannot be written."""

    def __add__(self, other: TickCounts) -> TickCounts:
        return TickCounts(
            self.quotes_inserted + other.quotes_inserted,
            self.trades_inserted + other.trades_inserted,
            self.quarantined + other.quarantined,
        )


@dataclass(frozen=True, slots=True)
class _TickTable:
    """A partitioned table whose key is (event_time, instrument_id, sequence)."""

    dataset: Dataset
    columns: tuple[Column, ...]
    """In the order of the tuples that are written: the instrument first, then the event time."""
    sequence: str
    units_per_row: int
    """How much a row adds to what is expected and held, in the unit of the dataset."""

    @property
    def name(self) -> str:
        """The name of the table."""
        return self.dataset.table


class _Gain(NamedTuple):
    """The rows that were inserted of one instrument and UTC day; times in microseconds, days since 1970."""

    instrument_id: int
    day: int
    rows: int
    first: int
    last: int
    sequence: int


_QUOTES: Final = _TickTable(
    dataset=DERIBIT_OPTION_QUOTES,
    columns=(
        Column("instrument_id", Kind.INTEGER),
        Column("event_time", Kind.TIMESTAMP),
        Column("received_at", Kind.TIMESTAMP),
        Column("change_id", Kind.BIGINT),
        *(Column(name, Kind.DOUBLE, nullable=True) for name in Quote._fields[4:-1]),
        Column("from_ticker", Kind.BOOLEAN),
    ),
    sequence="change_id",
    units_per_row=0,
)
_TRADES: Final = _TickTable(
    dataset=DERIBIT_OPTION_TRADES,
    columns=(
        Column("instrument_id", Kind.INTEGER),
        Column("event_time", Kind.TIMESTAMP),
        Column("received_at", Kind.TIMESTAMP),
        Column("trade_seq", Kind.BIGINT),
        Column("trade_id", Kind.TEXT),
        Column("price", Kind.DOUBLE),
        Column("size", Kind.DOUBLE),
        Column("side", Kind.TEXT),
        *(Column(name, Kind.DOUBLE, nullable=True) for name in ("iv", "index_price", "mark_price")),
        *(Column(name, Kind.TEXT, nullable=True) for name in ("liquidation", "combo_id", "block_trade_id")),
    ),
    sequence="trade_seq",
    units_per_row=1,
)


def write_ticks(cursor: Cursor, quotes: Sequence[Quote], trades: Sequence[Trade]) -> TickCounts:
    """Insert what is new, and change coverage, totals and positions by what was really inserted.

    The same ticks written twice change nothing. The cursor's connection needs `INCOMING_TABLES`, the instruments
    need their series (`ensure_option_series`). Missing day partitions are made.

    Raises:
        InvariantBroken: a row cannot be written; `write_ticks_or_quarantine` finds out which.
    """
    return TickCounts(_write(cursor, _QUOTES, quotes), _write(cursor, _TRADES, trades))


def ensure_partitions_ahead(cursor: Cursor, today: date, days: int) -> None:
    """Make the partitions of today and of as many days after it, so that no write has to."""
    wanted = [today + timedelta(days=ahead) for ahead in range(days + 1)]
    for table in (_QUOTES, _TRADES):
        ensure_partitions(cursor, table.name, wanted)


def _write(cursor: Cursor, table: _TickTable, rows: Sequence[Quote] | Sequence[Trade]) -> int:
    if not rows:
        return 0
    columns = list(zip(*rows, strict=True))
    keys, order = _in_key_order(table, columns)
    encoded = encode(table.columns, columns, order)
    days = np.unique(keys[1] // MICROSECONDS_PER_DAY).tolist()
    ensure_partitions(cursor, table.name, [EPOCH.date() + timedelta(days=day) for day in days])
    # Twice as fast as merging them.
    are_new = copy_new_rows(cursor, table.name, table.columns, encoded)
    gains = _gains(keys) if are_new else _merge(cursor, table, encoded)
    _account(cursor, table, gains)
    return sum(gain.rows for gain in gains)


def _in_key_order(
    table: _TickTable, columns: Sequence[Sequence[Any]]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.intp]]:
    """Return instrument, event time and sequence, of shape (3, n), and the rows' positions: each key once, ascending.

    Writers that all go in this order never wait for each other in a circle.
    """
    try:
        keys = np.array([columns[at] for at in _KEY_POSITIONS], dtype=np.int64)
    except (TypeError, ValueError, OverflowError) as error:
        raise InvariantBroken(
            f"instrument_id, event_time or {table.sequence} is not a whole number of 64 bits: {error}"
        ) from error
    order = np.lexsort((keys[2], keys[0], keys[1]))
    keys = keys[:, order]
    first = np.append(True, (np.diff(keys) != 0).any(axis=0))
    return keys[:, first], order[first]


def _merge(cursor: Cursor, table: _TickTable, encoded: bytes) -> list[_Gain]:
    """Insert the rows that are not held."""
    copy_rows(cursor, f"incoming_{table.name}", table.columns, encoded)
    columns = ", ".join(column.name for column in table.columns)
    cursor.execute(_MERGE.format(table=table.name, columns=columns, sequence=table.sequence))
    return [_Gain(*row) for row in cursor.fetchall()]


def _gains(keys: npt.NDArray[np.int64]) -> list[_Gain]:
    """Return the sums per instrument and UTC day of rows that were all inserted."""
    instruments, moments, sequences = keys[:, np.lexsort((keys[1], keys[0]))]
    days = moments // MICROSECONDS_PER_DAY
    starts = np.flatnonzero(np.append(True, (np.diff(instruments) != 0) | (np.diff(days) != 0)))
    ends = np.append(starts[1:], len(moments))
    columns = (
        instruments[starts],
        days[starts],
        ends - starts,
        moments[starts],
        moments[ends - 1],
        np.maximum.reduceat(sequences, starts),
    )
    return [_Gain(*gain) for gain in zip(*(column.tolist() for column in columns), strict=True)]


def _account(cursor: Cursor, table: _TickTable, gains: Sequence[_Gain]) -> None:
    if not gains:
        return
    columns = ("instruments", "days", "rows", "firsts", "lasts", "sequences")
    values = dict(zip(columns, map(array_of, zip(*gains, strict=True)), strict=True))
    cursor.execute(_ACCOUNT, {**values, "dataset": table.dataset.name, "units_per_row": table.units_per_row})
    if cursor.fetchone() != (len(gains),):
        raise Stop(f"an instrument has no series of {table.dataset.name}: call ensure_option_series before writing")
