"""Klines: the aggregate trades added up in whole numbers, so that every interval sums to the last decimal."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from simulator.binance_um.agg_trades import AggTape, AggTrades
from simulator.binance_um.contracts import Contract
from simulator.binance_um.intervals import MINUTES, following, opening
from simulator.moments import DAY, MINUTE
from simulator.recent import Recent
from tapekeeper.model.candle import Int64Column

COLUMNS: Final = (
    "open",
    "high",
    "low",
    "close",
    "volume",
    "quote_volume",
    "count",
    "taker_volume",
    "taker_quote_volume",
)
Rows = npt.NDArray[np.int64]
"""COLUMNS by klines, shape (9, n): prices, quantities and their products in their last decimals."""
_MINUTES: Final = DAY // MINUTE
_DAYS_KEPT: Final = 800
_SUMS_KEPT: Final = 40_000


@dataclass(frozen=True, slots=True, eq=False)
class Klines:
    """n klines: open times in milliseconds, shape (n,), and their rows."""

    opened: Int64Column
    rows: Rows

    def __len__(self) -> int:
        return len(self.opened)

    def select(self, wanted: npt.NDArray[np.bool_] | slice) -> Klines:
        """Return some of them."""
        return Klines(self.opened[wanted], self.rows[:, wanted])


class KlineMaker:
    """Makes klines of any window and interval from the tape."""

    def __init__(self, tape: AggTape) -> None:
        self._tape = tape
        self._days: Recent[tuple[str, int], Rows] = Recent(_DAYS_KEPT, lambda _: 1)
        self._sums: Recent[tuple[str, int], Rows] = Recent(_SUMS_KEPT, lambda _: 1)

    def klines(self, contract: Contract, interval: str, start: int, end: int, now: int) -> Klines:
        """Return the klines that open in `[start, end]`, both included, as far as they exist at `now`.

        The first of all is that which holds the first trade; the last one may still be open, and knows the trades
        before `now` alone. A minute without a trade repeats the close before it.
        """
        cutoff = min(now, contract.end)
        first = opening(interval, max(start, contract.onboard_at))
        if first < start:
            first = following(interval, first)
        last = opening(interval, min(end, cutoff - 1))
        if first > last:
            return Klines(np.empty(0, dtype=np.int64), np.empty((len(COLUMNS), 0), dtype=np.int64))
        if interval in MINUTES:
            return self._within_days(contract, interval, first, last, cutoff)
        return self._of_days(contract, interval, first, last, cutoff)

    async def prepare(self, contract: Contract, interval: str, start: int, end: int, now: int) -> None:
        """Make what klines of a long window need, and let others have their turn meanwhile."""
        cutoff = min(now, contract.end)
        size = MINUTES.get(interval, _MINUTES)
        for day in range(max(start, contract.onboard_at) // DAY, (min(end, cutoff - 1)) // DAY):
            self._day_of(contract, day, size, cutoff)
            await asyncio.sleep(0)

    def _within_days(self, contract: Contract, interval: str, first: int, last: int, cutoff: int) -> Klines:
        size = MINUTES[interval]
        days = range(first // DAY, last // DAY + 1)
        made = [self._day_of(contract, day, size, cutoff) for day in days]
        opened = np.arange(first, last + size * MINUTE, size * MINUTE)
        offset = (first - days[0] * DAY) // (size * MINUTE)
        return Klines(opened, np.concatenate(made, axis=1)[:, offset : offset + len(opened)])

    def _of_days(self, contract: Contract, interval: str, first: int, last: int, cutoff: int) -> Klines:
        first_day = max(first, contract.onboard_at) // DAY
        last_day = (min(following(interval, last), cutoff) - 1) // DAY
        rows = np.concatenate(
            [self._day_of(contract, day, _MINUTES, cutoff) for day in range(first_day, last_day + 1)], axis=1
        )
        holders = np.array([opening(interval, day * DAY) for day in range(first_day, last_day + 1)])
        starts = np.flatnonzero(np.diff(holders, prepend=-1))
        return Klines(holders[starts], _joined(rows, starts))

    def _day_of(self, contract: Contract, day: int, size: int, cutoff: int) -> Rows:
        """Return the klines of so many minutes of a day, as known at `cutoff`."""
        if size == _MINUTES and cutoff >= (day + 1) * DAY:
            return self._sums.get(
                (contract.symbol, day), lambda: _longer(self._minutes_of(contract, day, cutoff), size)
            )
        return _longer(self._minutes_of(contract, day, cutoff), size)

    def _minutes_of(self, contract: Contract, day: int, cutoff: int) -> Rows:
        if cutoff < (day + 1) * DAY:
            trades = self._tape.day(contract, day)
            known = slice(0, int(np.searchsorted(trades.time, cutoff)))
            return self._minutes(contract, day, trades.select(known))
        return self._days.get(
            (contract.symbol, day), lambda: self._minutes(contract, day, self._tape.day(contract, day))
        )

    def _minutes(self, contract: Contract, day: int, trades: AggTrades) -> Rows:
        before = self._tape.last_price_before(contract, day)
        rows = np.zeros((len(COLUMNS), _MINUTES), dtype=np.int64)
        if not len(trades):
            rows[:4] = before or 0
            return rows
        minute = (trades.time - day * DAY) // MINUTE
        starts = np.flatnonzero(np.diff(minute, prepend=-1))
        traded, price = minute[starts], trades.price
        closes = price[np.append(starts[1:], len(trades)) - 1]
        position = np.searchsorted(traded, np.arange(_MINUTES), side="right") - 1
        rows[:4] = np.where(position < 0, price[0] if before is None else before, closes[position])
        rows[0, traded] = price[starts]
        rows[1, traded] = np.maximum.reduceat(price, starts)
        rows[2, traded] = np.minimum.reduceat(price, starts)
        quote = price * trades.quantity
        counted = trades.last - trades.first + 1
        bought = ~trades.is_buyer_maker
        for row, values in enumerate((trades.quantity, quote, counted, trades.quantity * bought, quote * bought), 4):
            rows[row, traded] = np.add.reduceat(values, starts)
        return rows


def _longer(minutes: Rows, size: int) -> Rows:
    """Return the klines of `size` minutes from the minutes of a day."""
    if size == 1:
        return minutes
    groups = minutes.reshape(len(COLUMNS), -1, size)
    longer: Rows = groups.sum(axis=2)
    longer[0], longer[3] = groups[0, :, 0], groups[3, :, -1]
    longer[1], longer[2] = groups[1].max(axis=1), groups[2].min(axis=1)
    return longer


def _joined(rows: Rows, starts: Int64Column) -> Rows:
    """Return klines made of neighbours: each group begins at one of `starts`."""
    joined: Rows = np.add.reduceat(rows, starts, axis=1)
    joined[0] = rows[0, starts]
    joined[1] = np.maximum.reduceat(rows[1], starts)
    joined[2] = np.minimum.reduceat(rows[2], starts)
    joined[3] = rows[3, np.append(starts[1:], rows.shape[1]) - 1]
    return joined
