"""The row that is meant by a moment of a series, whichever table holds it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tapekeeper.clock import MICROSECONDS_PER_DAY
from tapekeeper.model.window import Window
from tapekeeper.store.grid_rows import table_named

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from psycopg2.extensions import cursor as Cursor

    from tapekeeper.model.series import Series

_ON_A_GRID: Final = "SELECT {columns} FROM {table.name} WHERE series_id = %(series_id)s AND {table.time} = %(moment)s"
# The options of a chain have series of their own.
_CHAIN: Final = """
    SELECT day AS event_time, count(*) AS candles, sum(volume) AS volume
    FROM option_candles
    JOIN series USING (series_id)
    JOIN instruments USING (instrument_id)
    WHERE day = %(moment)s AND (venue, currency) = (
        SELECT venue, currency FROM series JOIN instruments USING (instrument_id) WHERE series_id = %(series_id)s
    )
    GROUP BY day
"""
# Coverage knows the first and the last tick of each day, so that at most one day of the table is looked through.
_TICK: Final = """
    WITH last_day AS (
        SELECT first_event_time, least(last_event_time, %(moment)s) AS last_event_time
        FROM coverage
        WHERE series_id = %(series_id)s AND first_event_time <= %(moment)s
        ORDER BY day DESC
        LIMIT 1
    )
    SELECT {columns}
    FROM {table}
    WHERE instrument_id = (SELECT instrument_id FROM series WHERE series_id = %(series_id)s)
        AND event_time >= (SELECT first_event_time FROM last_day)
        AND event_time <= (SELECT last_event_time FROM last_day)
    ORDER BY event_time DESC, {sequence} DESC
    LIMIT 1
"""
_TICKS: Final = {
    "option_quotes": {
        "sequence": "change_id",
        "columns": "event_time, received_at, change_id, bid_price, bid_size, ask_price, ask_size, mark_price,"
        " underlying_price, mark_iv, bid_iv, ask_iv, open_interest, from_ticker",
    },
    "option_trades": {
        "sequence": "trade_seq",
        "columns": "event_time, received_at, trade_seq, trade_id, price, size, side, iv, index_price, mark_price,"
        " liquidation, combo_id, block_trade_id",
    },
    "agg_trades": {
        "sequence": "agg_trade_id",
        "columns": "event_time, agg_trade_id, price, quantity, first_trade_id, last_trade_id, is_buyer_maker",
    },
}


def looked_at(series: Series, moment: int) -> Window:
    """Return what is meant by a moment: the step of the grid that holds it, of a chain the day, of ticks itself."""
    step = MICROSECONDS_PER_DAY if is_chain(series) else series.resolution.microseconds
    return Window(moment // step * step, moment // step * step + step) if step else Window(moment, moment + 1)


def is_chain(series: Series) -> bool:
    """Return whether it is what a chain of options is asked for by, which has no rows of its own."""
    return series.instrument.kind == "option_chain"


def number_of(row: Mapping[str, Any] | None) -> int | None:
    """Return the number that the venue gave to a row."""
    told = row or {}
    number: int | None = told.get("trade_seq", told.get("agg_trade_id"))
    return number


def meant_row(cursor: Cursor, series: Series, moment: datetime) -> dict[str, Any] | None:
    """Return the row by column: on a grid that of the moment, of ticks the last up to it; of a chain its sums."""
    cursor.execute(_statement(series), {"series_id": series.series_id, "moment": moment})
    found = cursor.fetchone()
    return (
        None if found is None else dict(zip((column.name for column in cursor.description or ()), found, strict=True))
    )


def _statement(series: Series) -> str:
    if is_chain(series):
        return _CHAIN
    tick = _TICKS.get(series.dataset.table)
    if tick is not None:
        return _TICK.format(table=series.dataset.table, **tick)
    table = table_named(series.dataset.table)
    columns = (table.time, *table.exact, *table.numbers, *table.optional, *table.counts)
    return _ON_A_GRID.format(table=table, columns=", ".join(columns))
