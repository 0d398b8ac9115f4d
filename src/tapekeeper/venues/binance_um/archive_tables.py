"""The tables inside the files of Binance's public archive: what their columns mean, and which rows can be believed.

Source: the headers of newer files, recorded files, and what users of the archive report: rows of metrics come twice,
funding rates are paid some milliseconds late and have no mark price.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from datetime import datetime
from typing import TYPE_CHECKING, ClassVar, Final, TypeVar

import numpy as np

from tapekeeper.clock import format_moment, now_microseconds, to_microseconds
from tapekeeper.errors import InvariantBroken, ParseFailure
from tapekeeper.model.answer import Answer
from tapekeeper.model.funding_rate import FundingRates
from tapekeeper.model.open_interest import OpenInterest
from tapekeeper.model.series import (
    BINANCE_UM_AGG_TRADES,
    BINANCE_UM_CANDLES,
    BINANCE_UM_FUNDING_RATES,
    BINANCE_UM_OPEN_INTEREST,
)
from tapekeeper.venues.binance_um.agg_trades import believe_agg_trades
from tapekeeper.venues.binance_um.funding_rates import nearest_due
from tapekeeper.venues.binance_um.klines import candles_of
from tapekeeper.venues.binance_um.open_interest import doubt_open_interest
from tapekeeper.venues.candle_columns import doubt_candles
from tapekeeper.venues.excerpt import shown
from tapekeeper.venues.text_columns import Fields, TextColumns

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from tapekeeper.model.agg_trade import AggTrades
    from tapekeeper.model.answer import Rows
    from tapekeeper.model.archive import ArchiveFile
    from tapekeeper.model.candle import Int64Column
    from tapekeeper.model.series import Dataset
    from tapekeeper.model.window import Window
    from tapekeeper.venues.told_columns import SelectableRows

    Mask = npt.NDArray[np.bool_]
    RowsT = TypeVar("RowsT", bound=SelectableRows)

SECONDS_PER_HOUR: Final = 3_600
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")


class Table(ABC):
    """Reads the rows of one file, stretch by stretch, from its beginning to its end.

    Args:
        file: whose rows they are.
        window: what is wanted of it.
    """

    columns: ClassVar[tuple[str, ...]]
    """As the archive names them in headers."""
    ignored: ClassVar[frozenset[str]] = frozenset()
    """The columns that nobody reads."""

    def __init__(self, file: ArchiveFile, window: Window) -> None:
        self._file = file
        self._window = window

    def check_header(self, names: Sequence[str]) -> None:
        """Check that a header names the columns that are read, where they are read.

        Raises:
            ParseFailure: it does not.
        """
        known = [given for given, name in zip(names, self.columns, strict=False) if name not in self.ignored]
        if len(names) != len(self.columns) or known != [name for name in self.columns if name not in self.ignored]:
            raise ParseFailure(f"its header is {shown(','.join(names))!r} where {','.join(self.columns)!r} should be")

    def read(self, fields: Fields) -> Answer[Rows]:
        """Return the rows of the next stretch that lie in the window.

        Raises:
            ParseFailure: they are of another instrument.
            InvariantBroken: they do not ascend.
        """
        return self._read(TextColumns(self.columns, fields), fields)

    @abstractmethod
    def _read(self, told: TextColumns, fields: Fields) -> Answer[Rows]:
        """Return the rows of a stretch."""

    def _put_strays_aside(self, told: TextColumns, moments: Int64Column) -> Mask:
        """Put rows aside that the file should not hold; return which these are."""
        strays: Mask = (moments >= 0) & ~_within(moments, self._file.window)
        for row in np.flatnonzero(strays).tolist():
            told.put_aside(row, f"{format_moment(int(moments[row]))} is not in the file's window {self._file.window}")
        return strays


class _GridTable(Table):
    """A table whose rows lie on a grid, each moment once."""

    def __init__(self, file: ArchiveFile, window: Window) -> None:
        super().__init__(file, window)
        self._latest = -1

    def _on_grid(
        self, told: TextColumns, rows: RowsT, wanted: Mask | bool, told_at: Int64Column | None = None
    ) -> Answer[RowsT]:
        """Return the rows of the window, and apart from them what was put aside and what the file should not hold.

        `told_at` is when a row that is put aside says that it is, where that is not its moment.
        """
        moments, resolution = rows.moments, self._file.resolution
        for row in np.flatnonzero((moments >= 0) & (moments % resolution.microseconds != 0)).tolist():
            told.put_aside(row, f"{format_moment(int(moments[row]))} does not lie on a multiple of {resolution}")
        if told_at is not None:
            moments = np.where(moments < 0, told_at, moments)
        strays = self._put_strays_aside(told, moments)
        answer = told.sort_out(rows, wanted & ((moments < 0) | _within(moments, self._window) | strays), told_at)
        ascending = np.concatenate([[self._latest], answer.rows.moments])
        descents = np.flatnonzero(np.diff(ascending) <= 0)
        if len(descents):
            before, after = (format_moment(int(ascending[descents[0] + offset])) for offset in (0, 1))
            raise InvariantBroken(f"the rows do not ascend: {after} comes after {before}")
        self._latest = int(ascending[-1])
        return answer


class _Klines(_GridTable):
    columns = (
        "open_time", "open", "high", "low", "close", "volume", "close_time", "quote_volume", "count",
        "taker_buy_volume", "taker_buy_quote_volume", "ignore",
    )  # fmt: skip
    ignored = frozenset({"close_time", "taker_buy_volume", "taker_buy_quote_volume", "ignore"})

    def _read(self, told: TextColumns, fields: Fields) -> Answer[Rows]:  # noqa: ARG002
        candles = candles_of(told, trade_count="count")
        doubt_candles(told, candles)
        over = candles.open_time <= now_microseconds() - self._file.resolution.microseconds
        return self._on_grid(told, candles, over)


class _AggTrades(Table):
    columns = (
        "agg_trade_id", "price", "quantity", "first_trade_id", "last_trade_id", "transact_time", "is_buyer_maker",
    )  # fmt: skip

    def __init__(self, file: ArchiveFile, window: Window) -> None:
        super().__init__(file, window)
        self._latest_id, self._latest_time = -1, -1

    def _read(self, told: TextColumns, fields: Fields) -> Answer[Rows]:  # noqa: ARG002
        self._put_strays_aside(told, told.moments("transact_time"))
        answer = believe_agg_trades(told, None, now_microseconds(), self.columns)
        self._check_after_latest(answer.rows)
        inside = _within(answer.rows.event_time, self._window)
        rejected = tuple(row for row in answer.rejected if self._is_told(row.event_time))
        return Answer(answer.rows if inside.all() else answer.rows.select(inside), rejected)

    def _check_after_latest(self, trades: AggTrades) -> None:
        if not len(trades):
            return
        number, time = int(trades.agg_trade_id[0]), int(trades.event_time[0])
        if number <= self._latest_id or time < self._latest_time:
            raise InvariantBroken(
                f"the aggregate trades do not ascend: {number} at {format_moment(time)}"
                f" comes after {self._latest_id} at {format_moment(self._latest_time)}"
            )
        self._latest_id, self._latest_time = int(trades.agg_trade_id[-1]), int(trades.event_time[-1])

    def _is_told(self, moment: int | None) -> bool:
        """Return whether a row that was put aside is told here: one of another window is told with that."""
        if moment is None or self._window.start <= moment < self._window.end:
            return True
        return not self._file.window.start <= moment < self._file.window.end


class _Metrics(_GridTable):
    columns = (
        "create_time", "symbol", "sum_open_interest", "sum_open_interest_value", "count_toptrader_long_short_ratio",
        "sum_toptrader_long_short_ratio", "count_long_short_ratio", "sum_taker_long_short_vol_ratio",
    )  # fmt: skip
    ignored = frozenset(columns[4:])

    def __init__(self, file: ArchiveFile, window: Window) -> None:
        super().__init__(file, window)
        self._taken: dict[int, tuple[float, float]] = {}

    def read(self, fields: Fields) -> Answer[Rows]:
        """Return the rows of the next stretch that lie in the window, in the order of their time."""
        for symbol in set(fields.exact(self.columns.index("symbol"))) - {self._file.instrument_name}:
            raise ParseFailure(f"it holds a row of {shown(symbol)!r}")
        times = _times(fields)
        order = np.argsort(times, kind="stable")
        return super().read(fields.pick(order))

    def _read(self, told: TextColumns, fields: Fields) -> Answer[Rows]:
        times = _times(fields)
        for row in np.flatnonzero(times < 0).tolist():
            told.put_aside(row, f"create_time {fields.field(0, row)!r} is no time")
        rows = OpenInterest(
            event_time=times,
            open_interest=told.decimals("sum_open_interest"),
            open_interest_value=told.decimals("sum_open_interest_value"),
        )
        doubt_open_interest(told, rows)
        return self._on_grid(told, rows, ~self._repeated(told, rows))

    def _repeated(self, told: TextColumns, rows: OpenInterest) -> Mask:
        """Return which rows say again what one before them said; put those aside that say something else."""
        repeated = np.zeros(len(rows), dtype=np.bool_)
        usable = _within(rows.event_time, self._window) & (rows.open_interest >= 0) & (rows.open_interest_value >= 0)
        for row in np.flatnonzero(usable).tolist():
            values = float(rows.open_interest[row]), float(rows.open_interest_value[row])
            moment = int(rows.event_time[row])
            if moment not in self._taken:
                self._taken[moment] = values
            elif self._taken[moment] == values:
                repeated[row] = True
            else:
                told.put_aside(row, f"an earlier row of {format_moment(moment)} says {self._taken[moment]}")
        return repeated


class _FundingRates(_GridTable):
    columns = ("calc_time", "funding_interval_hours", "last_funding_rate")

    def _read(self, told: TextColumns, fields: Fields) -> Answer[Rows]:  # noqa: ARG002
        paid_at = told.moments("calc_time")
        hours = told.counts("funding_interval_hours")
        rates = FundingRates(
            due_at=nearest_due(paid_at, self._file.resolution),
            paid_at=paid_at,
            funding_rate=told.decimals("last_funding_rate"),
            mark_price=np.full(len(paid_at), np.nan),
        )
        # The rates of another interval are of another series. One that cannot be read is 0, and its row is put aside.
        own = (hours * SECONDS_PER_HOUR == self._file.resolution.seconds) | (hours == 0)
        for row in np.flatnonzero(own & (rates.due_at < 0) & (paid_at >= 0)).tolist():
            told.put_aside(
                row, f"paid at {format_moment(int(paid_at[row]))}, which is not near to a multiple of its interval"
            )
        return self._on_grid(told, rates, own, told_at=paid_at)


_TABLES: Final[Mapping[Dataset, type[Table]]] = {
    BINANCE_UM_CANDLES: _Klines,
    BINANCE_UM_AGG_TRADES: _AggTrades,
    BINANCE_UM_OPEN_INTEREST: _Metrics,
    BINANCE_UM_FUNDING_RATES: _FundingRates,
}


def table_of(file: ArchiveFile, window: Window) -> Table:
    """Return what reads the rows of a file that lie in a window."""
    return _TABLES[file.dataset](file, window)


def _within(moments: Int64Column, window: Window) -> Mask:
    inside: Mask = (moments >= window.start) & (moments < window.end)
    return inside


def _times(fields: Fields) -> Int64Column:
    """Return a column of times such as 2025-07-01 00:05:00, which are UTC, -1 for what is none; it is the first."""
    return np.array([_time(text) for text in fields.exact(0)], dtype=np.int64)


def _time(text: str) -> int:
    if _TIME.fullmatch(text) is None or not text.isascii():
        return -1
    try:
        return max(-1, to_microseconds(datetime.fromisoformat(f"{text}+00:00")))
    except ValueError:
        return -1
