"""Does the venue still tell what we hold?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tapekeeper.backfill.cut import cut
from tapekeeper.backfill.offers import offer_of
from tapekeeper.backfill.tools import tools_for
from tapekeeper.clock import MICROSECONDS_PER_DAY, day_start, format_moment, to_microseconds
from tapekeeper.errors import RequestRejected
from tapekeeper.http.rate_budget import Priority
from tapekeeper.model.quality import Severity
from tapekeeper.model.resolution import Resolution
from tapekeeper.model.series import (
    BINANCE_UM_AGG_TRADES,
    CRYPTODATADOWNLOAD_OPTION_CANDLES,
    DERIBIT_OPTION_TRADES,
    GRID_DATASETS,
)
from tapekeeper.model.window import Window
from tapekeeper.quality.checks.check import SAMPLE_ROWS, Findings
from tapekeeper.quality.checks.ohlcv_sanity import SOUND
from tapekeeper.store.grid_rows import CANDLES, table_named

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from psycopg2.extensions import cursor as Cursor

    from tapekeeper.backfill.worker_tools import WorkerTools
    from tapekeeper.model.answer import Rows
    from tapekeeper.model.candle import Float64Column, Int64Column
    from tapekeeper.quality.checks.check import Scope
    from tapekeeper.store.grid_rows import GridTable

TRADES_AT_MOST: Final = 5_000
"""Of a drawn day of trades so many are compared, from its first number on."""
_DRAWN: Final = """
    SELECT series_id, instrument_id, name, resolution_seconds, day
    FROM coverage
    JOIN series USING (series_id)
    JOIN instruments USING (instrument_id)
    WHERE dataset = %(dataset)s AND day >= %(first_day)s AND day < %(end_day)s AND held > 0
    ORDER BY md5(concat_ws('/', %(seed)s, series_id, day))
    LIMIT %(windows)s
"""
_ROWS: Final = """
    SELECT {time}, {values} FROM {name}
    WHERE series_id = %(series_id)s AND {time} >= %(start)s AND {time} < %(end)s AND {sound}
    ORDER BY {time}
"""
_OPTION_TRADES: Final = """
    SELECT trade_seq, event_time, trade_id, price, size, side FROM option_trades
    WHERE instrument_id = %(instrument_id)s AND event_time >= %(start)s AND event_time < %(end)s
        AND trade_seq < %(at_most)s + (
            SELECT min(trade_seq) FROM option_trades
            WHERE instrument_id = %(instrument_id)s AND event_time >= %(start)s AND event_time < %(end)s
        )
    ORDER BY trade_seq, event_time
"""
_OPTION_TRADE_VALUES: Final = ("event_time", "trade_id", "price", "size", "side")
_AGG_TRADES: Final = """
    SELECT agg_trade_id, event_time, price, quantity, first_trade_id, last_trade_id, is_buyer_maker FROM agg_trades
    WHERE instrument_id = %(instrument_id)s AND event_time >= %(start)s AND event_time < %(end)s
    ORDER BY agg_trade_id, event_time
    LIMIT %(at_most)s
