"""The tape: every trade of every instrument, in the order of its sequence numbers.

The instrument-day is the unit: a pure function of (seed, instrument, day). How many trades a day holds is arithmetic,
so the sequence number of the first trade of any day is known without making the days before it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from simulator.hashing import key_of, uniforms
from simulator.instruments import VenueInstrument
from simulator.market import Market, to_ticks
from simulator.moments import DAY
from simulator.recent import Recent
from tapekeeper.model.candle import Float64Column, Int64Column

_TRADES_KEPT: Final = 3_000_000
_SHARED_MILLISECOND: Final = 0.08
_HALF_SPREAD: Final = 0.00004
_TYPICAL_UNITS: Final = 30.0
_LARGEST_UNITS: Final = 100_000.0


@dataclass(frozen=True, slots=True, eq=False)
class Trades:
    """n trades of one instrument with consecutive sequence numbers, columns of shape (n,).

    `time` in milliseconds, `price` in the quote currency, `amount` as the venue counts it: dollars for inverse
    futures, else the base currency.
    """

    first_sequence: int
    time: Int64Column
    price: Float64Column
    amount: Float64Column
    is_buy: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.time)

    @property
    def sequence(self) -> Int64Column:
        """The sequence numbers."""
        return np.arange(self.first_sequence, self.first_sequence + len(self))

    def part(self, start: int, end: int) -> Trades:
        """Return the trades from position `start` up to `end`, without it."""
        return Trades(
            self.first_sequence + start,
            self.time[start:end],
            self.price[start:end],
            self.amount[start:end],
            self.is_buy[start:end],
        )


class Tape:
    """The trades of one seeded world."""

    def __init__(self, market: Market) -> None:
        self.market = market
        self._days: Recent[tuple[str, int, int, int], Trades] = Recent(_TRADES_KEPT, lambda trades: len(trades) + 16)

    def day(self, instrument: VenueInstrument, day: int) -> Trades:
        """Return all trades that a day (counted from 1970) has in the whole life of the instrument."""
        key = (instrument.name, instrument.listed_at, instrument.expires_at, day)
        return self._days.get(key, lambda: self._make_day(instrument, day))

    def count_before(self, instrument: VenueInstrument, moment: int) -> int:
        """Return how many trades happen before an instant (milliseconds), the end of the instrument's life included."""
        moment = min(moment, instrument.end)
        day = moment // DAY
        before = instrument.trades_before(day * DAY)
        if moment % DAY == 0 or before == instrument.trades_before((day + 1) * DAY):
            return before
        return before + int(np.searchsorted(self.day(instrument, day).time, moment, side="left"))

    def select(self, instrument: VenueInstrument, first: int, last: int) -> Trades:
        """Return the trades with sequence numbers `first` to `last`, both included."""
        parts: list[Trades] = []
        sequence = first
        while sequence <= last:
            trades = self.day(instrument, instrument.day_of_trade(sequence))
            start = sequence - trades.first_sequence
            parts.append(trades.part(start, min(len(trades), last - trades.first_sequence + 1)))
            sequence += len(parts[-1])
        return _join(first, parts)

    def between(self, instrument: VenueInstrument, start: int, end: int) -> Trades:
        """Return the trades of the window `[start, end)` in milliseconds."""
        first = self.count_before(instrument, start) + 1
        return self.select(instrument, first, self.count_before(instrument, end))

    def last_before(self, instrument: VenueInstrument, day: int) -> float | None:
        """Return the price of the last trade before a day begins, however long ago, or None."""
        count = instrument.trades_before(day * DAY)
        if not count:
            return None
        return float(self.day(instrument, instrument.day_of_trade(count)).price[-1])

    def _make_day(self, instrument: VenueInstrument, day: int) -> Trades:
        start, end = day * DAY, (day + 1) * DAY
        before = instrument.trades_before(start)
        order = np.arange(instrument.trades_before(end) - before)
        key = key_of(self.market.seed, "trades", instrument.name, day)
        time = self._times(instrument, key, start, end, order)
        if not before and len(time):
            time[0] = instrument.listed_at
        is_buy = uniforms(key ^ 1, order) < 0.5
        mark = self.market.mark(instrument, time)
        price = to_ticks(instrument, mark * (1.0 + np.where(is_buy, _HALF_SPREAD, -_HALF_SPREAD)), 0)
        return Trades(before + 1, time, price, _amounts(instrument, uniforms(key ^ 2, order)), is_buy)

    @staticmethod
    def _times(instrument: VenueInstrument, key: int, start: int, end: int, order: Int64Column) -> Int64Column:
        start, end = max(start, instrument.listed_at), min(end, instrument.expires_at)
        time = start + (uniforms(key ^ 3, order) * (end - start)).astype(np.int64)
        time.sort()
        followers = order[1:][uniforms(key ^ 4, order[1:]) < _SHARED_MILLISECOND]
        time[followers] = time[followers - 1]
        return time


def _amounts(instrument: VenueInstrument, chance: Float64Column) -> Float64Column:
    units = np.minimum(np.floor(1.0 + _TYPICAL_UNITS * ((1.0 - chance) ** -0.9 - 1.0)), _LARGEST_UNITS)
    if instrument.min_trade_amount >= 1.0:
        return units * instrument.min_trade_amount
    return units / round(1.0 / instrument.min_trade_amount)


def _join(first: int, parts: list[Trades]) -> Trades:
    if len(parts) == 1:
        return parts[0]
    if not parts:
        nothing = np.empty(0)
        return Trades(first, nothing.astype(np.int64), nothing, nothing, nothing.astype(np.bool_))
    return Trades(
        first,
        np.concatenate([part.time for part in parts]),
        np.concatenate([part.price for part in parts]),
        np.concatenate([part.amount for part in parts]),
        np.concatenate([part.is_buy for part in parts]),
    )
