"""Books: which levels they have, and when they change.

Every book changes on a seeded schedule: change number n of an instrument has a time and an id, both arithmetic, and
every one of them changes the top of the book. At most one change comes in 100 ms, so that a channel of 100 ms tells
every one. The state after change n is a pure function of (seed, instrument, n).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import isnan
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from simulator.hashing import key_of, uniform, uniform_at, uniforms
from simulator.instruments import VenueInstrument
from simulator.market import Market, to_ticks
from simulator.moments import HOUR
from simulator.recent import Recent
from tapekeeper.model.candle import Float64Column, Int64Column

MOST_CHANGES_PER_SECOND: Final = 10.0
FIRST_QUOTE_AFTER: Final = 2_000
"""How long after its listing an instrument gets its first quote, in milliseconds."""
_DEEPEST: Final = 25
_CANDIDATES: Final = 100
_CLOSEST: Final = 100
_SECOND: Final = 1_000
_ID_EPOCH: Final = 1_500_000_000_000
_BOOKS_KEPT: Final = 8_192
_BLOCK: Final = 16
"""So many changes in a row are computed together: one costs hardly less."""
_SPREAD: Final = {"option": 0.02}
_SPREAD_OF_OTHERS: Final = 0.00003
_UNQUOTED: Final = 0.07
_CHANGES_OF_A_LEVEL: Final = 16


class Level(NamedTuple):
    """A price in the book and the amount there."""

    price: float
    amount: float


@dataclass(frozen=True, slots=True)
class Book:
    """Bids from the highest, asks from the lowest; a side may be empty."""

    change_id: int
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]
    time: int = 0
    """When it became so, in milliseconds; 0 for a book that has not begun."""


@dataclass(frozen=True, slots=True, eq=False)
class Tops:
    """The top of a book after n changes, columns of shape (n,); NaN where a side has no quote."""

    number: Int64Column
    time: Int64Column
    bid_price: Float64Column
    bid_amount: Float64Column
    ask_price: Float64Column
    ask_amount: Float64Column

    def differ(self) -> npt.NDArray[np.bool_]:
        """Return which of them differ from the one before, shape (n,); the first one does."""
        sides = np.stack([self.bid_price, self.bid_amount, self.ask_price, self.ask_amount])
        sides = np.nan_to_num(sides)
        return np.append(True, (sides[:, 1:] != sides[:, :-1]).any(axis=0))


@dataclass(frozen=True, slots=True)
class Schedule:
    """When a book changes: once in every `step` milliseconds, at a moment of its own in each."""

    key: int
    step: int

    def time_of(self, number: int) -> int:
        """Return when a change happens, in milliseconds."""
        return number * self.step + self.key % self.step + int(uniform_at(self.key, number) * self._room)

    def times_of(self, numbers: Int64Column) -> Int64Column:
        """Return the same for many changes, same shape."""
        late = (uniforms(self.key, numbers) * self._room).astype(np.int64)
        return numbers * self.step + self.key % self.step + late

    def number_at(self, moment: int) -> int:
        """Return the last change that has happened by `moment`, itself included."""
        number = (moment - self.key % self.step) // self.step
        return number if self.time_of(number) <= moment else number - 1

    @property
    def _room(self) -> int:
        return max(self.step - _CLOSEST, 0)


_EMPTY: Final = Book(0, (), ())


class Books:
    """The books of one seeded world; times in milliseconds."""

    def __init__(self, market: Market, changes_per_second: float) -> None:
        self.market = market
        self.step = round(_SECOND / changes_per_second)
        self.restarts: list[int] = []
        """When the venue was restarted: from then on its change ids start anew."""
        self._books: Recent[tuple[str, int, int], Book] = Recent(_BOOKS_KEPT, lambda _: 1)
        self._blocks: Recent[tuple[str, int, int], Tops] = Recent(_BOOKS_KEPT, lambda _: 1)
        self._key = lru_cache(maxsize=_BOOKS_KEPT)(self._make_key)
        self._schedule = lru_cache(maxsize=_BOOKS_KEPT)(self._make_schedule)

    def schedule(self, instrument: VenueInstrument) -> Schedule:
        """Return when the book of an instrument changes, were its life endless."""
        return self._schedule(instrument.name)

    def first_number(self, instrument: VenueInstrument) -> int:
        """Return the first change of its life: that which brings the first quote."""
        return self.schedule(instrument).number_at(instrument.listed_at + FIRST_QUOTE_AFTER - 1) + 1

    def at(self, instrument: VenueInstrument, moment: int) -> Book:
        """Return the book as it is at `moment`; combos, the dead and the newborn have an empty one."""
        number = self._number_at(instrument, moment)
        return _EMPTY if number is None else self.book(instrument, number)

    def top_at(self, instrument: VenueInstrument, moment: int) -> Book:
        """Return the same with the best levels alone."""
        number = self._number_at(instrument, moment)
        return _EMPTY if number is None else self._top(instrument, number)

    def book(self, instrument: VenueInstrument, number: int) -> Book:
        """Return the book after a change, 25 levels deep."""
        key = (instrument.name, instrument.listed_at, number)
        return self._books.get(key, lambda: self._make_book(instrument, number))

    def change_id(self, instrument: VenueInstrument, time: int) -> int:
        """Return the id of the change at `time`: it grows with time over all instruments, and never by one."""
        epoch = max([_ID_EPOCH, *(moment for moment in self.restarts if moment <= time)])
        return (time - epoch + 1) * 100 + instrument.instrument_id % 100

    def changes(self, instrument: VenueInstrument, start: int, end: int) -> Tops:
        """Return every change of the top in `[start, end)`."""
        schedule, end = self.schedule(instrument), min(end, instrument.end)
        first = max(schedule.number_at(start - 1) + 1, self.first_number(instrument))
        numbers = np.arange(first, max(schedule.number_at(end - 1) + 1, first))
        before = numbers[:1] - 1 if first > self.first_number(instrument) else numbers[:0]
        tops = self.tops(instrument, np.append(before, numbers))
        chosen = tops.differ() if len(tops.number) else np.empty(0, dtype=np.bool_)
        chosen[: len(before)] = False
        return Tops(*(getattr(tops, name)[chosen] for name in Tops.__slots__))

    def tops(self, instrument: VenueInstrument, numbers: Int64Column) -> Tops:
        """Return the top of the book after each of these changes."""
        times = self.schedule(instrument).times_of(numbers)
        mark = self.market.mark(instrument, times // _SECOND * _SECOND)
        half = np.maximum(instrument.tick_size / 2, mark * _SPREAD.get(instrument.kind, _SPREAD_OF_OTHERS))
        key, parity = self._key(instrument.name), numbers % 2
        has_bid = (mark > 0) & (mark - half >= instrument.tick_size) & self._quoted(instrument, "bid", times)
        has_ask = (mark > 0) & self._quoted(instrument, "ask", times)
        bid_units = 1 + 2 * np.floor(30.0 * uniforms(key ^ 1, numbers) ** 2) + parity
        ask_units = 2 + 2 * np.floor(30.0 * uniforms(key ^ 2, numbers) ** 2) - parity
        return Tops(
            number=numbers,
            time=times,
            bid_price=np.where(has_bid, to_ticks(instrument, mark - half, -1), np.nan),
            bid_amount=np.where(has_bid, np.round(bid_units * instrument.min_trade_amount, 8), np.nan),
            ask_price=np.where(has_ask, to_ticks(instrument, mark + half, 1), np.nan),
            ask_amount=np.where(has_ask, np.round(ask_units * instrument.min_trade_amount, 8), np.nan),
        )

    def _make_schedule(self, name: str) -> Schedule:
        return Schedule(key_of(self.market.seed, "book schedule", name), self.step)

    def _number_at(self, instrument: VenueInstrument, moment: int) -> int | None:
        """Return the last change by `moment` of an instrument that lives and has been quoted, else None."""
        number = self.schedule(instrument).number_at(moment)
        return None if moment >= instrument.end or number < self.first_number(instrument) else number

    def _top(self, instrument: VenueInstrument, number: int) -> Book:
        block, position = divmod(number, _BLOCK)
        key = (instrument.name, instrument.listed_at, block)
        tops = self._blocks.get(key, lambda: self.tops(instrument, np.arange(block * _BLOCK, (block + 1) * _BLOCK)))
        time = int(tops.time[position])
        bid = Level(float(tops.bid_price[position]), float(tops.bid_amount[position]))
        ask = Level(float(tops.ask_price[position]), float(tops.ask_amount[position]))
        return Book(
            self.change_id(instrument, time),
            () if isnan(bid.price) else (bid,),
            () if isnan(ask.price) else (ask,),
            time,
        )

    def _make_book(self, instrument: VenueInstrument, number: int) -> Book:
        top, key = self._top(instrument, number), self._key(instrument.name)
        bids = [_levels(instrument, key ^ 3, number, best, -1) for best in top.bids]
        asks = [_levels(instrument, key ^ 4, number, best, 1) for best in top.asks]
        return Book(top.change_id, bids[0] if bids else (), asks[0] if asks else (), top.time)

    def _make_key(self, name: str) -> int:
        return key_of(self.market.seed, "book", name)

    def _quoted(self, instrument: VenueInstrument, side: str, times: Int64Column) -> npt.NDArray[np.bool_]:
        """Return whether a side has a quote: for options, by the hour."""
        if instrument.kind != "option":
            return np.ones(len(times), dtype=np.bool_)
        if not len(times):
            return np.empty(0, dtype=np.bool_)
        hours = times // HOUR
        first = int(hours[0])
        chances = [uniform(self.market.seed, side, instrument.name, hour) for hour in range(first, int(hours[-1]) + 1)]
        return np.array(chances)[hours - first] > _UNQUOTED


def _levels(instrument: VenueInstrument, key: int, number: int, best: Level, direction: int) -> tuple[Level, ...]:
    """Return levels from the best one on: upwards for 1, downwards for -1.

    Behind the top, a level is tied to its price, so that most of them stay as they are from one change to the next.
    """
    tick = _tick_at(instrument, best.price)
    places = round(best.price / tick) + direction * np.arange(1, _CANDIDATES)
    places = places[places >= 1]
    places = places[uniforms(key, places) < 0.4][: _DEEPEST - 1]
    prices = to_ticks(instrument, places.astype(np.float64) * tick, 0)
    epochs = places * 4_093 + (number + places) // _CHANGES_OF_A_LEVEL
    amounts = np.floor(1.0 + 60.0 * uniforms(key ^ 5, epochs) ** 2) * instrument.min_trade_amount
    levels = dict(zip(reversed(prices.tolist()), reversed(np.round(amounts, 8).tolist()), strict=True))
    levels.pop(best.price, None)
    return best, *map(Level._make, reversed(levels.items()))


def _tick_at(instrument: VenueInstrument, price: float) -> float:
    for step in reversed(instrument.tick_size_steps):
        if price > step.above_price:
            return step.tick_size
    return instrument.tick_size
