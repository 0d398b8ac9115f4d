"""Landing: what a venue told becomes rows, whichever table they belong to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from tapekeeper.clock import MICROSECONDS_PER_DAY, now_microseconds
from tapekeeper.model.backfill import RowCounts, Source
from tapekeeper.model.gap import Cause
from tapekeeper.model.series import BINANCE_UM_AGG_TRADES, CRYPTODATADOWNLOAD_OPTION_CANDLES
from tapekeeper.store.agg_trades import ensure_days, settle_window, write_agg_trades
from tapekeeper.store.grid_rows import table_named, write_rows
from tapekeeper.store.option_chain import write_chain
from tapekeeper.store.series_lock import lock_series

if TYPE_CHECKING:
    from collections.abc import Mapping

    from psycopg2.extensions import cursor as Cursor

    from tapekeeper.model.agg_trade import AggTrades
    from tapekeeper.model.answer import Answer, Rows
    from tapekeeper.model.option_candle import OptionCandles
    from tapekeeper.model.series import Dataset
    from tapekeeper.model.window import Window

EMPTY_DAY_IS_BELIEVED_AFTER: Final = 7 * MICROSECONDS_PER_DAY
"""A day of a chain that is not published yet is answered like one that has nothing: so long it is asked for again."""


def make_room(cursor: Cursor, dataset: Dataset, window: Window) -> None:
    """Make the partitions of a window, in a transaction of its own: whoever makes one lets others wait for its end."""
    if dataset == BINANCE_UM_AGG_TRADES:
        ensure_days(cursor, window)


def land(cursor: Cursor, dataset: Dataset, series_id: int, window: Window, rows: Rows, *, source: str) -> RowCounts:
    """Write rows of one window with their account; `source` is kept with every row that is changed by it.

    Of a series without a grid a window can be landed in several parts, with `settle` after the last one.
    """
    lock_series(cursor, series_id)
    if dataset == BINANCE_UM_AGG_TRADES:
        return write_agg_trades(cursor, series_id, cast("AggTrades", rows), source=source)
    if dataset == CRYPTODATADOWNLOAD_OPTION_CANDLES:
        if not len(rows) and window.end > now_microseconds() - EMPTY_DAY_IS_BELIEVED_AFTER:
            return RowCounts()
        return write_chain(cursor, series_id, window, cast("OptionCandles", rows), source=source)
    return write_rows(cursor, table_named(dataset.table), series_id, rows, source=source)


def settle(
    cursor: Cursor,
    dataset: Dataset,
    series_id: int,
    window: Window,
    *,
    cause: Cause,
    by: str,
    evidence: Mapping[str, object],
) -> None:
    """Note that all of a window was told and has landed; what is missing in a chain of numbers becomes a gap."""
    if dataset == BINANCE_UM_AGG_TRADES:
        settle_window(cursor, series_id, window, cause=cause, by=by, evidence=evidence)


def land_answer(
    cursor: Cursor,
    dataset: Dataset,
    series_id: int,
    window: Window,
    answer: Answer[Rows],
    *,
    by: str,
    evidence: Mapping[str, object],
) -> RowCounts:
    """Write what a venue told over REST of a whole window; of a series without a grid it is told for good.

    An answer of which no row can be believed changes nothing. Rows that were put aside are left to the caller.
    """
    if not answer.tells_anything:
        return RowCounts()
    rows = land(cursor, dataset, series_id, window, answer.rows, source=Source.REST.value)
    settle(cursor, dataset, series_id, window, cause=Cause.UNKNOWN, by=by, evidence=evidence)
    return rows