"""
_AGG_TRADE_VALUES: Final = ("event_time", "price", "quantity", "first_trade_id", "last_trade_id", "is_buyer_maker")
Row = tuple[Any, ...]
Compared = tuple[int, list[dict[str, object]]]
"""How many rows were compared, 0 if the venue tells none, and those that differ."""


class _Drawn(NamedTuple):
    """A day of a series that is fetched again."""

    series_id: int
    instrument_id: int
    name: str
    resolution: Resolution
    window: Window


@dataclass(frozen=True, slots=True)
class _Purpose:
    """What the requests of this check are for."""

    series_id: int
    window: Window
    run_id: None = None


class Refetch:
    """Rows that the venue tells otherwise now, or no more, on days that are drawn by the key of the run.

    What the venue has and we do not is no finding of this check but a hole. A venue that tells nothing at all of a day,
    or refuses an instrument that it has forgotten, proves nothing: such days are told among the figures.
    """

    name = "refetch"
    question = "Does the venue still tell what we hold?"
    severity = Severity.CRITICAL
    datasets = (*GRID_DATASETS, DERIBIT_OPTION_TRADES.name, BINANCE_UM_AGG_TRADES.name)

    def run(self, cursor: Cursor, scope: Scope) -> Findings:
        """Return the rows that differ; `checked` and `found` count rows.

        Raises:
            RetryLater: the venue cannot be asked now.
            BadData: an answer of the venue cannot be believed.
        """
        drawn = _draw(cursor, scope)
        if not drawn:
            return Findings(0, 0, {"windows": 0})
        tools = tools_for(scope.dataset, scope.settings, Priority.REPAIR)()
        trades = _TRADES_OF.get(scope.dataset.name)
        compare = partial(_compare_trades, trades) if trades else partial(_compare_rows, scope)
        checked, not_told = 0, 0
        wrong: list[dict[str, object]] = []
        try:
            for day in drawn:
                tools.about_to_fetch(_Purpose(day.series_id, day.window))
                compared, differing = _if_told(partial(compare, cursor, tools, day))
                checked, not_told = checked + compared, not_told + (compared == 0)
                wrong += ({"series_id": day.series_id, "instrument": day.name, **row} for row in differing)
        finally:
            tools.close()
        figures = {"windows": len(drawn), "windows_not_told": not_told}
        return Findings(checked, len(wrong), figures, tuple(wrong[:SAMPLE_ROWS]))


def _draw(cursor: Cursor, scope: Scope) -> list[_Drawn]:
    values = {"dataset": scope.dataset.name, "first_day": scope.first_day, "end_day": scope.end_day}
    cursor.execute(_DRAWN, {**values, "seed": scope.seed, "windows": scope.settings.quality.refetch_windows})
    return [
        _Drawn(
            series_id,
            instrument_id,
            name,
            Resolution(seconds),
            Window(day_start(day), day_start(day) + MICROSECONDS_PER_DAY),
        )
        for series_id, instrument_id, name, seconds, day in cursor.fetchall()
    ]


def _if_told(compare: Callable[[], Compared]) -> Compared:
    """Return what was compared, nothing if the venue refuses to tell."""
    try:
        return compare()
    except RequestRejected:
        return 0, []


def _compare_rows(scope: Scope, cursor: Cursor, tools: WorkerTools, day: _Drawn) -> Compared:
    """Compare rows on a grid."""
    table = table_named(scope.dataset.table)
    told: dict[int, Row] = {}
    names = _compared(table)
    for rows in _told_rows(scope, tools, day):
        columns = (_plain(getattr(rows, name)) for name in names)
        told |= zip(rows.moments.tolist(), zip(*columns, strict=True), strict=True)
    held = list(_held_rows(cursor, table, day).items())
    return _differing(held, told, names, lambda moment: {table.time: format_moment(moment)})


def _told_rows(scope: Scope, tools: WorkerTools, day: _Drawn) -> Iterator[Rows]:
    """Yield what the venue tells of a day, in the columns of its table."""
    if scope.dataset is CRYPTODATADOWNLOAD_OPTION_CANDLES:
        yield tools.option_venue().option_rows(day.name, day.window).rows
        return
    rows_per_chunk = offer_of(scope.dataset).rows_per_chunk(scope.settings)
    for window in cut([day.window], day.resolution.microseconds, rows_per_chunk):
        yield tools.venue.rows(scope.dataset, day.name, window, day.resolution).rows


def _compared(table: GridTable) -> tuple[str, ...]:
    return (*table.exact, *table.numbers, *table.optional)


def _plain(column: Int64Column | Float64Column) -> list[Any]:
    """Return a column as the table holds it: what is not told is null there."""
    return [None if value != value else value for value in column.tolist()]


def _held_rows(cursor: Cursor, table: GridTable, day: _Drawn) -> dict[int, Row]:
    """Return what is held of a day, by moment; candles that contradict themselves are told by the check for that."""
    start, end = day.window.as_datetimes()
    step = timedelta(seconds=day.resolution.seconds)
    statement = _ROWS.format(
        name=table.name,
        time=table.time,
        values=", ".join(_compared(table)),
        sound=SOUND if table is CANDLES else "true",
    )
    cursor.execute(statement, {"series_id": day.series_id, "start": start, "end": end, "step": step})
    return {
        to_microseconds(moment): tuple(
            to_microseconds(value) if name in table.exact else value
            for name, value in zip(_compared(table), values, strict=True)
        )
        for moment, *values in cursor.fetchall()
    }


@dataclass(frozen=True, slots=True)
class _Trades:
    """How trades that have numbers are compared."""

    held: str
    """A statement: number, event time and the other values, ascending by number."""
    number: str
    values: tuple[str, ...]
    told: Callable[[WorkerTools, str, int, int], dict[int, Row]]
    """Asks for those of an instrument from one number to another, both included."""


def _compare_trades(trades: _Trades, cursor: Cursor, tools: WorkerTools, day: _Drawn) -> Compared:
    """Compare trades by their numbers."""
    start, end = day.window.as_datetimes()
    values = {"instrument_id": day.instrument_id, "start": start, "end": end, "at_most": TRADES_AT_MOST}
    cursor.execute(trades.held, values)
    held = [(number, (to_microseconds(moment), *others)) for number, moment, *others in cursor.fetchall()]
    if not held:
        return 0, []
    told = trades.told(tools, day.name, held[0][0], held[-1][0])
    return _differing(held, told, trades.values, lambda number: {trades.number: number})


def _told_option_trades(tools: WorkerTools, name: str, first: int, last: int) -> dict[int, Row]:
    return {
        trade.trade_seq: (trade.event_time, str(trade.trade_id), trade.price, trade.amount, trade.direction)
        for page in tools.trade_venue().trades_by_instrument(name, first, last)
        for trade in page.trades
    }


def _told_agg_trades(tools: WorkerTools, name: str, first: int, last: int) -> dict[int, Row]:
    told: dict[int, Row] = {}
    for page in tools.agg_trade_venue().agg_trades_by_id(name, first, last):
        columns = (getattr(page.rows, value).tolist() for value in _AGG_TRADE_VALUES)
        told |= zip(page.rows.agg_trade_id.tolist(), zip(*columns, strict=True), strict=True)
    return told


_TRADES_OF: Final = {
    DERIBIT_OPTION_TRADES.name: _Trades(_OPTION_TRADES, "trade_seq", _OPTION_TRADE_VALUES, _told_option_trades),
    BINANCE_UM_AGG_TRADES.name: _Trades(_AGG_TRADES, "agg_trade_id", _AGG_TRADE_VALUES, _told_agg_trades),
}


def _differing(
    held: Sequence[tuple[int, Row]],
    told: Mapping[int, Row],
    names: tuple[str, ...],
    name_key: Callable[[int], dict[str, object]],
) -> Compared:
    """Return how many rows were compared, none if the venue tells none at all, and those that differ."""
    if not told:
        return 0, []
    return len(held), [
        {**name_key(key), **_difference(names, row, told.get(key))} for key, row in held if told.get(key) != row
    ]


def _difference(names: tuple[str, ...], held: Row, told: Row | None) -> dict[str, object]:
    """Return what differs, or that the venue tells the row no more."""
    if told is None:
        return {"differs": "the venue does not tell it"}
    differing = [name for name, ours, theirs in zip(names, held, told, strict=True) if ours != theirs]
    return {
        "differs": ", ".join(differing),
        "held": {name: value for name, value in zip(names, held, strict=True) if name in differing},
        "told": {name: value for name, value in zip(names, told, strict=True) if name in differing},
    }
