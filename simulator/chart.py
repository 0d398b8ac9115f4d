"""Candles: the tape added up, with quiet minutes filled as the venue fills them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from simulator.instruments import VenueInstrument
from simulator.moments import DAY, MINUTE
from simulator.recent import Recent
from simulator.tape import Tape, Trades
from tapekeeper.model.candle import Float64Column, Int64Column

RESOLUTIONS: Final = {str(minutes): minutes for minutes in (1, 3, 5, 10, 15, 30, 60, 120, 180, 360, 720)} | {"1D": 1440}
"""Minutes of each resolution that the venue offers."""
COLUMNS: Final = ("open", "high", "low", "close", "volume", "cost")
_MINUTES: Final = DAY // MINUTE
_DAYS_KEPT: Final = 1_024


@dataclass(frozen=True, slots=True, eq=False)
class Chart:
    """n candles: `ticks` are open times in milliseconds, shape (n,); `rows` holds COLUMNS, shape (6, n)."""

    ticks: Int64Column
    rows: Float64Column

    def column(self, name: str) -> Float64Column:
        """Return one of COLUMNS, shape (n,)."""
        column: Float64Column = np.ascontiguousarray(self.rows[COLUMNS.index(name)])
        return column


class ChartMaker:
    """Makes candles of any window from the tape."""

    def __init__(self, tape: Tape) -> None:
        self.tape = tape
        self._days: Recent[tuple[str, int, int, int], Float64Column] = Recent(_DAYS_KEPT, lambda _: 1)

    def candles(self, instrument: VenueInstrument, start: int, end: int, resolution: str, now: int) -> Chart:
        """Return the candles with an open time in `[start, end]`, both included, as far as they exist at `now`.

        The first one is that which holds the listing. The last one may still be open: it knows the trades before
        `now` alone. Without any trade there is no candle.
        """
        step = RESOLUTIONS[resolution] * MINUTE
        cutoff = min(now, instrument.end)
        first = max(-(-start // step), instrument.listed_at // step) * step
        last = min(end, cutoff - 1) // step * step
        if first > last or not instrument.trades_per_hundred_days:
            return Chart(np.empty(0, dtype=np.int64), np.empty((len(COLUMNS), 0)))
        first_day, last_day = first // DAY, last // DAY
        days = [self._day(instrument, day, cutoff) for day in range(first_day, last_day + 1)]
        rows = np.concatenate([_coarser(day, RESOLUTIONS[resolution]) for day in days], axis=1)
        offset = (first - first_day * DAY) // step
        ticks = np.arange(first, last + step, step)
        return Chart(ticks, rows[:, offset : offset + len(ticks)])

    def _day(self, instrument: VenueInstrument, day: int, cutoff: int) -> Float64Column:
        """Return the minutes of a day, shape (6, 1440), as known at `cutoff`."""
        if cutoff < (day + 1) * DAY:
            trades = self.tape.day(instrument, day)
            return self._minutes(instrument, day, trades.part(0, int(np.searchsorted(trades.time, cutoff))))
        key = (instrument.name, instrument.listed_at, instrument.expires_at, day)
        return self._days.get(key, lambda: self._minutes(instrument, day, self.tape.day(instrument, day)))

    def _minutes(self, instrument: VenueInstrument, day: int, trades: Trades) -> Float64Column:
        before = self.tape.last_before(instrument, day)
        rows = np.zeros((len(COLUMNS), _MINUTES))
        if not len(trades):
            rows[:4] = np.nan if before is None else before
            return rows
        minute = (trades.time - day * DAY) // MINUTE
        starts = np.flatnonzero(np.diff(minute, prepend=-1))
        ends = np.append(starts[1:], len(trades)) - 1
        traded = minute[starts]
        closes = trades.price[ends]
        last_traded = np.searchsorted(traded, np.arange(_MINUTES), side="right") - 1
        rows[:4] = np.where(last_traded < 0, trades.price[0] if before is None else before, closes[last_traded])
        rows[0, traded] = trades.price[starts]
        rows[1, traded] = np.maximum.reduceat(trades.price, starts)
        rows[2, traded] = np.minimum.reduceat(trades.price, starts)
        volume, cost = volume_and_cost(instrument, trades)
        rows[4, traded] = np.round(np.add.reduceat(volume, starts), 8)
        rows[5, traded] = np.round(np.add.reduceat(cost, starts), 8)
        return rows


def volume_and_cost(instrument: VenueInstrument, trades: Trades) -> tuple[Float64Column, Float64Column]:
    """Return what each trade moved, in the base and in the quote currency, shape (n,) each."""
    if instrument.counts_in_dollars:
        return trades.amount / trades.price, trades.amount
    return trades.amount, trades.amount * trades.price


def _coarser(minutes: Float64Column, size: int) -> Float64Column:
    """Return candles of `size` minutes from the minutes of a day, filled ones included, as the venue adds them up."""
    if size == 1:
        return minutes
    groups = minutes.reshape(len(COLUMNS), -1, size)
    return np.stack(
        [
            groups[0, :, 0],
            groups[1].max(axis=1),
            groups[2].min(axis=1),
            groups[3, :, -1],
            np.round(groups[4].sum(axis=1), 8),
            np.round(groups[5].sum(axis=1), 8),
        ]
    )
